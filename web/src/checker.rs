//! Checks one pack after another, in a Worker of its own.

use std::cell::Cell;
use std::io::{self, BufRead, Read};

use js_sys::Function;
use msgvault_verifier::format::zstd_frame::FrameHeader;
use msgvault_verifier::verify::{Depth, PackJob, PackOutcome, check_job};
use msgvault_verifier::{Decompressor, Observer, Ruzstd};
use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::failure::Failure;
use crate::store::Files;

/// The largest window of a compressed blob, in bytes: what a browser gives to a page is not ours alone.
const MAX_WINDOW: u64 = 256 << 20;
/// Bytes between two reports of progress.
const PROGRESS_STEP: u64 = 512 << 10;

/// The decoder without C, with a limit to its memory.
pub(crate) struct Bounded;

impl Decompressor for Bounded {
    fn decoder<'a>(
        &self,
        header: &FrameHeader,
        frame: &'a mut dyn BufRead,
    ) -> io::Result<Box<dyn Read + 'a>> {
        Ruzstd.decoder(header, frame)
    }

    fn max_window(&self) -> u64 {
        MAX_WINDOW
    }
}

/// Checks packs.
#[wasm_bindgen]
pub struct Checker {
    files: Files,
}

/// What a checker answers: the outcome for the map of packs, and the result for the session.
#[derive(Serialize)]
struct Checked {
    outcome: PackOutcome,
    result: String,
}

#[wasm_bindgen]
impl Checker {
    /// Takes the files of a repository.
    #[wasm_bindgen(constructor)]
    pub fn new(files: Files) -> Self {
        Self { files }
    }

    /// Does a job that a session gave out; `advance` is called with the bytes that were done since the last call.
    pub fn check(&self, job: &str, quick: bool, advance: &Function) -> Result<String, JsValue> {
        let job = PackJob::from_json(job).map_err(Failure::of)?;
        let progress = Progress { advance, pending: Cell::new(0) };
        let depth = if quick { Depth::Quick } else { Depth::Full };
        let result = check_job(&self.files, &Bounded, &job, depth, &progress);
        progress.flush();
        let checked = Checked { outcome: result.outcome(), result: result.to_json().map_err(Failure::of)? };
        Ok(serde_json::to_string(&checked).map_err(Failure::of)?)
    }
}

struct Progress<'a> {
    advance: &'a Function,
    pending: Cell<u64>,
}

impl Progress<'_> {
    fn flush(&self) {
        #[expect(clippy::cast_precision_loss, reason = "for people only")]
        let bytes = self.pending.take() as f64;
        // A page that cannot draw progress still wants the result.
        let _ = self.advance.call1(&JsValue::NULL, &JsValue::from_f64(bytes));
    }
}

impl Observer for Progress<'_> {
    fn advance(&self, bytes: u64) {
        self.pending.set(self.pending.get().saturating_add(bytes));
        if self.pending.get() >= PROGRESS_STEP {
            self.flush();
        }
    }
}
