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
