//! The next bytes of a file, which the browser reads while the Worker checks the ones before them.

use msgvault_verifier::length::{to_u32, to_u64};
use std::collections::VecDeque;
use std::ops::Range;

use js_sys::futures::JsFuture;
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, ReadableStreamDefaultReader, ReadableStreamReadResult};

/// How many bytes are read and thrown away, rather than reading the file anew from behind them.
const MAX_SKIP: u64 = 1 << 20;

/// A part of a file, in pieces as the browser gives them, and the stream that goes on behind them.
pub(crate) struct ReadAhead {
    path: String,
    stream: ReadableStreamDefaultReader,
    pieces: VecDeque<Uint8Array>,
    /// Where the pieces lie in the file.
    held: Range<u64>,
}

impl ReadAhead {
    /// Begins to read a file.
    pub(crate) fn begin(path: &str, file: &Blob, start: u64) -> Result<Self, JsValue> {
        #[expect(clippy::cast_precision_loss, reason = "a file has fewer than 2^53 bytes")]
        let rest = file.slice_with_f64(start as f64)?;
        let stream = rest.stream().get_reader().unchecked_into();
        Ok(Self { path: path.to_owned(), stream, pieces: VecDeque::new(), held: start..start })
    }

    /// Whether the stream is about to reach the bytes from `start` on.
    pub(crate) fn leads_to(&self, path: &str, start: u64) -> bool {
        self.path == path && (self.held.start..=self.held.end.saturating_add(MAX_SKIP)).contains(&start)
    }

    /// Waits until these bytes are held, and lets go of what lies before them. Fails where the file ends or
    /// cannot be read.
    pub(crate) async fn hold(&mut self, wanted: Range<u64>) -> Result<(), JsValue> {
        self.let_go(wanted.start);
        while self.held.end < wanted.end {
            let result: ReadableStreamReadResult = JsFuture::from(self.stream.read()).await?.unchecked_into();
            let piece: Uint8Array = result.get_value().dyn_into()?;
            press(piece.length());
            self.held.end = self.held.end.saturating_add(u64::from(piece.length()));
            self.pieces.push_back(piece);
            self.let_go(wanted.start);
        }
        Ok(())
    }

    fn let_go(&mut self, before: u64) {
        while let Some(first) = self.pieces.front() {
            let end = self.held.start.saturating_add(u64::from(first.length()));
            if end > before {
                return;
            }
            self.held.start = end;
            self.pieces.pop_front();
        }
    }

    /// Copies bytes if they are held, and says whether they were.
    pub(crate) fn copy(&self, path: &str, offset: u64, mut buffer: &mut [u8]) -> bool {
        let end = offset.saturating_add(to_u64(buffer.len()));
        if self.path != path || offset < self.held.start || end > self.held.end {
            return false;
        }
        // What is held has far fewer than 2^32 bytes.
        let mut skip = to_u32(offset - self.held.start);
        for piece in &self.pieces {
            if skip < piece.length() && !buffer.is_empty() {
                let room = to_u32(buffer.len());
                let part = piece.subarray(skip, piece.length().min(skip.saturating_add(room)));
                let (head, tail) = buffer.split_at_mut(buffer.len().min(part.length() as usize));
                part.copy_to(head);
                buffer = tail;
            }
            skip = skip.saturating_sub(piece.length());
        }
        buffer.is_empty()
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        // Nobody waits for the rest; whether it could have been read no longer matters.
        let _ = self.stream.cancel();
    }
}

/// Makes the browser free what it read more often: it counts only what scripts hold, and keeps as much again
/// for the pipe that the bytes came through. Memory that is never touched counts too, and costs nothing.
pub(crate) fn press(read: u32) {
    drop(ArrayBuffer::new(read));
}
