//! Finding and reading the bytes of an attachment, wherever the archive keeps them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use msgvault_platform::{self as platform, Dir};
use msgvault_verifier::format::id::{BlobId, PackId};
use msgvault_verifier::format::pack::{Encoding, PackEntry};
use msgvault_verifier::format::path::{PathError, RelativePath};
use msgvault_verifier::store::{StoreError, StoreFile};
use msgvault_verifier::{FrameError, Pack, ReadError};
use rusqlite::Connection;
use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::decompress::Zstd;

use super::compressed;
use super::content_table::{self, RecordedContent};
use super::pack_index::{self, IndexFault};
use super::place::Place;
use super::schema;
use super::users::{self, AttachmentUser};

/// Packed contents up to this many bytes are decoded in memory; larger ones are checked first and then
/// decoded again as a stream.
const IN_MEMORY: u64 = 8 << 20;
/// Footers that are kept, since the contents of one pack are mostly wanted one after another.
const FOOTERS: usize = 8;

/// The contents of an archive's attachments; several threads may read at once.
pub struct Contents {
    root: PathBuf,
    attachments: Option<Dir>,
    connection: Mutex<Connection>,
    footers: Mutex<VecDeque<(PackId, Arc<Vec<PackEntry>>)>>,
}

/// The bytes of one content, not yet hashed.
pub struct Content {
    /// How many bytes there are now.
    pub len: u64,
    /// The bytes. They are the content's only if their SHA-256 says so.
    pub reader: Box<dyn Read + Send>,
}

/// A content that cannot be captured, and who uses it.
#[derive(Debug, thiserror::Error)]
#[error("attachment {id} at {path:?}, used by {}: {fault}", users::text(users))]
pub struct ContentError {
    /// Its SHA-256.
    pub id: BlobId,
    /// The path that is recorded for it.
    pub path: String,
    /// The first rows of `attachments` that use it.
    pub users: Vec<AttachmentUser>,
    /// What is wrong.
    pub fault: ContentFault,
}

/// What is wrong with a content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentFault {
    /// It is in no pack, and not at its canonical place or the recorded one, compressed or not.
    #[error("its file is gone; restore it from an older backup")]
    Missing,
    /// The pack that the tables name for it is not there, and it is nowhere else.
    #[error("its pack attachments/{} is gone; restore it from an older backup", pack.path())]
    MissingPack {
        /// The pack.
        pack: PackId,
    },
    /// Its file cannot be read.
    #[error("its file cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Its bytes have changed.
    #[error(
        "its file has changed or is damaged: its bytes have the hash {found}; restore it from an older backup"
    )]
    Changed {
        /// The hash of the bytes that are there.
        found: BlobId,
    },
    /// The recorded path leads out of the attachments.
    #[error("{0}")]
    UnsafePath(#[from] PathError),
    /// The tables of packed contents cannot be used.
    #[error(transparent)]
    Index(#[from] IndexFault),
    /// Its pack cannot be used.
    #[error("its pack {pack} is damaged: {error}")]
    Pack {
        /// The pack.
        pack: PackId,
        /// Why.
        error: ReadError,
    },
    /// The tables and the pack say different things.
    #[error("attachment_pack_index says where pack {pack} holds it, and the pack's footer says otherwise")]
    Disagrees {
        /// The pack.
        pack: PackId,
    },
    /// Its bytes in the pack cannot be trusted.
    #[error("in pack {pack}: {error}")]
    Frame {
        /// The pack.
        pack: PackId,
        /// Why.
        error: FrameError,
    },
}

/// Why contents cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder of attachments is there and cannot be opened.
    #[error("the attachments in {} cannot be opened: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database cannot be opened for reading.
    #[error("the database {} cannot be opened for reading: {source}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl Serialize for ContentError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("ContentError", 4)?;
        object.serialize_field("id", &self.id.to_string())?;
        object.serialize_field("path", &self.path)?;
        object.serialize_field("fault", &self.fault.to_string())?;
        object.serialize_field("used_by", &self.users)?;
        object.end()
    }
}

