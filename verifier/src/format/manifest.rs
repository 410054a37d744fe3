//! Manifests: what a snapshot is (`docs/format.md` §9).

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::READER_VERSION;
use super::canonical_json;
use super::id::{BlobId, IndexId, PackId, SnapshotId};
use super::json_object::{Object, object, objects};

mod auxiliary;
mod encode;

pub use auxiliary::{Auxiliary, DOCUMENT_DERIVATIVES, DocumentCounts, DocumentDerivatives};

/// Why a manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A newer program wrote it.
    #[error(
        "the manifest needs a reader of version {needed}; upgrade this program, which reads up to {READER_VERSION}"
    )]
    TooNew {
        /// The version that is needed.
        needed: u64,
    },
    /// It is no JSON, or not the JSON that a manifest is.
    #[error("the manifest is forged or damaged: {reason}")]
    Malformed {
        /// What does not fit.
        reason: String,
    },
    /// The ID computed over the content is another one.
    #[error("the manifest is forged or damaged: its content has the ID {computed}, its file is named {name}")]
    WrongId {
        /// The ID that the content has.
        computed: String,
        /// The ID that the file name states.
        name: SnapshotId,
    },
}

/// One snapshot's manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// 1 to 4, or later where this program is a reader that understands it.
    pub format_version: u64,
    /// The oldest reader that understands it.
    pub min_reader_version: u64,
    /// The program that wrote it.
    pub msgvault_version: String,
    /// The snapshot's name.
    pub snapshot_id: SnapshotId,
    /// The snapshot before; none for the first.
    #[serde(deserialize_with = "empty_is_none")]
    pub parent_id: Option<SnapshotId>,
    /// RFC 3339, UTC, seconds.
    pub created_at: String,
    /// How it was made.
    #[serde(deserialize_with = "object")]
    pub options: Options,
    /// The database.
    #[serde(deserialize_with = "object")]
    pub db: Database,
    /// A portable logical metadata blob, in version 3.
    #[serde(default, deserialize_with = "present_object")]
    pub metadata: Option<Metadata>,
    /// Further artifacts, in version 4.
    #[serde(default, deserialize_with = "present_objects")]
    pub auxiliary: Option<Vec<Auxiliary>>,
    /// Attachments.
    #[serde(deserialize_with = "object")]
    pub attachments: Attachments,
    /// Other files.
    #[serde(deserialize_with = "object")]
    pub extras: Extras,
    /// What is never captured.
    #[serde(deserialize_with = "nullable")]
    pub excluded: Option<Vec<String>>,
    /// Opaque JSON, as read.
    pub stats: Box<RawValue>,
    /// Packs that this snapshot added.
    #[serde(deserialize_with = "nullable")]
    pub new_packs: Option<Vec<PackId>>,
    /// The index that this snapshot added.
    #[serde(deserialize_with = "empty_is_none")]
    pub new_index: Option<IndexId>,
    /// How long it took.
    #[serde(deserialize_with = "exact_float")]
    pub duration_seconds: f64,
    /// Stored bytes of the entries that this snapshot added.
    pub bytes_added: u64,
}

/// Options that a snapshot was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Whether the configuration was captured.
    pub include_config: bool,
    /// Whether tokens were captured.
    pub include_tokens: bool,
    /// The effective compression level.
    pub zstd_level: i64,
    /// The user's label.
    pub tag: String,
}

/// The captured database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite`; empty in version 3.
    pub engine: String,
    /// Bytes a page.
    pub page_size: u32,
    /// Pages.
    pub page_count: u64,
    /// The page-map object.
    #[serde(deserialize_with = "empty_is_none")]
    pub page_map: Option<BlobId>,
    /// The page-hash object.
    #[serde(deserialize_with = "empty_is_none")]
    pub page_hash_map: Option<BlobId>,
    /// Deltas between these objects and their keyframe.
    pub map_chain_depth: u64,
}

/// A logical metadata blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Its media type.
    pub format: String,
    /// Its content.
    pub blob: BlobId,
    /// Bytes of its content.
    pub bytes: u64,
}

/// The captured attachments.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachments {
    /// How they are laid out; `["loose"]`.
    #[serde(deserialize_with = "nullable")]
    pub layout: Option<Vec<String>>,
    /// Rows of the `attachments` table.
    pub rows: u64,
    /// Distinct contents.
    pub blobs: u64,
    /// Bytes of the distinct contents.
    pub blob_bytes: u64,
    /// Reserved; empty.
    #[serde(deserialize_with = "nullable")]
    pub recipes: Option<Vec<String>>,
    /// The attachment lists.
    #[serde(deserialize_with = "nullable")]
    pub lists: Option<Vec<BlobId>>,
}

