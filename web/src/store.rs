//! A repository in `File` objects, read inside a Worker.

use msgvault_verifier::length::{to_u32, to_u64};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use js_sys::Uint8Array;
use msgvault_verifier::store::{Store, StoreEntry, StoreError, StoreFile};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use web_sys::{Blob, FileReaderSync};

use crate::read_ahead::{ReadAhead, press};

/// How many bytes are read at a time from a file that is read in order: every read asks another process.
const READ_LEN: u64 = 8 << 20;
/// The most bytes of a file that are held before they are asked for.
const MAX_AHEAD: u64 = 32 << 20;
/// Why nothing can be read outside a Worker.
const NO_READER: &str = "files cannot be read here";

/// What a person chose: files by their path in the repository.
#[wasm_bindgen]
#[derive(Default)]
pub struct ChosenFiles {
    chosen: BTreeMap<String, ChosenFile>,
    folders: BTreeSet<String>,
    /// Folders that the browser would not list, and why: what is in them is unknown.
    refused_folders: BTreeMap<String, String>,
    /// Behind a mutex, for which nobody ever waits in a Worker: a store may be shared between threads.
    ahead: Mutex<Option<ReadAhead>>,
}

enum ChosenFile {
    File(Blob),
    /// The browser would not hand it out.
    Refused(String),
}

#[wasm_bindgen]
impl ChosenFiles {
    /// Holds no files yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file.
    pub fn add(&mut self, path: &str, file: Blob) {
        self.insert(path, ChosenFile::File(file));
    }

    /// Adds a file that the browser lists and cannot open, or a folder that it cannot list.
    #[wasm_bindgen(js_name = addRefused)]
    pub fn add_refused(&mut self, path: &str, reason: &str) {
        let reason = format!("the browser may not open it ({reason})");
        match path.strip_suffix('/') {
            Some(folder) => {
                self.add_folder(folder);
                self.refused_folders.insert(folder.to_owned(), reason);
            }
            None => self.insert(path, ChosenFile::Refused(reason)),
        }
    }

    /// Adds a folder, which may be empty.
    #[wasm_bindgen(js_name = addFolder)]
    pub fn add_folder(&mut self, path: &str) {
        let mut folder = path;
        while !folder.is_empty() && self.folders.insert(folder.to_owned()) {
            folder = folder.rsplit_once('/').map_or("", |(outer, _)| outer);
        }
    }
}

impl ChosenFiles {
    fn ahead(&self) -> MutexGuard<'_, Option<ReadAhead>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&mut self, path: &str, chosen: ChosenFile) {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.add_folder(folder);
        }
        self.chosen.insert(path.to_owned(), chosen);
    }

    /// Whether a file is still the one that was chosen, as far as the browser can tell.
    ///
    /// A browser compares the file with what it knew of it each time it is read anew, and not in between:
    /// whoever found something wrong in a file asks again, because it may have been replaced meanwhile.
    pub(crate) fn still_chosen(&self, path: &str) -> Result<(), StoreError> {
        let Some(ChosenFile::File(file)) = self.chosen.get(path) else { return Ok(()) };
        let reader = FileReaderSync::new().map_err(|_| unavailable(path, NO_READER))?;
        read(&reader, file, path, 0..len_of(file).min(1)).map(drop)
    }

    /// The innermost folder around a path that the browser would not list, and why.
    fn refused_around<'a>(&'a self, path: &'a str) -> Option<&'a str> {
        let around = path.match_indices('/').filter_map(|(end, _)| path.get(..end));
        around.filter_map(|folder| self.refused_folders.get(folder)).next_back().map(String::as_str)
    }

    /// Waits for the bytes of one file that will be read next, so that nobody has to wait when they are read.
    ///
    /// What cannot be had here is read, and fails, when it is asked for.
    pub(crate) async fn fetch(&self, path: &str, wanted: Range<u64>) {
        let mut ahead = self.ahead().take().filter(|ahead| ahead.leads_to(path, wanted.start));
        if wanted.end.saturating_sub(wanted.start) > MAX_AHEAD {
            return;
        }
        if ahead.is_none()
            && let Some(ChosenFile::File(file)) = self.chosen.get(path)
        {
            ahead = ReadAhead::begin(path, file, wanted.start).ok();
        }
        if let Some(mut ahead) = ahead
            && ahead.hold(wanted).await.is_ok()
        {
            *self.ahead() = Some(ahead);
        }
    }
}

