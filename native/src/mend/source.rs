//! The living archive as a source of lost blobs. Whatever is found there has the hash of what was lost, so nothing
//! else about it matters: not when it was written, nor by whom, nor whether somebody writes meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Cursor, Read};

use msgvault_platform::{self as platform, Dir};
use msgvault_verifier::Observer;
use msgvault_verifier::format::id::{BlobId, PageHash};
use msgvault_verifier::format::page_size::PageSize;
use msgvault_verifier::format::path::RelativePath;
use msgvault_verifier::length::{to_u64, to_usize};
use sha2::{Digest, Sha256};

use super::lost::Wanted;
use crate::archive::content::Contents;
use crate::archive::place::Place;
use crate::home::Home;
use crate::repo::pack_writer::StreamedBlob;

/// Bytes that are read at once.
const PIECE_LEN: usize = 1 << 20;

/// The archive, held open.
pub(super) struct LiveArchive {
    // Dropped before the file below: closing that would take this one's locks away.
    contents: Option<Contents>,
    data_dir: Option<Dir>,
    database: Option<File>,
}

/// Where a blob is found.
pub(super) enum FoundAt {
    Attachment(BlobId),
    File(RelativePath),
    /// These pages of the database file, in this order.
    Pages(PageSize, Vec<u64>),
}

impl LiveArchive {
    /// Opens what is there of it.
    pub(super) fn open(home: &Home) -> Self {
        let database = File::open(&home.database).ok();
        let open = |place: Place| Contents::open(&home.attachments, &place);
        // A home that cannot be written to is read as it lies there.
        let contents = open(Place::live(&home.database)).or_else(|_| open(Place::still(&home.database))).ok();
        Self { contents, data_dir: Dir::open(&home.data_dir).ok(), database }
    }

    /// Finds what is wanted: the source of each that is there, proven, and its length; none when the observer said to
    /// stop.
    pub(super) fn find<'w>(
        &self,
        wanted: impl Iterator<Item = (&'w BlobId, &'w Wanted)> + Clone,
        observer: &dyn Observer,
    ) -> Option<BTreeMap<BlobId, (FoundAt, u64)>> {
        let mut pages: BTreeMap<PageSize, HashMap<PageHash, Option<u64>>> = BTreeMap::new();
        for (_, wanted) in wanted.clone() {
            if let Wanted::Pages(page_size, hashes) = wanted {
                pages.entry(*page_size).or_default().extend(hashes.values().map(|hash| (*hash, None)));
            }
        }
        for (page_size, places) in &mut pages {
            self.find_pages(*page_size, places, observer)?;
        }
        let mut found = BTreeMap::new();
        for (id, wanted) in wanted {
            if observer.cancelled() {
                return None;
            }
            let source = match wanted {
                Wanted::Attachment | Wanted::Unknown => Some(FoundAt::Attachment(*id)),
                Wanted::File(path) => RelativePath::parse(path).ok().map(FoundAt::File),
                Wanted::Pages(page_size, hashes) => {
                    pages.get(page_size).and_then(|places| all_pages(*page_size, hashes, places))
                }
                Wanted::Object(_) => None,
            };
            if let Some(source) = source
                && let Some(len) = self.proven(id, &source)
            {
                found.insert(*id, (source, len));
            }
        }
        Some(found)
    }

    /// Looks for pages of these hashes in the database file, as it is on the disk.
    fn find_pages(
        &self,
        page_size: PageSize,
        places: &mut HashMap<PageHash, Option<u64>>,
        observer: &dyn Observer,
    ) -> Option<()> {
        let Some(file) = &self.database else { return Some(()) };
        let count = file.metadata().map_or(0, |metadata| metadata.len()) / page_size.bytes();
        let step = to_u64(PIECE_LEN).max(page_size.bytes()) / page_size.bytes();
        let mut bytes = Vec::new();
        for first in (0..count).step_by(to_usize(step)) {
            if observer.cancelled() {
                return None;
            }
            bytes.resize(to_usize(step.min(count - first) * page_size.bytes()), 0);
            if platform::read_exact_at(file, first * page_size.bytes(), &mut bytes).is_err() {
                // Pages that cannot be read are not found.
                continue;
            }
            for (number, page) in (first..).zip(bytes.chunks(page_size.in_memory())) {
                if let Some(place) = places.get_mut(&PageHash::of(page)) {
                    *place = Some(number);
                }
            }
        }
        Some(())
    }

    /// How long a blob is, if its bytes are what its ID says.
    fn proven(&self, id: &BlobId, source: &FoundAt) -> Option<u64> {
        let mut reader = self.read(source).ok()?;
        let (mut hash, mut piece, mut len) = (Sha256::new(), vec![0; PIECE_LEN], 0u64);
        loop {
            match reader.read(&mut piece).ok()? {
                0 => break,
                read => {
                    hash.update(piece.get(..read)?);
                    len = len.saturating_add(to_u64(read));
                }
            }
        }
        (BlobId::from_bytes(hash.finalize().into()) == *id).then_some(len)
    }

    fn read(&self, source: &FoundAt) -> io::Result<Box<dyn Read + Send>> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        Ok(match source {
            FoundAt::Attachment(id) => {
                let contents = self.contents.as_ref().ok_or_else(gone)?;
                contents.find(*id).map_err(|error| io::Error::other(error.fault))?.reader
            }
            FoundAt::File(path) => Box::new(self.data_dir.as_ref().ok_or_else(gone)?.open_file(path)?),
            FoundAt::Pages(page_size, pages) => {
                let file = self.database.as_ref().ok_or_else(gone)?;
                let mut bytes = vec![0; pages.len() * page_size.in_memory()];
                for (number, page) in pages.iter().zip(bytes.chunks_mut(page_size.in_memory())) {
                    platform::read_exact_at(file, number * page_size.bytes(), page)?;
                }
                Box::new(Cursor::new(bytes))
            }
        })
    }
}

/// Where all pages of a blob are. One that no snapshot knows any more is nowhere.
fn all_pages(
    page_size: PageSize,
    hashes: &BTreeMap<u64, PageHash>,
    places: &HashMap<PageHash, Option<u64>>,
) -> Option<FoundAt> {
    let known: BTreeSet<u64> = hashes.keys().copied().collect();
    let is_gapless = known.iter().copied().eq(0..to_u64(known.len()));
    let pages: Option<Vec<u64>> = hashes.values().map(|hash| *places.get(hash)?).collect();
    pages.filter(|_| is_gapless).map(|pages| FoundAt::Pages(page_size, pages))
}

/// A blob that is read when it is written.
pub(super) struct Found<'a> {
    pub(super) archive: &'a LiveArchive,
    pub(super) source: FoundAt,
}

impl StreamedBlob for Found<'_> {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(self.archive.read(&self.source)?)
    }
}