impl Contents {
    /// Opens the folder of attachments, which need not exist, and a connection that reads the database.
    ///
    /// Only after the pinned session was closed: closing its file would take this connection's locks away.
    pub fn open(attachments: &Path, database: &Place) -> Result<Self, OpenError> {
        let dir = match Dir::open(attachments) {
            Ok(dir) => Some(dir),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(OpenError::Folder { path: attachments.to_owned(), source }),
        };
        let connection = database
            .connect()
            .map_err(|source| OpenError::Database { path: database.path().to_owned(), source })?;
        let root = attachments.to_owned();
        Ok(Self { root, attachments: dir, connection: Mutex::new(connection), footers: Mutex::default() })
    }

    /// Finds a content and opens it: in a pack, at its canonical place, at the recorded path.
    ///
    /// Maintenance may move a content while it is looked for, so the search begins once more before it fails.
    pub fn read(&self, recorded: &RecordedContent) -> Result<Content, ContentError> {
        let found = match self.search(recorded) {
            Ok(None) => self.search(recorded),
            found => found,
        };
        let fault = match found {
            Ok(Some(content)) => return Ok(content),
            Ok(None) => self.missing(recorded),
            Err(fault) => fault,
        };
        Err(self.failed(recorded, fault))
    }

    /// Opens a content of which nothing but its SHA-256 is known.
    pub fn find(&self, id: BlobId) -> Result<Content, ContentError> {
        let recorded = schema::recorded_path(&self.connection(), &id).unwrap_or_default();
        let path = recorded.unwrap_or_else(|| content_table::canonical_path(&id));
        self.read(&RecordedContent { id, path, size_hint: None })
    }

    /// The error for a content whose bytes turned out to be others.
    pub fn changed(&self, recorded: &RecordedContent, found: BlobId) -> ContentError {
        self.failed(recorded, ContentFault::Changed { found })
    }

    /// The error for a content that could not be read to its end.
    pub fn unreadable(&self, recorded: &RecordedContent, error: io::Error) -> ContentError {
        self.failed(recorded, ContentFault::Unreadable(error))
    }

    fn failed(&self, recorded: &RecordedContent, fault: ContentFault) -> ContentError {
        // Without the rows the message is still worth having.
        let users = users::of(&self.connection(), &recorded.id).unwrap_or_default();
        ContentError { id: recorded.id, path: recorded.path.clone(), users, fault }
    }

    fn missing(&self, recorded: &RecordedContent) -> ContentFault {
        match pack_index::find(&self.connection(), &recorded.id) {
            Ok(Some(row)) => ContentFault::MissingPack { pack: row.pack },
            _ => ContentFault::Missing,
        }
    }

    fn search(&self, recorded: &RecordedContent) -> Result<Option<Content>, ContentFault> {
        let packed = pack_index::find(&self.connection(), &recorded.id)?;
        if let Some(row) = packed
            && let Some(content) = self.packed(&row)?
        {
            return Ok(Some(content));
        }
        let canonical = content_table::canonical_path(&recorded.id);
        if let Some(content) = self.loose(&canonical)? {
            return Ok(Some(content));
        }
        if recorded.path == canonical { Ok(None) } else { self.loose(&recorded.path) }
    }

    fn loose(&self, path: &str) -> Result<Option<Content>, ContentFault> {
        let plain = RelativePath::parse(path)?;
        if let Some(file) = self.open_file(&plain)? {
            return Ok(Some(Content { len: file.metadata()?.len(), reader: Box::new(file) }));
        }
        let packed = RelativePath::parse(&format!("{path}{}", compressed::SUFFIX))?;
        let Some(file) = self.open_file(&packed)? else { return Ok(None) };
        let (len, reader) = compressed::open(file)?;
        Ok(Some(Content { len, reader }))
    }

