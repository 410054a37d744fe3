//! What a blob may be and when it is compressed (`docs/format.md` §2 and §3).

/// The largest blob, in raw bytes.
pub const MAX_RAW_LEN: u64 = 1 << 32;
/// The largest stored form of a blob, in bytes.
pub const MAX_STORED_LEN: u64 = (1 << 32) + (1 << 24) + 64 + 40;
/// Blobs below this many bytes are stored raw.
pub const MIN_COMPRESSED_LEN: u64 = 1024;
/// The largest window of a frame that is written as a stream, in bytes.
pub const MAX_STREAM_WINDOW: u64 = 8 << 20;

/// Whether a compressed form is kept: it saves at least three percent, rounded up.
pub fn keeps_compressed(raw_len: u64, compressed_len: u64) -> bool {
    let saving = raw_len.saturating_mul(3).div_ceil(100);
    raw_len >= MIN_COMPRESSED_LEN && compressed_len.checked_add(saving).is_some_and(|sum| sum <= raw_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_is_kept_from_three_percent_on() {
        let table = [
            (1023, 1, false),
            (1024, 993, true),
            (1024, 994, false),
            (10_000, 9_700, true),
            (10_000, 9_701, false),
            (10_001, 9_701, false),
            (10_001, 9_700, true),
        ];
        for (raw, compressed, kept) in table {
            assert_eq!(keeps_compressed(raw, compressed), kept, "{raw} {compressed}");
        }
    }
}
