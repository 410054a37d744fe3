//! A repository in `File` objects, read inside a Worker.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use js_sys::Uint8Array;
use msgvault_verifier::store::{Entry, Store, StoreError, StoreFile};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use web_sys::{Blob, FileReaderSync};

use crate::read_ahead::{ReadAhead, press};

/// How much is read at a time of a file that is read in order: every read is a question to another process.
const READ_LEN: u64 = 8 << 20;
/// The most that is held of a file before it is asked for, in bytes.
const MAX_AHEAD: u64 = 32 << 20;

/// What a person chose: files by their path in the repository.
#[wasm_bindgen]
#[derive(Default)]
pub struct Files {
    chosen: BTreeMap<String, Chosen>,
    folders: BTreeSet<String>,
    ahead: Mutex<Option<ReadAhead>>,
}

enum Chosen {
    File(Blob),
    /// The browser would not hand it out.
    Refused(String),
}

#[wasm_bindgen]
impl Files {
    /// Nothing yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file.
    pub fn add(&mut self, path: &str, file: Blob) {
        self.insert(path, Chosen::File(file));
    }

    /// Adds a file that the browser lists and cannot open.
    #[wasm_bindgen(js_name = addRefused)]
    pub fn add_refused(&mut self, path: &str, reason: &str) {
        self.insert(path, Chosen::Refused(reason.to_owned()));
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

impl Files {
    /// A Worker is one thread, so that nobody ever waits here; only a store that says so by its type may be shared.
    fn ahead(&self) -> MutexGuard<'_, Option<ReadAhead>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&mut self, path: &str, chosen: Chosen) {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.add_folder(folder);
        }
        self.chosen.insert(path.to_owned(), chosen);
    }

    /// Waits for bytes that will be read next, so that nobody waits when they are read; of one file at a time.
    ///
    /// What cannot be had here is read, and fails, when it is asked for.
    pub(crate) async fn fetch(&self, path: &str, wanted: Range<u64>) {
        let mut ahead = self.ahead().take().filter(|ahead| ahead.leads_to(path, wanted.start));
        if wanted.end.saturating_sub(wanted.start) > MAX_AHEAD {
            return;
        }
        if ahead.is_none()
            && let Some(Chosen::File(file)) = self.chosen.get(path)
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

impl Store for Files {
    fn list(&self, folder: &str) -> Result<Vec<Entry>, StoreError> {
        if !folder.is_empty() && !self.folders.contains(folder) {
            return Err(StoreError::Missing { path: folder.to_owned() });
        }
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let inside =
            |path: &String| path.strip_prefix(&prefix).filter(|rest| !rest.contains('/')).map(str::to_owned);
        let below = |path: &&String| path.starts_with(&prefix);
        let folders = self.folders.range(prefix.clone()..).take_while(below).filter_map(inside);
        let mut entries: Vec<Entry> = folders.map(|name| Entry { name, is_folder: true, len: 0 }).collect();
        for (path, chosen) in self.chosen.range(prefix.clone()..).take_while(|(path, _)| below(path)) {
            let Some(name) = inside(path) else { continue };
            entries.push(Entry { name, is_folder: false, len: chosen.len() });
        }
        Ok(entries)
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreFile + '_>, StoreError> {
        let unreadable =
            |reason: &str| StoreError::Unreadable { path: path.to_owned(), reason: reason.to_owned() };
        match self.chosen.get(path) {
            Some(Chosen::File(file)) => {
                let reader = FileReaderSync::new().map_err(|_| unreadable("files cannot be read here"))?;
                let last = RefCell::new((0, Uint8Array::new_with_length(0)));
                let (len, files) = (len_of(file), self);
                Ok(Box::new(OpenFile { file, len, reader, path: path.to_owned(), files, last }))
            }
            Some(Chosen::Refused(reason)) => Err(unreadable(reason)),
            None if self.folders.contains(path) => Err(StoreError::NotAFile { path: path.to_owned() }),
            None => Err(StoreError::Missing { path: path.to_owned() }),
        }
    }
}

impl Chosen {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => len_of(file),
            Self::Refused(_) => 0,
        }
    }
}

/// Browsers tell lengths as floats, exact up to 2^53.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length is a whole number")]
fn len_of(file: &Blob) -> u64 {
    file.size() as u64
}

struct OpenFile<'a> {
    file: &'a Blob,
    len: u64,
    reader: FileReaderSync,
    path: String,
    files: &'a Files,
    /// Bytes that were read last, and where they begin.
    last: RefCell<(u64, Uint8Array)>,
}

impl OpenFile<'_> {
    fn unreadable(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Unreadable { path: self.path.clone(), reason: reason.into() }
    }

    fn read(&self, start: u64, end: u64) -> Result<Uint8Array, StoreError> {
        let failed = |error: JsValue| {
            let message = js_sys::Reflect::get(&error, &JsValue::from_str("message")).ok();
            let message = message.and_then(|message| message.as_string());
            self.unreadable(message.unwrap_or_else(|| "the browser cannot read it any more".to_owned()))
        };
        #[expect(clippy::cast_precision_loss, reason = "a file has less than 2^53 bytes")]
        let slice = self.file.slice_with_f64_and_f64(start as f64, end as f64).map_err(failed)?;
        let buffer = self.reader.read_as_array_buffer(&slice).map_err(failed)?;
        press(buffer.byte_length());
        if u64::from(buffer.byte_length()) == end.saturating_sub(start) {
            Ok(Uint8Array::new(&buffer))
        } else {
            Err(self.unreadable("it is shorter than it was when it was chosen"))
        }
    }
}

impl StoreFile for OpenFile<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let wanted = u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        let end = offset.checked_add(wanted).filter(|end| *end <= self.len);
        let end = end.ok_or_else(|| self.unreadable("it ends before the bytes that should be there"))?;
        if self.files.ahead().as_ref().is_some_and(|ahead| ahead.copy(&self.path, offset, buffer)) {
            return Ok(());
        }
        if wanted > READ_LEN {
            self.read(offset, end)?.copy_to(buffer);
            return Ok(());
        }
        let mut last = self.last.borrow_mut();
        let (start, bytes) = &mut *last;
        let read_until = start.saturating_add(u64::from(bytes.length()));
        if offset < *start || end > read_until {
            // Headers and footers are read alone; whoever goes on where he stopped will go on again.
            let goes_on = read_until > 0 && (*start..=read_until).contains(&offset);
            let until = if goes_on { self.len.min(offset.saturating_add(READ_LEN)) } else { end };
            *bytes = self.read(offset, until)?;
            *start = offset;
        }
        // Both lie within what was read, which is far below 2^32.
        let within = |position: u64| u32::try_from(position - *start).unwrap_or(u32::MAX);
        bytes.subarray(within(offset), within(end)).copy_to(buffer);
        Ok(())
    }
}