impl Store for ChosenFiles {
    fn list(&self, folder: &str) -> Result<Vec<StoreEntry>, StoreError> {
        if let Some(reason) = self.refused_folders.get(folder) {
            return Err(unavailable(folder, reason));
        }
        if !folder.is_empty() && !self.folders.contains(folder) {
            return Err(StoreError::Missing { path: folder.to_owned() });
        }
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let inside =
            |path: &String| path.strip_prefix(&prefix).filter(|rest| !rest.contains('/')).map(str::to_owned);
        let below = |path: &&String| path.starts_with(&prefix);
        let folders = self.folders.range(prefix.clone()..).take_while(below).filter_map(inside);
        let mut entries: Vec<StoreEntry> =
            folders.map(|name| StoreEntry { name, is_folder: true, len: 0 }).collect();
        for (path, chosen) in self.chosen.range(prefix.clone()..).take_while(|(path, _)| below(path)) {
            let Some(name) = inside(path) else { continue };
            entries.push(StoreEntry { name, is_folder: false, len: chosen.len() });
        }
        Ok(entries)
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreFile + '_>, StoreError> {
        match self.chosen.get(path) {
            Some(ChosenFile::File(file)) => {
                let reader = FileReaderSync::new().map_err(|_| unavailable(path, NO_READER))?;
                let last = RefCell::new((0, Uint8Array::new_with_length(0)));
                let (len, files) = (len_of(file), self);
                Ok(Box::new(BrowserFile { file, len, reader, path: path.to_owned(), files, last }))
            }
            Some(ChosenFile::Refused(reason)) => Err(unavailable(path, reason)),
            None if self.folders.contains(path) => Err(StoreError::NotAFile { path: path.to_owned() }),
            None => match self.refused_around(path) {
                Some(reason) => Err(unavailable(path, &format!("its folder cannot be listed: {reason}"))),
                None => Err(StoreError::Missing { path: path.to_owned() }),
            },
        }
    }
}

impl ChosenFile {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => len_of(file),
            Self::Refused(_) => 0,
        }
    }
}

/// Browsers give lengths as floats, which are exact up to 2^53.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length is a whole number")]
fn len_of(file: &Blob) -> u64 {
    file.size() as u64
}

struct BrowserFile<'a> {
    file: &'a Blob,
    len: u64,
    reader: FileReaderSync,
    path: String,
    files: &'a ChosenFiles,
    /// Where the bytes that were read last begin, and the bytes.
    last: RefCell<(u64, Uint8Array)>,
}

/// A file that the browser would not hand out, or not any more. Whether it is intact is unknown.
fn unavailable(path: &str, reason: &str) -> StoreError {
    StoreError::Unavailable { path: path.to_owned(), reason: reason.to_owned() }
}

/// Reads a part of a file anew, and fails when the file is not the one that was chosen any more.
fn read(
    reader: &FileReaderSync,
    file: &Blob,
    path: &str,
    range: Range<u64>,
) -> Result<Uint8Array, StoreError> {
    let failed = |error: JsValue| unavailable(path, &describe(&error));
    #[expect(clippy::cast_precision_loss, reason = "a file has fewer than 2^53 bytes")]
    let slice = file.slice_with_f64_and_f64(range.start as f64, range.end as f64).map_err(failed)?;
    let buffer = reader.read_as_array_buffer(&slice).map_err(failed)?;
    press(buffer.byte_length());
    if u64::from(buffer.byte_length()) == range.end.saturating_sub(range.start) {
        Ok(Uint8Array::new(&buffer))
    } else {
        Err(unavailable(path, "it is shorter than it was when it was chosen"))
    }
}

/// Why a browser did not read a file; its own messages do not tell.
fn describe(error: &JsValue) -> String {
    let text = |name: &str| js_sys::Reflect::get(error, &JsValue::from_str(name)).ok()?.as_string();
    match text("name").as_deref() {
        Some("NotFoundError") => "it is not there any more, or was replaced after it was chosen".to_owned(),
        Some("NotReadableError") => "it changed after it was chosen, or cannot be read".to_owned(),
        Some("NotAllowedError" | "SecurityError") => "the browser may not read it".to_owned(),
        _ => text("message").unwrap_or_else(|| "the browser cannot read it any more".to_owned()),
    }
}

impl StoreFile for BrowserFile<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let wanted = to_u64(buffer.len());
        let end = offset.checked_add(wanted).filter(|end| *end <= self.len);
        let end = end.ok_or_else(|| StoreError::Unreadable {
            path: self.path.clone(),
            reason: "it ends before the bytes that should be there".to_owned(),
        })?;
        if self.files.ahead().as_ref().is_some_and(|ahead| ahead.copy(&self.path, offset, buffer)) {
            return Ok(());
        }
        if wanted > READ_LEN {
            read(&self.reader, self.file, &self.path, offset..end)?.copy_to(buffer);
            return Ok(());
        }
        let mut last = self.last.borrow_mut();
        let (start, bytes) = &mut *last;
        let read_until = start.saturating_add(u64::from(bytes.length()));
        if offset < *start || end > read_until {
            // Headers and footers are read alone; whoever continues where the last read ended will continue
            // again.
            let goes_on = read_until > 0 && (*start..=read_until).contains(&offset);
            let until = if goes_on { self.len.min(offset.saturating_add(READ_LEN)) } else { end };
            *bytes = read(&self.reader, self.file, &self.path, offset..until)?;
            *start = offset;
        }
        // Both lie within what was read, which has far fewer than 2^32 bytes.
        let within = |position: u64| to_u32(position - *start);
        bytes.subarray(within(offset), within(end)).copy_to(buffer);
        Ok(())
    }
}
