//! What can be wrong with a repository: one list of codes for text, JSON and the page.

use serde::{Deserialize, Deserializer, Serialize};

use crate::format::DecodeError;
use crate::format::id::{BlobId, PackId, SnapshotId};
use crate::format::manifest::ManifestError;
use crate::pack::{FrameError, ReadError};
use crate::repository::{BlobError, BlobFault, LoadError};
use crate::snapshot::SnapshotError;
use crate::store::StoreError;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal: $meaning:literal,)*) => {
        /// What is wrong; the text of a code never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ProblemCode {
            $(
                #[doc = $meaning]
                $name,
            )*
        }

        impl ProblemCode {
            /// Every code, in the order in which problems are reported.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable text.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What it means, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)*
                }
            }
        }
    };
}

codes! {
    SnapshotsUnreadable = "snapshots-unreadable": "The list of snapshots cannot be read.",
    SnapshotsMissing = "snapshots-missing": "The repository has packs and not one manifest.",
    ManifestMisnamed = "manifest-misnamed": "A file among the manifests has a name that is not a snapshot's; it is not opened.",
    ManifestMissing = "manifest-missing": "A manifest that a snapshot needs is not there.",
    ManifestUnreadable = "manifest-unreadable": "A manifest cannot be read from its medium.",
    ManifestForged = "manifest-forged": "A manifest is damaged or forged: its content does not have the ID in its name.",
    ManifestTooNew = "manifest-too-new": "A manifest was written by a newer program; upgrade this one.",
    IndexDamaged = "index-damaged": "An index file is damaged, so the blobs it names cannot be found.",
    ChainBroken = "chain-broken": "The chain of page maps from the snapshot to its keyframe is broken.",
    BlobNotIndexed = "blob-not-indexed": "No index file says where a blob is.",
    PackMissing = "pack-missing": "A pack is not there.",
    PackUnreadable = "pack-unreadable": "A pack cannot be read from its medium.",
    PackDamaged = "pack-damaged": "The header, footer or trailer of a pack is damaged.",
    PackEncrypted = "pack-encrypted": "A pack or a blob is encrypted, which is not supported yet.",
    BlobNotInPack = "blob-not-in-pack": "The pack that should hold a blob does not.",
    IndexPackMismatch = "index-pack-mismatch": "Index and pack say different things about a blob.",
    BlobDamaged = "blob-damaged": "The stored bytes of a blob changed.",
    BlobUndecodable = "blob-undecodable": "The stored bytes of a blob are intact but do not decompress to it.",
    BlobForged = "blob-forged": "The bytes of a blob do not have the hash that is its name.",
    BlobTooLarge = "blob-too-large": "A blob is larger than its use allows.",
    ObjectInvalid = "object-invalid": "A map, list or tree is not what it should be.",
    MapMismatch = "map-mismatch": "A page map does not agree with the manifest or does not cover the database.",
    RunOutsideBlob = "run-outside-blob": "A page map points past the end of a blob.",
    PageMismatch = "page-mismatch": "A page of the database has a different hash from the one that the snapshot states.",
    AttachmentListMismatch = "attachment-list-mismatch": "The attachment lists do not agree with each other or with the manifest.",
    AttachmentSizeMismatch = "attachment-size-mismatch": "An attachment has a different size from the one that the list states.",
    ExtraSizeMismatch = "extra-size-mismatch": "A file of the extras has a different size from the one that the tree states.",
    ArtifactMismatch = "artifact-mismatch": "An auxiliary artifact or a metadata blob is not what the manifest states.",
    ArtifactUnknown = "artifact-unknown": "A snapshot has an auxiliary artifact of a kind that this program does not know, so it does not restore the snapshot.",
    StatsMismatch = "stats-mismatch": "The counts in the manifest contradict each other.",
    SumsUnreadable = "sums-unreadable": "A file among the sums is damaged or contradicts the others.",
    SumsFileMissing = "sums-file-missing": "A file that the sums name is not there.",
    SumsFileUnreadable = "sums-file-unreadable": "A file that the sums name cannot be read from its medium.",
    SumsMismatch = "sums-mismatch": "A file does not have the SHA-256 that the sums state.",
    ArchiveDamaged = "archive-damaged": "The database was captured as it was, and SQLite finds it damaged (--restore-check): the archive was damaged when the backup was made.",
    RestoreFailed = "restore-failed": "A trial restore of the snapshot (--restore-check) did not pass its checks.",
}

impl<'de> Deserialize<'de> for ProblemCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let code = Self::ALL.iter().copied().find(|code| code.as_str() == text);
        code.ok_or_else(|| serde::de::Error::custom("no problem code"))
    }
}

