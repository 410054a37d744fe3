//! Little-endian fields, read with bounds and written in order.

use crate::length::{to_u32, to_u64};
use sha2::{Digest, Sha256};

use super::DecodeError;

/// The unread rest of an object.
pub(super) struct Reader<'a> {
    object: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(object: &'static str, bytes: &'a [u8]) -> Self {
        Self { object, rest: bytes }
    }

    pub(super) fn remaining(&self) -> u64 {
        length(self.rest)
    }

    /// What is not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn take(&mut self, count: u64) -> Result<&'a [u8], DecodeError> {
        let split = usize::try_from(count).ok().and_then(|n| self.rest.split_at_checked(n));
        let Some((head, tail)) = split else {
            let present = self.remaining();
            return Err(DecodeError::Truncated { object: self.object, needed: count, present });
        };
        self.rest = tail;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            let needed = to_u64(N);
            return Err(DecodeError::Truncated { object: self.object, needed, present: self.remaining() });
        };
        self.rest = tail;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn magic(&mut self, magic: [u8; 4]) -> Result<(), DecodeError> {
        if self.array::<4>()? == magic { Ok(()) } else { Err(DecodeError::Magic { object: self.object }) }
    }

    /// Reads the `u16` version, of which there is one so far.
    pub(super) fn version_one(&mut self) -> Result<(), DecodeError> {
        match self.u16()? {
            1 => Ok(()),
            found => Err(DecodeError::Version { object: self.object, found: found.into() }),
        }
    }

    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let reason = format!("{} bytes follow its end", self.rest.len());
        Err(DecodeError::Invalid { object: self.object, reason })
    }
}

/// An object that ends in the SHA-256 of everything before it, read from pieces of any length.
///
/// What was read is worth nothing unless `finish` returns `Ok`.
pub(super) struct SealedReader {
    object: &'static str,
    hash: Sha256,
    /// Bytes that are not read yet; the last 32 may be the checksum.
    pending: Vec<u8>,
    /// The first rule that is broken, told unless the checksum does not match either.
    fault: Option<DecodeError>,
}

impl SealedReader {
    pub(super) fn new(object: &'static str) -> Self {
        Self { object, hash: Sha256::new(), pending: Vec::new(), fault: None }
    }

    /// Reads on. `read` takes what it can use of the bytes that are there, and is not asked again once it failed.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        read: impl FnOnce(&mut Reader<'_>) -> Result<(), DecodeError>,
    ) {
        self.pending.extend_from_slice(bytes);
        let mut pending = std::mem::take(&mut self.pending);
        if let Some((body, _)) = pending.split_last_chunk::<32>() {
            let mut reader = Reader::new(self.object, body);
            if self.fault.is_none() {
                self.fault = read(&mut reader).err();
            }
            let unread = if self.fault.is_some() { 0 } else { reader.remaining() };
            let read = length(body).saturating_sub(unread);
            let read = usize::try_from(read).unwrap_or(body.len());
            self.hash.update(body.get(..read).unwrap_or_default());
            pending.drain(..read);
        }
        self.pending = pending;
    }

    /// The rule that is broken by what was read so far.
    pub(super) fn fault(&self) -> Option<&DecodeError> {
        self.fault.as_ref()
    }

    /// Compares the checksum; gives how many bytes before it were not read.
    pub(super) fn finish(mut self) -> Result<u64, DecodeError> {
        let object = self.object;
        let Some((unread, digest)) = self.pending.split_last_chunk::<32>() else {
            return Err(DecodeError::Truncated { object, needed: 32, present: length(&self.pending) });
        };
        self.hash.update(unread);
        if <[u8; 32]>::from(self.hash.finalize()) != *digest {
            return Err(DecodeError::Checksum { object });
        }
        self.fault.map_or(Ok(length(unread)), Err)
    }
}

/// Appends the SHA-256 of everything before it.
pub(super) fn seal(mut body: Vec<u8>) -> Vec<u8> {
    let digest: [u8; 32] = Sha256::digest(&body).into();
    body.extend_from_slice(&digest);
    body
}

/// The length of a slice as the format counts it.
pub(super) fn length<T>(items: &[T]) -> u64 {
    to_u64(items.len())
}

/// The length of a table whose count is a `u32`; writers never come near the limit.
pub(super) fn count32<T>(items: &[T]) -> u32 {
    to_u32(items.len())
}
