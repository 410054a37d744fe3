//! The page sizes that SQLite knows.

use super::DecodeError;
use crate::length::to_usize;

/// Bytes a page: a power of two from 512 to 65536.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize(u32);

impl PageSize {
    /// The smallest one.
    pub const SMALLEST: Self = Self(512);

    /// Checks a page size read from data.
    pub const fn new(bytes: u32) -> Option<Self> {
        if bytes.is_power_of_two() && bytes >= 512 && bytes <= 65_536 { Some(Self(bytes)) } else { None }
    }

    pub(crate) fn decode(object: &'static str, bytes: u32) -> Result<Self, DecodeError> {
        Self::new(bytes)
            .ok_or_else(|| DecodeError::invalid(object, format!("{bytes} is no SQLite page size")))
    }

    /// Bytes a page.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Bytes a page, for offsets.
    pub fn bytes(self) -> u64 {
        self.0.into()
    }

    /// Bytes a page, for lengths in memory.
    pub fn in_memory(self) -> usize {
        to_usize(self.0)
    }
}
