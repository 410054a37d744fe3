//! The browser's own SHA-256, which is faster than WebAssembly's but answers only later.

use std::collections::VecDeque;

use js_sys::futures::JsFuture;
use js_sys::{Promise, Uint8Array};
use msgvault_verifier::verify::{PackCheck, UnprovenBlob};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{SubtleCrypto, WorkerGlobalScope};

use crate::failure::CallFailure;

/// The smallest blob that the browser is asked to hash, in bytes: with less, asking takes longer than
/// hashing.
const MIN_BLOB: u64 = 8 << 10;
/// The largest one, in bytes: it is held in memory as a whole, and again as the browser's copy.
const MAX_BLOB: u64 = 32 << 20;
/// How many bytes the browser may be hashing at a time; a single blob may have more.
const MAX_PENDING: usize = 4 << 20;

/// Blobs that are being hashed, oldest first.
pub(crate) struct Digests {
    /// None where the page was loaded from another machine without encryption: browsers withhold it there.
    subtle: Option<SubtleCrypto>,
    pending: VecDeque<PendingDigest>,
    bytes: usize,
    /// The bytes of the blob that was read last.
    raw: Vec<u8>,
}

struct PendingDigest {
    blob: UnprovenBlob,
    len: usize,
    digest: Promise,
}

impl Digests {
    /// Finds out whether the browser offers its SHA-256.
    pub(crate) fn new() -> Self {
        let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
        let subtle = scope.crypto().ok().map(|crypto| crypto.subtle());
        let subtle = subtle.filter(|subtle| !subtle.is_undefined());
        Self { subtle, pending: VecDeque::new(), bytes: 0, raw: Vec::new() }
    }

    /// Checks the next blob of a job. Fails when the browser cannot hash it, for want of memory.
    pub(crate) async fn next(&mut self, check: &mut PackCheck<'_>) -> Result<(), JsValue> {
        let is_mine = |len| self.subtle.is_some() && (MIN_BLOB..=MAX_BLOB).contains(&len);
        let Some(blob) = check.next(is_mine, &mut self.raw) else { return Ok(()) };
        let Some(subtle) = self.subtle.clone() else { return Ok(()) };
        while !self.pending.is_empty() && self.bytes + self.raw.len() > MAX_PENDING {
            self.settle_oldest(check).await?;
        }
        // The browser takes a copy before this returns, so `raw` is free for the next blob.
        let digest = subtle.digest_with_str_and_u8_array("SHA-256", &self.raw)?;
        self.bytes += self.raw.len();
        self.pending.push_back(PendingDigest { blob, len: self.raw.len(), digest });
        Ok(())
    }

    /// Waits for all blobs that are being hashed.
    pub(crate) async fn settle(&mut self, check: &mut PackCheck<'_>) -> Result<(), JsValue> {
        while !self.pending.is_empty() {
            self.settle_oldest(check).await?;
        }
        Ok(())
    }

    async fn settle_oldest(&mut self, check: &mut PackCheck<'_>) -> Result<(), JsValue> {
        let Some(PendingDigest { blob, len, digest }) = self.pending.pop_front() else { return Ok(()) };
        let digest = Uint8Array::new(&JsFuture::from(digest).await?).to_vec();
        let digest =
            digest.try_into().map_err(|_| CallFailure::of("the browser's SHA-256 does not have 32 bytes"))?;
        check.settle(blob, &digest);
        self.bytes -= len;
        Ok(())
    }
}
