//! What a snapshot holds in one hash, whatever repository holds it: the same after copies, and after the snapshot got
//! another name because its maps were written anew.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::format::attachment_list::{self, Attachment};
use crate::format::id::{BlobId, IdError};
use crate::format::manifest::Manifest;
use crate::format::page_hash::PageHashes;
use crate::repository::BlobIndex;

use super::{AttachmentSet, Snapshot};

/// What the hash begins with, so that it is no other program's.
const DOMAIN: &[u8] = b"msgvault-content-v1\n";

/// The SHA-256 of what a snapshot holds (`docs/format.md` §15), written as 64 lowercase hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentDigest(BlobId);

impl ContentDigest {
    /// The digest of a loaded snapshot. `index` is the one with which it was loaded.
    pub fn of(snapshot: &Snapshot, index: &BlobIndex) -> Self {
        Self::of_parts(&snapshot.manifest, &snapshot.maps.hashes, &snapshot.attachments, index)
    }

    /// The same, for who has loaded its parts.
    pub(crate) fn of_parts(
        manifest: &Manifest,
        hashes: &PageHashes,
        attachments: &AttachmentSet,
        index: &BlobIndex,
    ) -> Self {
        let mut attachments: Vec<Attachment> = attachments.iter(index).collect();
        attachments.sort_unstable_by_key(|attachment| attachment.id);
        let tree = manifest.extras.tree.map_or([0; 32], |tree| *tree.as_bytes());
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        hash.update(manifest.created_at.as_bytes());
        hash.update(b"\n");
        hash.update(Sha256::digest(hashes.encode()));
        hash.update(Sha256::digest(attachment_list::encode(&attachments)));
        hash.update(tree);
        hash.update(Sha256::digest(manifest.stats_json()));
        Self(BlobId::from_bytes(hash.finalize().into()))
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ContentDigest {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self)
    }
}

impl Serialize for ContentDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
