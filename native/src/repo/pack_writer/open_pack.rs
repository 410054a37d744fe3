//! A pack that is being filled (`docs/format.md` §3).

use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::PackId;
use msgvault_verifier::format::pack::{HEADER, PackEntry, encode_footer};
use msgvault_verifier::length::{to_u64, to_usize};

use super::PackOptions;
use super::queue::Stored;
use crate::repo::publish::{FileKind, PublishError, Staged};

/// Bytes that are written at once. A pack of fewer is in memory only until it is sealed, and can still be put into
/// another.
const BUFFER: usize = 1 << 20;

/// A pack that is being filled; its file is made once the buffer is full.
pub(super) struct OpenPack<'a> {
    pub(super) id: PackId,
    context: Context<'a>,
    root: &'a Path,
    dry_run: bool,
    file: Option<Staged<'a>>,
    buffer: Vec<u8>,
    entries: Vec<PackEntry>,
    /// Bytes of the pack, buffered ones included.
    len: u64,
    /// Bytes of the pack behind its last whole blob.
    blob_start: u64,
}

impl<'a> OpenPack<'a> {
    pub(super) fn begin(context: Context<'a>, options: PackOptions<'a>) -> Result<Self, PublishError> {
        let (unix_ms, random) = context.ulid_parts();
        let mut pack = Self {
            id: PackId::from_parts(unix_ms, random),
            context,
            root: options.root,
            dry_run: options.dry_run,
            file: None,
            buffer: Vec::with_capacity(BUFFER),
            entries: Vec::new(),
            len: 0,
            blob_start: 0,
        };
        pack.append(&HEADER)?;
        pack.blob_start = pack.len;
        Ok(pack)
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no blob.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it has less than 1 MiB, all of it still in memory.
    pub(super) fn is_small(&self) -> bool {
        self.buffer.len() < BUFFER && to_u64(self.buffer.len()) == self.len
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), PublishError> {
        if self.buffer.len().saturating_add(bytes.len()) > BUFFER {
            self.write_buffer()?;
        }
        if bytes.len() >= BUFFER {
            if let Some(file) = self.file()? {
                file.write(bytes)?;
            }
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        self.len = self.len.saturating_add(to_u64(bytes.len()));
        Ok(())
    }

    /// What was appended since the last blob is a blob.
    pub(super) fn end_blob(&mut self, blob: Stored) -> PackEntry {
        let Stored { id, raw_len, encoding, crc32c } = blob;
        let (offset, stored_len) = (self.blob_start, self.len.saturating_sub(self.blob_start));
        let entry = PackEntry { id, offset, stored_len, raw_len, encoding, crc32c };
        self.entries.push(entry);
        self.blob_start = self.len;
        entry
    }

    /// Appends the blobs of a small pack; where they are now.
    pub(super) fn absorb(&mut self, small: &Self) -> Result<Vec<PackEntry>, PublishError> {
        let mut moved = Vec::with_capacity(small.entries.len());
        for entry in &small.entries {
            let PackEntry { id, offset, stored_len, raw_len, encoding, crc32c } = *entry;
            let start = to_usize(offset);
            let bytes = small.buffer.get(start..start.saturating_add(to_usize(stored_len)));
            self.append(bytes.unwrap_or_default())?;
            moved.push(self.end_blob(Stored { id, raw_len, encoding, crc32c }));
        }
        Ok(moved)
    }

    /// Takes back what was appended behind the first `len` bytes.
    pub(super) fn rewind(&mut self, len: u64) -> Result<(), PublishError> {
        if to_u64(self.buffer.len()) == self.len {
            self.buffer.truncate(to_usize(len));
        } else {
            self.write_buffer()?;
            if let Some(file) = &mut self.file {
                file.truncate(len)?;
            }
        }
        self.len = len;
        Ok(())
    }

    /// Makes it durable under its name; returns what it holds.
    pub(super) fn seal(mut self) -> Result<Vec<PackEntry>, PublishError> {
        self.write_buffer()?;
        let footer = encode_footer(&self.entries);
        if let Some(file) = self.file()? {
            file.write(&footer)?;
        }
        self.file.take().map_or(Ok(()), |file| file.publish(&self.id.path()))?;
        Ok(self.entries)
    }

    fn write_buffer(&mut self) -> Result<(), PublishError> {
        let buffer = std::mem::take(&mut self.buffer);
        if let Some(file) = self.file()?.filter(|_| !buffer.is_empty()) {
            file.write(&buffer)?;
        }
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    /// Its file; `None` when nothing is to be written.
    fn file(&mut self) -> Result<Option<&mut Staged<'a>>, PublishError> {
        if self.file.is_none() && !self.dry_run {
            self.file = Some(Staged::create(self.context, self.root, FileKind::Pack)?);
        }
        Ok(self.file.as_mut())
    }
}
