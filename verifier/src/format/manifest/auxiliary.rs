//! Auxiliary artifacts of version 4 (`docs/format.md` §9).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Manifest, ManifestError};
use crate::format::id::BlobId;

const MAX_COUNT: usize = 64;
const MAX_BYTES: u64 = 64 << 20;

/// The name of the one artifact that exists.
pub const DOCUMENT_DERIVATIVES: &str = "document-derivatives";
const DOCUMENT_FORMAT: &str =
    "application/vnd.msgvault.document-derivatives+json; contains-normalized-plaintext=true";

/// An artifact beside the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auxiliary {
    /// `^[a-z0-9][a-z0-9._-]{0,127}$`.
    pub name: String,
    /// Its media type.
    pub format: String,
    /// Its content.
    pub blob: BlobId,
    /// Bytes of its content.
    pub bytes: u64,
    /// Equal to `blob`.
    pub sha256: BlobId,
}

impl Auxiliary {
    /// The entry of a document disclosure.
    pub fn of_documents(blob: BlobId, bytes: u64) -> Self {
        let (name, format) = (DOCUMENT_DERIVATIVES.to_owned(), DOCUMENT_FORMAT.to_owned());
        Self { name, format, blob, bytes, sha256: blob }
    }

    fn broken_rule(&self) -> Option<&'static str> {
        let mut bytes = self.name.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest =
            bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'));
        if !first || !rest || self.name.len() > 128 {
            return Some("has a name that is not allowed");
        }
        if self.format.is_empty() || self.format.len() > 128 || self.format.chars().any(char::is_control) {
            return Some("has a format that is not allowed");
        }
        if self.name == DOCUMENT_DERIVATIVES && self.format != DOCUMENT_FORMAT {
            return Some("has a format that its name does not have");
        }
        (self.sha256 != self.blob).then_some("has a sha256 that is not its blob")
    }
}

impl Manifest {
    pub(super) fn check_auxiliary(&self) -> Result<(), ManifestError> {
        let items = self.auxiliary();
        let malformed = |reason: String| Err(ManifestError::Malformed { reason });
        if items.len() > MAX_COUNT {
            return malformed(format!("it has {} auxiliary artifacts, more than {MAX_COUNT}", items.len()));
        }
        if let Some((item, rule)) = items.iter().find_map(|item| Some((item, item.broken_rule()?))) {
            return malformed(format!("the auxiliary artifact {:?} {rule}", item.name));
        }
        if !items.is_sorted_by(|a, b| a.name < b.name) {
            return malformed("its auxiliary artifacts are not in ascending order".to_owned());
        }
        let total = items.iter().fold(0u64, |sum, item| sum.saturating_add(item.bytes));
        if total > MAX_BYTES {
            return malformed(format!("its auxiliary artifacts have {total} bytes together"));
        }
        Ok(())
    }
}

/// What a document disclosure counts when this program writes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DocumentCounts {
    /// Pieces of text.
    pub chunks: u64,
    /// Characters in them.
    pub characters: u64,
    /// Ways in which texts were derived.
    pub profiles: u64,
    /// Those that are in use.
    pub enabled_profiles: u64,
    /// Those that the user consented to.
    pub consented_profiles: u64,
    /// Documents that texts were derived from, each time counted.
    pub extractions: u64,
    /// Those that are the newest of their document.
    pub current_heads: u64,
}

impl DocumentCounts {
    /// Writes the artifact: schema version 2, on one line.
    pub fn encode(&self) -> String {
        let Self {
            chunks,
            characters,
            profiles,
            enabled_profiles,
            consented_profiles,
            extractions,
            current_heads,
        } = self;
        format!(
            "{{\"schema_version\":2,\"contains_normalized_attachment_plaintext\":true,\"chunks\":{chunks},\
             \"characters\":{characters},\"profiles\":{profiles},\"enabled_profiles\":{enabled_profiles},\
             \"consented_profiles\":{consented_profiles},\"extractions\":{extractions},\
             \"current_heads\":{current_heads}}}"
        )
    }
}

/// What a document disclosure counts; only its shape is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DocumentDerivatives {
    /// 1 or 2.
    pub schema_version: u64,
    /// The counts, by name.
    pub counts: BTreeMap<String, u64>,
    /// What holds or does not, by name.
    pub flags: BTreeMap<String, bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Count(u64),
    Flag(bool),
}

impl DocumentDerivatives {
    /// Reads the artifact: a JSON object of counts and flags whose `schema_version` is 1 or 2.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let object: BTreeMap<String, Value> = serde_json::from_slice(json).ok()?;
        let mut counts = BTreeMap::new();
        let mut flags = BTreeMap::new();
        for (name, value) in object {
            match value {
                Value::Count(count) => drop(counts.insert(name, count)),
                Value::Flag(flag) => drop(flags.insert(name, flag)),
            }
        }
        let schema_version = counts.remove("schema_version")?;
        matches!(schema_version, 1 | 2).then_some(Self { schema_version, counts, flags })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_disclosed_is_read_as_it_was_written() {
        let counts = DocumentCounts {
            chunks: 1,
            characters: 2,
            profiles: 3,
            enabled_profiles: 4,
            consented_profiles: 5,
            extractions: 6,
            current_heads: 7,
        };
        let expected = "{\"schema_version\":2,\"contains_normalized_attachment_plaintext\":true,\"chunks\":1,\
            \"characters\":2,\"profiles\":3,\"enabled_profiles\":4,\"consented_profiles\":5,\"extractions\":6,\
            \"current_heads\":7}";
        assert_eq!(counts.encode(), expected);
        let read = DocumentDerivatives::parse(expected.as_bytes()).unwrap();
        assert_eq!((read.schema_version, read.counts["current_heads"], read.counts.len()), (2, 7, 7));

        // As the Go program writes it.
        let counts = DocumentCounts {
            chunks: 2,
            characters: 43,
            profiles: 1,
            enabled_profiles: 1,
            extractions: 1,
            ..DocumentCounts::default()
        };
        let id = "186591ba7890a00c4e3916a5ac77d5593fd4ab5a32ec3505fe6b0bc3f0b227e9";
        assert_eq!(
            (counts.encode().len(), BlobId::of(counts.encode().as_bytes()).to_string()),
            (186, id.to_owned())
        );
    }

    #[test]
    fn disclosures_are_counts_and_flags_of_a_known_version() {
        let good = DocumentDerivatives::parse(br#"{"schema_version":2,"plain":true,"chunks":7}"#).unwrap();
        assert_eq!((good.schema_version, good.counts["chunks"], good.flags["plain"]), (2, 7, true));
        for bad in
            [r#"{"chunks":7}"#, r#"{"schema_version":3}"#, r#"{"schema_version":1,"a":"x"}"#, "[]", "{"]
        {
            assert!(DocumentDerivatives::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
