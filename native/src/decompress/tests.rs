mod mutants;

use msgvault_verifier::Ruzstd;
use msgvault_verifier::format::zstd_frame;

use super::*;

/// What a decoder makes of a frame and of the bytes behind it.
fn decode(decompressor: &dyn Decompressor, frame: &[u8], raw_len: u64) -> Result<(Vec<u8>, usize), String> {
    let header = zstd_frame::decode_header(frame, raw_len).map_err(|error| error.to_string())?;
    let mut rest = frame;
    let mut raw = Vec::new();
    decompressor
        .decoder(&header, &mut rest)
        .and_then(|mut reader| reader.read_to_end(&mut raw))
        .map_err(|error| error.to_string())?;
    Ok((raw, rest.len()))
}

#[test]
fn both_decoders_stop_where_the_frame_stops() {
    let raw = b"the same words and the same words again ".repeat(9000);
    let raw_len = u64::try_from(raw.len()).unwrap();
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    io::Write::write_all(&mut encoder, &raw).unwrap();
    let streamed = encoder.finish().unwrap();
    let whole = zstd::bulk::compress(&raw, 19).unwrap();
    for frame in [streamed, whole] {
        let followed = [&frame[..], b"more"].concat();
        for decompressor in [&Zstd as &dyn Decompressor, &Ruzstd] {
            let (decoded, left) = decode(decompressor, &followed, raw_len).unwrap();
            assert_eq!((decoded == raw, left), (true, 4));
            assert!(decode(decompressor, &frame[..frame.len() - 1], raw_len).is_err());
        }
    }
}

#[test]
fn both_decoders_check_the_content_checksum() {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    io::Write::write_all(&mut encoder, b"incompressible").unwrap();
    let mut frame = encoder.finish().unwrap();
    let last = frame.len() - 1;
    frame[last] ^= 1;
    for decompressor in [&Zstd as &dyn Decompressor, &Ruzstd] {
        assert!(decode(decompressor, &frame, 14).is_err());
    }
}
