//! Lengths and counts between memory, where they are `usize`, and files, where they are `u64`.

// Else `to_u64` could lose bits.
const _: () = assert!(usize::BITS <= u64::BITS);

/// A length in memory as files count it. Loses nothing.
pub const fn to_u64(length: usize) -> u64 {
    length as u64
}

/// A length of a file as memory counts it. What memory cannot address becomes the greatest length that it
/// can, which no slice has.
pub fn to_usize<N>(length: N) -> usize
where
    usize: TryFrom<N>,
{
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// A count for one of the format's 32-bit fields. The limit is not reached: so many entries do not fit into
/// one object.
pub fn to_u32<N>(count: N) -> u32
where
    u32: TryFrom<N>,
{
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A number that SQLite or the system gives as signed although it is never negative.
pub fn to_unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
