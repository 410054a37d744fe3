//! Makes the snapshot exist: the index, the repository's page size, and the manifest last (`docs/format.md` §9
//! and §12).

use jiff::{SignedDuration, Timestamp};
use msgvault_verifier::format::id::{IndexId, SnapshotId};
use msgvault_verifier::format::index;
use msgvault_verifier::format::manifest::{Attachments, Extras, Manifest};
use msgvault_verifier::repository::read_config;
use serde_json::value::RawValue;

use super::{Capture, Captured, CreateError, CreateReport, Times, cache};
use crate::phase;
use crate::repo::lock::Lock;
use crate::repo::pack_writer::Packed;
use crate::repo::publish::{FileKind, Staged, publish_bytes};

/// What is never captured, as the format lists it.
const EXCLUDED: [&str; 6] = ["vectors.db", "analytics/", "logs/", "imports/", "tmp/", "locks"];
/// Bytes of an index that are written at once.
const PIECE: usize = 1 << 20;
/// Takes the place of the ID until it is computed.
const NO_ID: &str = "00000000T000000Z-00000000000000000000000000000000";

impl Capture<'_> {
    pub(super) fn publish(
        &self,
        captured: Captured,
        packed: Packed,
        times: &Times,
        lock: Option<&Lock>,
    ) -> Result<CreateReport, CreateError> {
        self.context.observer.begin(phase::PUBLISH, 0);
        let manifest = match lock {
            Some(lock) => self.publish_index(&packed).and_then(|index| {
                let manifest = self.manifest(&captured, &packed, index, times)?;
                self.publish_manifest(&manifest, lock)?;
                Ok(manifest)
            })?,
            None => self.manifest(&captured, &packed, None, times)?,
        };
        if lock.is_some() {
            self.update_cache(&manifest, &captured);
        }
        Ok(self.report(manifest, &captured, times))
    }

    /// Publishes the index of the new blobs, if there are any. Without it their packs are of no use.
    fn publish_index(&self, packed: &Packed) -> Result<Option<IndexId>, CreateError> {
        if packed.blobs.is_empty() {
            self.stop_if_cancelled()?;
            return Ok(None);
        }
        let id = self.index_id();
        let publish = || {
            self.stop_if_cancelled()?;
            let mut file = Staged::create(self.context, self.request.repo, FileKind::Index)?;
            // More blobs than an index has room for do not fit into memory either.
            let mut encoder = index::Encoder::new(u32::try_from(packed.blobs.len()).unwrap_or(u32::MAX));
            for entry in packed.blobs.entries() {
                encoder.push(&entry);
                if encoder.pending() >= PIECE {
                    file.write(&encoder.take())?;
                }
            }
            file.write(&encoder.finish())?;
            Ok(file.publish(&id.path())?)
        };
        publish().map(|()| Some(id)).inspect_err(|_: &CreateError| packed.take_back(self.request.repo))
    }

    /// An ID behind those of all index files, since of two entries for a blob the later file's counts.
    fn index_id(&self) -> IndexId {
        let (unix_ms, random) = self.context.ulid_parts();
        let id = IndexId::from_parts(unix_ms, random);
        let names = self.repository.store().list("indexes").unwrap_or_default();
        let ids = names.iter().filter_map(|entry| entry.name.strip_suffix(".mvidx")?.parse::<IndexId>().ok());
        match ids.max() {
            Some(last) if last >= id => {
                let next = u128::from_be_bytes(last.to_bytes()).saturating_add(1);
                IndexId::from_bytes(next.to_be_bytes())
            }
            _ => id,
        }
    }

    fn publish_manifest(&self, manifest: &Manifest, lock: &Lock) -> Result<(), CreateError> {
        let root = self.request.repo;
        let mut config = read_config(self.repository.store())?;
        if config.page_size != manifest.db.page_size {
            config.page_size = manifest.db.page_size;
            let text = config.encode();
            publish_bytes(self.context, root, FileKind::Config, "config.toml", text.as_bytes())?;
        }
        // Whoever took the lock away may be removing what this manifest would name.
        lock.still_held()?;
        let name = manifest.snapshot_id.path();
        publish_bytes(self.context, root, FileKind::Manifest, &name, manifest.encode().as_bytes())?;
        Ok(())
    }

    fn manifest(
        &self,
        captured: &Captured,
        packed: &Packed,
        new_index: Option<IndexId>,
        times: &Times,
    ) -> Result<Manifest, CreateError> {
        let internal = |error: &dyn std::fmt::Display| CreateError::Internal(error.to_string());
        let version = if captured.is_canonical { 1 } else { 2 };
        let attachments = &captured.attachments;
        let text = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        let mut manifest = Manifest {
            format_version: version,
            min_reader_version: version,
            msgvault_version: self.request.version.to_owned(),
            snapshot_id: NO_ID.parse().map_err(|error| internal(&error))?,
            parent_id: self.parent.map(|parent| parent.id().clone()),
            created_at: self.created_at(times)?,
            options: self.options(),
            db: captured.pages.db.clone(),
            metadata: None,
            auxiliary: None,
            attachments: Attachments {
                layout: Some(text(&["loose"])),
                rows: attachments.rows,
                blobs: attachments.blobs,
                blob_bytes: attachments.blob_bytes,
                recipes: Some(Vec::new()),
                lists: Some(attachments.lists.clone()).filter(|lists| !lists.is_empty()),
            },
            extras: Extras { tree: captured.extras.tree },
            excluded: Some(text(&EXCLUDED)),
            stats: RawValue::from_string(captured.stats.to_json()).map_err(|error| internal(&error))?,
            new_packs: Some(packed.packs.clone()).filter(|packs| !packs.is_empty()),
            new_index,
            duration_seconds: self.seconds_since(times.began),
            bytes_added: packed.blobs.stored_bytes(),
        };
        manifest.snapshot_id = manifest.computed_id().parse().map_err(|error| internal(&error))?;
        Ok(manifest)
    }

    /// When the database was pinned, moved behind every snapshot that there is.
    fn created_at(&self, times: &Times) -> Result<String, CreateError> {
        let listing = self.repository.listing().map_err(CreateError::Listing)?;
        let last = listing.snapshots.last().and_then(time_of);
        let mut time = times.frozen;
        if let Some(last) = last.filter(|last| last.as_second() >= time.as_second()) {
            let next = last.checked_add(SignedDuration::from_secs(1)).map_err(|_| CreateError::Clock)?;
            if next.as_second() - time.as_second() > 3600 {
                self.context.observer.warn(
                    "the last snapshot is dated in the future, so this one is too; check the clock of this machine",
                );
            }
            time = next;
        }
        let text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        // Four digits of the year are all that an ID has room for.
        if text.len() == 20 { Ok(text) } else { Err(CreateError::Clock) }
    }

    pub(super) fn seconds_since(&self, time: Timestamp) -> f64 {
        (self.context.now)().duration_since(time).as_secs_f64().max(0.0)
    }

    fn update_cache(&self, manifest: &Manifest, captured: &Captured) {
        if manifest.db.map_chain_depth != 0 {
            return;
        }
        let folder = &self.request.home.cache_dir;
        let repo = &self.repository.config().repo_id;
        if let Err(error) = cache::write(folder, repo, &manifest.snapshot_id, &captured.pages.hashes) {
            let folder = folder.display();
            self.context.observer.warn(&format!("the page hashes are not cached in {folder}: {error}"));
        }
    }
}

/// The time in a snapshot's name.
fn time_of(id: &SnapshotId) -> Option<Timestamp> {
    let digits: Vec<char> = id.as_str().chars().take(15).collect();
    let part = |from: usize, to: usize| digits.get(from..to).map(|part| part.iter().collect::<String>());
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(9, 11)?, part(11, 13)?, part(13, 15)?);
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok()
}
