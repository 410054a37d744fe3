//! Blobs into new packs as they are stored: nothing is compressed again.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_verifier::format::pack::{PackEntry, SEAL_LEN};
use msgvault_verifier::{FrameError, Pack};

use super::open_pack::OpenPack;
use super::queue::Stored;
use super::{PackKind, PackOptions, Packed};
use crate::repo::publish::PublishError;
use crate::repo::sums;

/// Why a blob was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameCopyError {
    /// Its bytes cannot be trusted.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The repository could not be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Copies blobs into new packs, one for each kind at a time.
pub struct FrameCopier<'a> {
    context: Context<'a>,
    options: PackOptions<'a>,
    open: BTreeMap<PackKind, OpenPack<'a>>,
    packed: Packed,
}

impl<'a> FrameCopier<'a> {
    /// Copies nothing yet.
    pub fn new(context: Context<'a>, root: &'a Path) -> Self {
        // Nothing is compressed, so that the level is nobody's.
        let options = PackOptions { root, jobs: 1, level: 1, dry_run: false, packs_per_index: usize::MAX };
        Self { context, options, open: BTreeMap::new(), packed: Packed::default() }
    }

    /// Copies a blob once its checksum, its length and its hash were found right.
    pub fn copy(&mut self, kind: PackKind, pack: &Pack<'_>, entry: &PackEntry) -> Result<(), FrameCopyError> {
        pack.stream(entry, &mut |_| ControlFlow::Continue(()))?;
        let mut to = match self.open.remove(&kind) {
            Some(open) => open,
            None => OpenPack::begin(self.context, self.options)?,
        };
        let mut failed = None;
        let copied = pack.stream_stored(entry, &mut |piece| match to.append(piece) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        copied?;
        let PackEntry { id, raw_len, encoding, crc32c, .. } = *entry;
        let written = to.end_blob(Stored { id, raw_len, encoding, crc32c });
        self.packed.blobs.add(to.id, &written);
        if to.len() >= SEAL_LEN {
            return Ok(self.seal(to)?);
        }
        self.open.insert(kind, to);
        Ok(())
    }

    /// Seals what is open; the packs are durable then, and in no index.
    pub fn finish(mut self) -> Result<Packed, PublishError> {
        let mut shared: Option<OpenPack<'a>> = None;
        for pack in std::mem::take(&mut self.open).into_values() {
            match &mut shared {
                Some(shared) if pack.is_small() => {
                    for entry in shared.absorb(&pack)? {
                        self.packed.blobs.move_to(shared.id, &entry);
                    }
                }
                None if pack.is_small() => shared = Some(pack),
                _ => self.seal(pack)?,
            }
        }
        if let Some(pack) = shared {
            self.seal(pack)?;
        }
        let packed = std::mem::take(&mut self.packed);
        packed.confirm(self.options.root)?;
        Ok(packed)
    }

    fn seal(&mut self, pack: OpenPack<'a>) -> Result<(), PublishError> {
        let id = pack.id;
        pack.seal()?;
        self.packed.packs.push(id);
        let path = id.path();
        let sum = sums::of_published(self.options.root, &path)?;
        self.packed.sums.insert(path, sum);
        Ok(())
    }
}

/// What was written and is in no index is taken back, unless it was finished.
impl Drop for FrameCopier<'_> {
    fn drop(&mut self) {
        self.packed.take_back(self.options.root);
    }
}
