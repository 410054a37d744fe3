//! A repository in `File` objects, read inside a Worker.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use js_sys::{ArrayBuffer, Uint8Array};
use msgvault_verifier::store::{Entry, Source, Store, StoreError};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use web_sys::{Blob, FileReaderSync};

/// How much is read at a time: every read is a question to another process, which may be busy.
const READ_AHEAD: u64 = 8 << 20;

/// What a person chose: files by their path in the repository.
#[wasm_bindgen]
#[derive(Default)]
pub struct Files {
    files: BTreeMap<String, Chosen>,
    folders: BTreeSet<String>,
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
    fn insert(&mut self, path: &str, chosen: Chosen) {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.add_folder(folder);
        }
        self.files.insert(path.to_owned(), chosen);
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
        for (path, chosen) in self.files.range(prefix.clone()..).take_while(|(path, _)| below(path)) {
            let Some(name) = inside(path) else { continue };
            entries.push(Entry { name, is_folder: false, len: chosen.len() });
        }
        Ok(entries)
    }

    fn open(&self, path: &str) -> Result<Box<dyn Source + '_>, StoreError> {
        let unreadable =
            |reason: &str| StoreError::Unreadable { path: path.to_owned(), reason: reason.to_owned() };
        match self.files.get(path) {
            Some(Chosen::File(file)) => {
                let reader = FileReaderSync::new().map_err(|_| unreadable("files cannot be read here"))?;
                let ahead = RefCell::new((0, Uint8Array::new_with_length(0)));
                Ok(Box::new(OpenFile { file, len: len_of(file), reader, path: path.to_owned(), ahead }))
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
    /// Bytes that were read already, and where they begin.
    ahead: RefCell<(u64, Uint8Array)>,
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

/// Makes the browser collect what it read more often: it counts only what scripts hold, and keeps as much again for
/// the pipe that the bytes came through. Memory that nobody touches is counted too, and costs nothing.
fn press(read: u32) {
    drop(ArrayBuffer::new(read));
}

impl Source for OpenFile<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let wanted = u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        let end = offset.checked_add(wanted).filter(|end| *end <= self.len);
        let end = end.ok_or_else(|| self.unreadable("it ends before the bytes that should be there"))?;
        if wanted > READ_AHEAD {
            self.read(offset, end)?.copy_to(buffer);
            return Ok(());
        }
        let mut ahead = self.ahead.borrow_mut();
        let (start, bytes) = &mut *ahead;
        if offset < *start || end - *start > u64::from(bytes.length()) {
            *bytes = self.read(offset, self.len.min(offset.saturating_add(READ_AHEAD)))?;
            *start = offset;
        }
        // Both lie within what was read, which is far below 2^32.
        let within = |position: u64| u32::try_from(position - *start).unwrap_or(u32::MAX);
        bytes.subarray(within(offset), within(end)).copy_to(buffer);
        Ok(())
    }
}
