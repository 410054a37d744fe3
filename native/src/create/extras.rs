//! Files beside database and attachments (`docs/format.md` §8).

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use msgvault_platform::{Dir, Kind};
use msgvault_verifier::format::extras::{self, ExtraFile};
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::path::{ExtraPath, RelativePath};
use msgvault_verifier::length::{to_u64, to_usize};

use super::{Capture, CreateError, ExtrasError, stop_if_cancelled};
use crate::phase;
use crate::repo::pack_writer::{
    Fault, PackKind, PackSink, STREAM_FROM, SourceFault, StreamedBlob, Ticket, Unnamed,
};

/// The captured files.
pub(super) struct CapturedExtras {
    /// The tree; none when nothing was captured.
    pub(super) tree: Option<BlobId>,
    /// Files.
    pub(super) files: u64,
    /// Bytes of the files.
    pub(super) bytes: u64,
}

/// The files that were handed over, in order.
#[derive(Default)]
pub(super) struct HandedOverExtras(Vec<(Ticket, PathBuf)>);

impl HandedOverExtras {
    /// Names the file that a fault is about, if it is about one.
    pub(super) fn explain(&self, fault: SourceFault) -> Result<ExtrasError, SourceFault> {
        let position = self.0.binary_search_by_key(&fault.ticket, |(ticket, _)| *ticket);
        let Some((_, path)) = position.ok().and_then(|position| self.0.get(position)) else {
            return Err(fault);
        };
        Ok(unreadable(path)(match fault.what {
            Fault::Unreadable(error) => error,
            other => io::Error::other(other.to_string()),
        }))
    }
}

/// A file to be captured.
struct FoundFile {
    dir: Arc<Dir>,
    /// Its path below `dir`.
    source: RelativePath,
    /// Its path for messages.
    full: PathBuf,
    target: ExtraPath,
    mode: u32,
}

impl StreamedBlob for FoundFile {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.dir.open_file(&self.source)?))
    }
}

/// Fails at once over what would fail only after database and attachments were read.
///
/// Files come and go meanwhile, so that those to be captured are found anew when their turn comes.
pub(super) fn check(capture: &Capture<'_>) -> Result<(), CreateError> {
    for file in find(capture)? {
        stop_if_cancelled(capture)?;
        file.open().map_err(unreadable(&file.full))?;
    }
    Ok(())
}

/// Hands over every file, and the tree that lists them.
pub(super) fn store(
    capture: &Capture<'_>,
    sink: &PackSink<'_, '_>,
    handed_over: &mut HandedOverExtras,
) -> Result<CapturedExtras, CreateError> {
    capture.context.observer.begin(phase::EXTRAS, 0);
    let found = find(capture)?;
    let mut files = Vec::with_capacity(found.len());
    for file in found {
        stop_if_cancelled(capture)?;
        let (path, mode, full) = (file.target.clone(), file.mode, file.full.clone());
        let (blob, size) = hand_over(capture, file, sink)?;
        handed_over.0.push((blob.ticket(), full));
        files.push((blob, path, mode, size));
    }
    let files = files
        .into_iter()
        .map(|(blob, path, mode, size)| Ok(ExtraFile { path, mode, size, blob: sink.id_of(blob)? }));
    let files = files.collect::<Result<Vec<_>, CreateError>>()?;
    let tree = if files.is_empty() {
        None
    } else {
        let tree = sink.add(PackKind::Metadata, extras::encode(&files))?;
        Some(sink.id_of(tree)?)
    };
    let bytes = files.iter().fold(0u64, |sum, file| sum.saturating_add(file.size));
    Ok(CapturedExtras { tree, files: to_u64(files.len()), bytes })
}

fn hand_over(
    capture: &Capture<'_>,
    file: FoundFile,
    sink: &PackSink<'_, '_>,
) -> Result<(Unnamed, u64), CreateError> {
    let full = file.full.clone();
    let opened = file.dir.open_file(&file.source).map_err(unreadable(&full))?;
    let len = opened.metadata().map_err(unreadable(&full))?.len();
    if len >= STREAM_FROM {
        return Ok((sink.add_stream(PackKind::Metadata, Box::new(file), len)?, len));
    }
    let mut bytes = Vec::with_capacity(to_usize(len));
    // What is appended meanwhile belongs to the next snapshot.
    opened.take(len).read_to_end(&mut bytes).map_err(unreadable(&full))?;
    let size = to_u64(bytes.len());
    capture.context.observer.advance(size);
    Ok((sink.add(PackKind::Metadata, bytes)?, size))
}

/// Finds everything that is to be captured, sorted by path, no two of which are one file anywhere.
fn find(capture: &Capture<'_>) -> Result<Vec<FoundFile>, ExtrasError> {
    let home = capture.request.home;
    let mut search = Search { root: home.data_dir.clone(), found: Vec::new(), faults: Vec::new() };
    let data_dir = Arc::new(Dir::open(&home.data_dir).map_err(unreadable(&home.data_dir))?);
    search.folder(&data_dir, "deletions")?;
    if capture.request.include_tokens {
        search.folder(&data_dir, "tokens")?;
        search.client_secrets(&data_dir)?;
    }
    if capture.request.include_config {
        let config = home.config_file.as_deref().ok_or(ExtrasError::NoConfig)?;
        search.config(config)?;
    }
    search.finish()
}