/// The captured other files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extras {
    /// The extras tree; none when nothing was captured.
    #[serde(deserialize_with = "empty_is_none")]
    pub tree: Option<BlobId>,
}

impl Manifest {
    /// The snapshot whose maps this one's are deltas on; none for a keyframe, which needs no other.
    pub fn base(&self) -> Option<&SnapshotId> {
        self.parent_id.as_ref().filter(|_| self.db.map_chain_depth > 0)
    }

    /// Reads the manifest whose file is named after `name`.
    ///
    /// Refuses, in this order: a newer reader version, keys that are unknown, missing or repeated, and an ID
    /// that the content does not have.
    pub fn decode(name: &SnapshotId, json: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Version {
            min_reader_version: u64,
        }
        let version: Version = serde_json::from_slice(json).map_err(malformed)?;
        if version.min_reader_version > READER_VERSION {
            return Err(ManifestError::TooNew { needed: version.min_reader_version });
        }
        let Object(manifest): Object<Self> = serde_json::from_slice(json).map_err(malformed)?;
        let computed = manifest.computed_id();
        if computed != name.as_str() || manifest.snapshot_id != *name {
            return Err(ManifestError::WrongId { computed, name: name.clone() });
        }
        manifest.check_version()?;
        manifest.check_auxiliary()?;
        Ok(manifest)
    }

    /// The ID that the content has.
    pub fn computed_id(&self) -> String {
        let digest = Sha256::digest(self.compact_with_id(""));
        let hex = BlobId::from_bytes(digest.into()).to_string();
        let hash = hex.get(..32).unwrap_or_default();
        let time: String = self.created_at.chars().filter(|c| !matches!(c, '-' | ':')).collect();
        format!("{time}-{hash}")
    }

    /// The text that is stored: indented canonical JSON without a newline at the end.
    pub fn encode(&self) -> String {
        canonical_json::indent(&self.compact_with_id(self.snapshot_id.as_str()))
    }

    /// `stats`, compact and canonical.
    pub fn stats_json(&self) -> String {
        canonical_json::compact(self.stats.get())
    }

    /// The lists of attachments.
    pub fn lists(&self) -> &[BlobId] {
        self.attachments.lists.as_deref().unwrap_or_default()
    }

    /// The auxiliary artifacts.
    pub fn auxiliary(&self) -> &[Auxiliary] {
        self.auxiliary.as_deref().unwrap_or_default()
    }

    /// Bytes of the database.
    pub fn database_bytes(&self) -> u64 {
        self.db.page_count.saturating_mul(self.db.page_size.into())
    }

    fn check_version(&self) -> Result<(), ManifestError> {
        let has_map = self.db.page_map.is_some() && self.db.page_hash_map.is_some();
        let has_auxiliary = !self.auxiliary().is_empty();
        let fits = match self.format_version {
            1 | 2 => has_map && self.metadata.is_none() && !has_auxiliary,
            3 => self.db.is_zero() && self.metadata.is_some() && !has_auxiliary,
            // A later one that needs no newer reader holds nothing new.
            4.. => has_map != self.metadata.is_some() && (has_map || self.db.is_zero()),
            0 => false,
        };
        if fits {
            return Ok(());
        }
        let reason = format!("it does not hold what version {} holds", self.format_version);
        Err(ManifestError::Malformed { reason })
    }
}

impl Database {
    fn is_zero(&self) -> bool {
        self.engine.is_empty()
            && self.page_size == 0
            && self.page_count == 0
            && self.page_map.is_none()
            && self.page_hash_map.is_none()
            && self.map_chain_depth == 0
    }
}

fn malformed(error: serde_json::Error) -> ManifestError {
    ManifestError::Malformed { reason: error.to_string() }
}

/// A key that must be there and may be `null`.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// A key that may be missing and is never `null`.
fn present_object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    object(deserializer).map(Some)
}

/// A key that may be missing and is never `null`.
fn present_objects<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    objects(deserializer).map(Some)
}

fn empty_is_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err = super::id::IdError>,
{
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
}

/// A float read by the standard library, since the JSON parser's own reading can be off by one bit.
fn exact_float<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    let value: f64 = raw.get().parse().map_err(D::Error::custom)?;
    if value.is_finite() { Ok(value) } else { Err(D::Error::custom("a number is out of range")) }
}

#[cfg(test)]
mod tests;
