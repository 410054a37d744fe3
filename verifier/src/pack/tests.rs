use super::*;
use crate::decompress::Ruzstd;
use crate::format::pack::{HEADER, encode_footer};
use crate::store::MemoryStore;

fn frame(raw: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(raw, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A pack of one blob whose stored bytes are given.
fn pack(id: BlobId, stored: &[u8], raw_len: u64, encoding: Encoding) -> MemoryStore {
    let entry = PackEntry {
        id,
        offset: 6,
        stored_len: stored.len() as u64,
        raw_len,
        encoding,
        crc32c: crc32c::crc32c(stored),
    };
    let mut store = MemoryStore::default();
    store.insert(pack_id().path(), [&HEADER[..], stored, &encode_footer(&[entry])].concat());
    store
}

fn pack_id() -> PackId {
    PackId::from_parts(1, 1)
}

fn read(store: &MemoryStore) -> Result<Vec<u8>, FrameError> {
    let packs = PackReader::new(store.clone(), Ruzstd);
    let pack = packs.open(pack_id()).unwrap();
    pack.read(&pack.entries()[0], 1 << 30)
}

fn text() -> Vec<u8> {
    (0..300_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect()
}

#[test]
fn raw_and_compressed_blobs_are_read() {
    let raw = text();
    let id = BlobId::of(&raw);
    let len = raw.len() as u64;
    assert_eq!(read(&pack(id, &raw, len, Encoding::Raw)).unwrap(), raw);
    assert_eq!(read(&pack(id, &frame(&raw), len, Encoding::Zstd)).unwrap(), raw);
    assert_eq!(read(&pack(BlobId::of(b""), b"", 0, Encoding::Raw)).unwrap(), b"");
    assert_eq!(read(&pack(BlobId::of(b""), &frame(b""), 0, Encoding::Zstd)).unwrap(), b"");
}

#[test]
fn a_frame_must_give_exactly_its_length_and_use_every_byte() {
    let raw = text();
    let id = BlobId::of(&raw);
    let len = raw.len() as u64;
    let whole = frame(&raw);
    let trailing = [&whole[..], b"x"].concat();
    let two = [&whole[..], &frame(b"")].concat();
    let short = &whole[..whole.len() - 1];
    for (stored, raw_len) in
        [(&trailing[..], len), (&two, len), (short, len), (&whole, len + 1), (&whole, len - 1)]
    {
        let error = read(&pack(id, stored, raw_len, Encoding::Zstd)).unwrap_err();
        assert!(matches!(error, FrameError::Decompress { .. } | FrameError::Header(_)), "{error:?}");
    }
}

#[test]
fn a_frame_with_a_reserved_bit_in_a_block_is_refused() {
    let raw = text();
    let mut stored = frame(&raw);
    let id = BlobId::of(&raw);
    assert_eq!(read(&pack(id, &stored, raw.len() as u64, Encoding::Zstd)).unwrap(), raw);
    let modes = modes_of_first_block(&stored);
    stored[modes] |= 2;
    let error = read(&pack(id, &stored, raw.len() as u64, Encoding::Zstd)).unwrap_err();
    assert!(matches!(error, FrameError::Decompress { .. }), "{error:?}");
}

/// Where the compression modes of the first block lie: behind its header, its raw literals and the number of
/// sequences.
fn modes_of_first_block(frame: &[u8]) -> usize {
    let header = zstd_frame::decode_header(frame, text().len() as u64).unwrap();
    let block = usize::try_from(header.len).unwrap();
    let literals = block + 3;
    assert_eq!((frame[block] >> 1 & 3, frame[literals] & 15), (2, 12), "raw literals in a compressed block");
    let size = u32::from_le_bytes([frame[literals], frame[literals + 1], frame[literals + 2], 0]) >> 4;
    let sequences = literals + 3 + usize::try_from(size).unwrap();
    sequences + if frame[sequences] < 128 { 1 } else { 2 }
}

#[test]
fn another_blob_under_the_name_is_noticed() {
    let raw = text();
    let len = raw.len() as u64;
    assert_eq!(read(&pack(BlobId::of(b"x"), &raw, len, Encoding::Raw)), Err(FrameError::Hash));
    assert_eq!(read(&pack(BlobId::of(b"x"), &frame(&raw), len, Encoding::Zstd)), Err(FrameError::Hash));
}

#[test]
fn a_changed_byte_is_a_checksum_error_wherever_it_is() {
    let raw = text();
    let len = raw.len() as u64;
    let store = pack(BlobId::of(&raw), &frame(&raw), len, Encoding::Zstd);
    let path = pack_id().path();
    let good = store.file(&path).unwrap().to_vec();
    let stored_len = frame(&raw).len();
    for position in (6..6 + stored_len).step_by(stored_len / 50) {
        let mut bad = good.clone();
        bad[position] ^= 0x10;
        let mut store = store.clone();
        store.insert(path.clone(), bad);
        assert_eq!(read(&store), Err(FrameError::Crc), "byte {position}");
    }
}

#[test]
fn a_blob_beyond_the_limit_is_not_read() {
    let raw = text();
    let store = pack(BlobId::of(&raw), &raw, raw.len() as u64, Encoding::Raw);
    let packs = PackReader::new(store, Ruzstd);
    let pack = packs.open(pack_id()).unwrap();
    let error = pack.read(&pack.entries()[0], 10).unwrap_err();
    assert!(matches!(error, FrameError::TooLarge { limit: 10, .. }));
}

#[test]
fn encrypted_packs_say_so() {
    let mut bytes = b"MVPK\x01\x01".to_vec();
    bytes.extend_from_slice(&[7; 50]);
    bytes.extend_from_slice(&6u64.to_le_bytes());
    bytes.extend_from_slice(&50u64.to_le_bytes());
    bytes.extend_from_slice(b"KPVM");
    let mut store = MemoryStore::default();
    store.insert(pack_id().path(), bytes);
    let error = PackReader::new(store, Ruzstd).open(pack_id()).map(|_| ()).unwrap_err();
    assert_eq!(error, ReadError::Decode(DecodeError::Encrypted { object: "the pack" }));
    assert!(error.to_string().contains("not supported yet"));
}
