//! Makes full packs durable and, in a long run, an index of them from time to time: what an index names is of use to
//! the next run, however this one ends.

use std::sync::mpsc::Receiver;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::PackId;
use msgvault_verifier::format::index::IndexEntry;
use msgvault_verifier::store::DirectoryStore;

use super::open_pack::OpenPack;
use super::queue::{PackFailure, Queue};
use super::{PackOptions, confirm_packs};
use crate::repo::publish::{FileKind, PublishError};
use crate::repo::sums::{self, FileSums};
use crate::repo::write_index::{index_entry, next_index_id, write_index};

/// The packs of a run, durable.
#[derive(Default)]
pub(super) struct Sealed {
    /// In the order in which they were published.
    pub(super) packs: Vec<PackId>,
    /// How many of them, the first, an index names already.
    pub(super) indexed: usize,
    /// The sums of the packs and of those indexes.
    pub(super) sums: FileSums,
}

/// Seals packs until there are no more; after a failure they are dropped instead.
pub(super) fn seal_all<'a>(
    queue: &Queue<'_>,
    context: Context<'a>,
    options: PackOptions<'a>,
    packs: Receiver<OpenPack<'a>>,
) -> Sealed {
    let mut sealer = Sealer { context, options, sealed: Sealed::default(), entries: Vec::new() };
    for pack in packs {
        if !queue.has_failed()
            && let Err(error) = sealer.seal(pack)
        {
            queue.fail(PackFailure::Publish(error));
        }
    }
    sealer.sealed
}

struct Sealer<'a> {
    context: Context<'a>,
    options: PackOptions<'a>,
    sealed: Sealed,
    /// The blobs of the packs that no index names.
    entries: Vec<IndexEntry>,
}

impl<'a> Sealer<'a> {
    /// The last packs are left to the index of the whole run, which names all of them.
    fn seal(&mut self, pack: OpenPack<'a>) -> Result<(), PublishError> {
        if self.sealed.packs.len() - self.sealed.indexed >= self.options.packs_per_index {
            self.write_index()?;
        }
        let id = pack.id;
        let entries = pack.seal()?;
        self.sealed.packs.push(id);
        if !self.options.dry_run {
            self.note_sum(id.path())?;
        }
        self.entries.extend(entries.iter().map(|entry| index_entry(id, entry)));
        Ok(())
    }

    fn write_index(&mut self) -> Result<(), PublishError> {
        let mut entries = std::mem::take(&mut self.entries);
        let root = self.options.root;
        if !self.options.dry_run {
            confirm_packs(root, self.sealed.packs.iter().skip(self.sealed.indexed))?;
            entries.sort_unstable_by_key(|entry| entry.id);
            let id = next_index_id(&self.context, &DirectoryStore::new(root));
            write_index(&self.context, root, FileKind::Index, id, entries.len(), entries)?;
            self.note_sum(id.path())?;
        }
        self.sealed.indexed = self.sealed.packs.len();
        Ok(())
    }

    fn note_sum(&mut self, path: String) -> Result<(), PublishError> {
        let sum = sums::of_published(self.options.root, &path)?;
        self.sealed.sums.insert(path, sum);
        Ok(())
    }
}