struct Search {
    root: PathBuf,
    found: Vec<FoundFile>,
    /// What no restore could place, so that all of it is told at once.
    faults: Vec<ExtrasError>,
}

impl Search {
    /// Everything below a folder; a missing one holds nothing.
    fn folder(&mut self, data_dir: &Arc<Dir>, name: &str) -> Result<(), ExtrasError> {
        let mut folders = vec![name.to_owned()];
        while let Some(folder) = folders.pop() {
            let full = self.root.join(&folder);
            let path = relative(&folder)?;
            match data_dir.stat(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && folder == name => return Ok(()),
                Ok(stat) if stat.kind == Kind::Link => return Err(ExtrasError::Link { path: full }),
                Ok(_) => {}
                Err(error) => return Err(unreadable(&full)(error)),
            }
            let opened = data_dir.open_dir(&path).map_err(unreadable(&full))?;
            for entry in opened.entries().map_err(unreadable(&full))? {
                let Some(text) = entry.text else {
                    self.faults.push(ExtrasError::NotText { path: full.join(entry.name) });
                    continue;
                };
                let path = format!("{folder}/{text}");
                if self.entry(data_dir, &path)? {
                    folders.push(path);
                }
            }
        }
        Ok(())
    }

    /// `client_secret*.json` beside the database.
    fn client_secrets(&mut self, data_dir: &Arc<Dir>) -> Result<(), ExtrasError> {
        for entry in data_dir.entries().map_err(unreadable(&self.root))? {
            let is_secret = |name: &&String| name.starts_with("client_secret") && has_json_suffix(name);
            if let Some(name) = entry.text.as_ref().filter(is_secret) {
                self.entry(data_dir, name)?;
            }
        }
        Ok(())
    }

    /// The configuration that was loaded, wherever it is, as `config.toml`.
    fn config(&mut self, path: &Path) -> Result<(), ExtrasError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let not_text = || ExtrasError::NotText { path: path.to_owned() };
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(not_text)?;
        let dir = Arc::new(Dir::open(folder).map_err(unreadable(folder))?);
        self.file(&dir, relative(name)?, path.to_owned(), "config.toml").map(drop)
    }

    /// Takes a file; says whether it is a folder instead. What is neither is left out.
    fn entry(&mut self, data_dir: &Arc<Dir>, path: &str) -> Result<bool, ExtrasError> {
        // Checked as it stands, before cleaning could join two components.
        let full = self.root.join(path);
        match relative(path).and_then(|source| self.file(data_dir, source, full, path)) {
            Err(ExtrasError::Unreadable { path, source }) => Err(ExtrasError::Unreadable { path, source }),
            Err(fault) => {
                self.faults.push(fault);
                Ok(false)
            }
            found => found,
        }
    }

    fn file(
        &mut self,
        dir: &Arc<Dir>,
        source: RelativePath,
        full: PathBuf,
        target: &str,
    ) -> Result<bool, ExtrasError> {
        let stat = dir.stat(&source).map_err(unreadable(&full))?;
        match stat.kind {
            Kind::Link => return Err(ExtrasError::Link { path: full }),
            Kind::Folder => return Ok(true),
            Kind::Other => return Ok(false),
            Kind::File => {}
        }
        let target = ExtraPath::parse(target).map_err(|source| ExtrasError::BadPath { source })?;
        self.found.push(FoundFile { dir: Arc::clone(dir), source, full, target, mode: stat.mode & 0o777 });
        Ok(false)
    }

    fn finish(mut self) -> Result<Vec<FoundFile>, ExtrasError> {
        self.found.sort_by(|a, b| a.target.cmp(&b.target));
        let mut seen: HashMap<String, &str> = HashMap::with_capacity(self.found.len());
        for file in &self.found {
            let path = file.target.relative();
            if let Some(first) = seen.insert(path.folded(), path.as_str()) {
                let (first, second) = (first.to_owned(), path.as_str().to_owned());
                self.faults.push(ExtrasError::SamePath { first, second });
            }
        }
        match self.faults.len() {
            0 => Ok(self.found),
            1 => Err(self.faults.remove(0)),
            _ => Err(ExtrasError::Several(self.faults.iter().map(ToString::to_string).collect())),
        }
    }
}

fn has_json_suffix(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "json")
}

fn relative(path: &str) -> Result<RelativePath, ExtrasError> {
    RelativePath::parse(path).map_err(|source| ExtrasError::BadPath { source })
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> ExtrasError {
    let path = path.to_owned();
    move |source| ExtrasError::Unreadable { path, source }
}