impl Serialize for ProblemCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The snapshot that cannot be trusted because of it; none when it is about the repository.
    pub snapshot: Option<SnapshotId>,
    /// What is wrong.
    pub code: ProblemCode,
    /// The file to fetch from another copy of the repository, where one file is to blame.
    pub file: Option<String>,
    /// The blob.
    pub blob: Option<BlobId>,
    /// The pack that holds the blob or should.
    pub pack: Option<PackId>,
    /// A sentence with the particulars.
    pub detail: String,
}

impl Problem {
    /// A problem of the repository as a whole.
    pub(super) fn of_file(code: ProblemCode, file: &str, detail: impl Into<String>) -> Self {
        Self {
            snapshot: None,
            code,
            file: Some(file.to_owned()),
            blob: None,
            pack: None,
            detail: detail.into(),
        }
    }

    /// A problem of a snapshot without a blob.
    pub fn of_snapshot(id: &SnapshotId, code: ProblemCode, detail: impl Into<String>) -> Self {
        let file = Some(id.path());
        Self { snapshot: Some(id.clone()), code, file, blob: None, pack: None, detail: detail.into() }
    }

    /// A blob that a snapshot needs and that cannot be trusted. `role` says what the blob is to the snapshot.
    pub(super) fn of_blob(id: &SnapshotId, role: &str, error: &BlobError) -> Self {
        Self {
            snapshot: Some(id.clone()),
            code: fault_code(&error.fault),
            file: error.pack.map(PackId::path),
            blob: Some(error.blob),
            pack: error.pack,
            detail: format!("{role}: {}", error.fault),
        }
    }

    /// A blob that a snapshot needs, in a pack where something was found wrong.
    pub(super) fn of_found(
        id: &SnapshotId,
        role: &str,
        blob: BlobId,
        pack: PackId,
        (code, text): (ProblemCode, &str),
    ) -> Self {
        Self {
            snapshot: Some(id.clone()),
            code,
            file: Some(pack.path()),
            blob: Some(blob),
            pack: Some(pack),
            detail: format!("{role}: {text}"),
        }
    }

    /// What kept a snapshot from being made whole.
    pub(super) fn of_error(id: &SnapshotId, error: &SnapshotError) -> Self {
        match error {
            SnapshotError::Blob { what, error } => Self::of_blob(id, what, error),
            SnapshotError::Object { what, blob, error } => Self {
                blob: Some(*blob),
                file: None,
                ..Self::of_snapshot(id, ProblemCode::ObjectInvalid, format!("{what}: {error}"))
            },
            SnapshotError::Load { id: other, error } => {
                let file = Some(other.path());
                Self { file, ..Self::of_snapshot(id, load_code(error), format!("snapshot {other}: {error}")) }
            }
            SnapshotError::Map { .. } => Self::of_snapshot(id, ProblemCode::MapMismatch, error.to_string()),
            SnapshotError::Lists { .. } => {
                Self::of_snapshot(id, ProblemCode::AttachmentListMismatch, error.to_string())
            }
            SnapshotError::Chain { .. } | SnapshotError::Logical => {
                Self::of_snapshot(id, ProblemCode::ChainBroken, error.to_string())
            }
        }
    }
}

pub(super) fn load_code(error: &LoadError) -> ProblemCode {
    match error {
        LoadError::Store(StoreError::Missing { .. }) => ProblemCode::ManifestMissing,
        LoadError::Store(_) => ProblemCode::ManifestUnreadable,
        LoadError::Manifest(ManifestError::TooNew { .. }) => ProblemCode::ManifestTooNew,
        LoadError::Manifest(_) => ProblemCode::ManifestForged,
    }
}

pub(super) fn fault_code(fault: &BlobFault) -> ProblemCode {
    match fault {
        BlobFault::NotIndexed => ProblemCode::BlobNotIndexed,
        BlobFault::Pack(ReadError::Store(StoreError::Missing { .. })) => ProblemCode::PackMissing,
        BlobFault::Pack(ReadError::Store(_))
        | BlobFault::Frame(FrameError::Store(_) | FrameError::Stopped | FrameError::TooLargeHere(_)) => {
            ProblemCode::PackUnreadable
        }
        BlobFault::Pack(ReadError::Decode(DecodeError::Encrypted { .. })) => ProblemCode::PackEncrypted,
        BlobFault::Pack(ReadError::Decode(_)) => ProblemCode::PackDamaged,
        BlobFault::NotInPack => ProblemCode::BlobNotInPack,
        BlobFault::Disagrees => ProblemCode::IndexPackMismatch,
        BlobFault::Frame(FrameError::Crc) => ProblemCode::BlobDamaged,
        BlobFault::Frame(FrameError::Header(_) | FrameError::Decompress { .. }) => {
            ProblemCode::BlobUndecodable
        }
        BlobFault::Frame(FrameError::Hash) => ProblemCode::BlobForged,
        BlobFault::Frame(FrameError::TooLarge { .. }) => ProblemCode::BlobTooLarge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_stable_in_shape() {
        let mut texts: Vec<&str> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
        assert!(texts.iter().all(|text| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), ProblemCode::ALL.len());
    }
}