    /// Opens a file; `None` when it is not there.
    fn open_file(&self, path: &RelativePath) -> io::Result<Option<File>> {
        let Some(dir) = &self.attachments else { return Ok(None) };
        match dir.open_file(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => self.open_behind_link(path).map_or(Err(error), |file| Ok(Some(file))),
        }
    }

    /// Opens a file in a folder that is a link, if it leads to a place within the home. Whatever is there, only
    /// bytes of the right hash are captured.
    fn open_behind_link(&self, path: &RelativePath) -> Option<File> {
        let home = self.root.parent()?.canonicalize().ok()?;
        let (folder, name) = path.as_str().rsplit_once('/')?;
        let folder = self.root.join(folder).canonicalize().ok().filter(|folder| folder.starts_with(home))?;
        Dir::open(&folder).ok()?.open_file(&RelativePath::parse(name).ok()?).ok()
    }

    fn packed(&self, row: &pack_index::Row) -> Result<Option<Content>, ContentFault> {
        let pack = row.pack;
        // The same layout as in a repository.
        let path = RelativePath::parse(&pack.path())?;
        let Some(file) = self.open_file(&path)? else { return Ok(None) };
        let opened = self.open_pack(pack, file.try_clone()?);
        let opened = opened.map_err(|error| ContentFault::Pack { pack, error })?;
        let entry = opened.find(&row.id).iter().find(|entry| row.agrees(entry));
        let entry = entry.ok_or(ContentFault::Disagrees { pack })?;
        let reader = decode(&opened, entry, file).map_err(|error| ContentFault::Frame { pack, error })?;
        Ok(Some(Content { len: entry.raw_len, reader }))
    }

    fn open_pack(&self, pack: PackId, file: File) -> Result<Pack<'static>, ReadError> {
        let source = Box::new(OpenFile::new(file, pack.path())?);
        let mut footers = lock(&self.footers);
        if let Some((_, entries)) = footers.iter().find(|(id, _)| *id == pack) {
            return Ok(Pack::with_footer(source, &Zstd, Arc::clone(entries)));
        }
        drop(footers);
        let opened = Pack::new(source, &Zstd)?;
        footers = lock(&self.footers);
        footers.truncate(FOOTERS - 1);
        footers.push_front((pack, opened.footer()));
        Ok(opened)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        lock(&self.connection)
    }
}

/// What is locked here is whole between any two statements, so a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The raw bytes of an entry whose stored bytes, length and hash were checked.
fn decode(pack: &Pack<'_>, entry: &PackEntry, mut file: File) -> Result<Box<dyn Read + Send>, FrameError> {
    if entry.raw_len <= IN_MEMORY {
        return Ok(Box::new(Cursor::new(pack.read(entry, IN_MEMORY)?)));
    }
    pack.stream(entry, &mut |_| ControlFlow::Continue(()))?;
    let again = |error: io::Error| FrameError::Store(unreadable("the pack", &error));
    file.seek(SeekFrom::Start(entry.offset)).map_err(again)?;
    let stored = file.take(entry.stored_len);
    match entry.encoding {
        Encoding::Raw => Ok(Box::new(stored)),
        Encoding::Zstd => Ok(Box::new(Zstd::reader(stored).map_err(again)?)),
    }
}

/// An opened pack as the reader of packs wants it.
struct OpenFile {
    file: File,
    len: u64,
    path: String,
}

impl OpenFile {
    fn new(file: File, path: String) -> Result<Self, StoreError> {
        let len = file.metadata().map_err(|error| unreadable(&path, &error))?.len();
        Ok(Self { file, len, path })
    }
}

impl StoreFile for OpenFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        platform::read_exact_at(&self.file, offset, buffer).map_err(|error| unreadable(&self.path, &error))
    }
}

fn unreadable(path: &str, error: &io::Error) -> StoreError {
    StoreError::Unreadable { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests;
