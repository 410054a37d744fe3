//! The browser's own SHA-256, which is faster than WebAssembly's and answers later.

use std::collections::VecDeque;

use js_sys::futures::JsFuture;
use js_sys::{Promise, Uint8Array};
use msgvault_verifier::verify::{PackCheck, UnprovenBlob};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{SubtleCrypto, WorkerGlobalScope};

use crate::failure::Failure;

/// The smallest blob that is given to the browser, in bytes; asking takes longer than hashing less.
const MIN_BLOB: u64 = 8 << 10;
/// The largest, in bytes: it is held in memory as a whole, and again as the browser's copy.
const MAX_BLOB: u64 = 32 << 20;
/// Bytes that the browser may be hashing at a time, unless it is one blob.
const MAX_PENDING: usize = 32 << 20;

/// Blobs that are being hashed, oldest first.
pub(crate) struct Digests {
    /// None where the page came from another machine without encryption.
    subtle: Option<SubtleCrypto>,
    pending: VecDeque<Pending>,
    bytes: usize,
}

struct Pending {
    blob: UnprovenBlob,
    len: usize,
    digest: Promise,
}

impl Digests {
    /// Looks for the browser's SHA-256.
    pub(crate) fn new() -> Self {
        let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
        let subtle = scope.crypto().ok().map(|crypto| crypto.subtle());
        let subtle = subtle.filter(|subtle| !subtle.is_undefined());
        Self { subtle, pending: VecDeque::new(), bytes: 0 }
    }

    /// Checks all blobs of a job. Fails when the browser cannot hash one, for want of memory.
    pub(crate) async fn check(&mut self, check: &mut PackCheck<'_>) -> Result<(), JsValue> {
        let mut raw = Vec::new();
        let Some(subtle) = self.subtle.clone() else {
            let _ = check.next_unproven(|_| false, &mut raw);
            return Ok(());
        };
        let is_mine = |len| (MIN_BLOB..=MAX_BLOB).contains(&len);
        while let Some(blob) = check.next_unproven(is_mine, &mut raw) {
            while !self.pending.is_empty() && self.bytes + raw.len() > MAX_PENDING {
                self.settle_oldest(check).await?;
            }
            // The browser takes a copy before this returns, so that `raw` is free for the next blob.
            let digest = subtle.digest_with_str_and_u8_array("SHA-256", &raw)?;
            self.bytes += raw.len();
            self.pending.push_back(Pending { blob, len: raw.len(), digest });
        }
        while !self.pending.is_empty() {
            self.settle_oldest(check).await?;
        }
        Ok(())
    }

    async fn settle_oldest(&mut self, check: &mut PackCheck<'_>) -> Result<(), JsValue> {
        let Some(Pending { blob, len, digest }) = self.pending.pop_front() else { return Ok(()) };
        let digest = Uint8Array::new(&JsFuture::from(digest).await?).to_vec();
        let digest = digest.try_into().map_err(|_| Failure::of("the browser's SHA-256 is none"))?;
        check.settle(blob, &digest);
        self.bytes -= len;
        Ok(())
    }
}
