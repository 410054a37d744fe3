//! `config.toml` of a repository: identity and versions (`docs/format.md` §1).

use std::fmt;
use std::fmt::Write;

use serde::{Deserialize, Deserializer};

use super::READER_VERSION;

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is no TOML, or a key is missing or of another type.
    #[error("config.toml of the repository is damaged: {reason}")]
    Malformed {
        /// Where and why.
        reason: String,
    },
    /// A newer program wrote it.
    #[error(
        "the repository needs a reader of version {needed}; upgrade this program, which reads up to {READER_VERSION}"
    )]
    TooNew {
        /// The version that is needed.
        needed: u64,
    },
    /// Its packs are sealed in a way that this program does not read.
    #[error("the repository is encrypted ({scheme:?}), which this program does not support yet")]
    Encrypted {
        /// What the configuration names.
        scheme: String,
    },
}

/// A repository's own name: lowercase hex, 8-4-4-4-12, safe as part of a file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepoId(String);

impl RepoId {
    /// Checks the text.
    pub fn parse(text: &str) -> Option<Self> {
        let groups: Vec<&str> = text.split('-').collect();
        let lengths = groups.iter().map(|group| group.len());
        let hex = groups.iter().all(|group| group.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        (lengths.eq([8, 4, 4, 4, 12]) && hex).then(|| Self(text.to_owned()))
    }

    /// The version 4 UUID made of these random bits.
    pub fn from_random(random: u128) -> Self {
        let versioned = random & !(0xf000 << 64) | (0x4000 << 64);
        let variant = versioned & !(0b11 << 62) | (0b10 << 62);
        let hex = format!("{variant:032x}");
        let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
        Self(parts.map(|part| hex.get(part).unwrap_or_default()).join("-"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RepoId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom("repo_id is not a lowercase UUID (8-4-4-4-12 hex digits)")
        })
    }
}

/// Identity and versions of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RepoConfig {
    /// The repository's own name.
    pub repo_id: RepoId,
    /// 1.
    pub format_version: u64,
    /// The oldest reader that understands it.
    pub min_reader_version: u64,
    /// `none`.
    pub encryption: String,
    /// RFC 3339, UTC, seconds.
    pub created_at: String,
    /// Bytes a page of the database; 0 before the first snapshot.
    pub page_size: u32,
}

impl RepoConfig {
    /// Reads the file; unknown keys are ignored.
    ///
    /// A newer version is reported before anything else that may be new with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, ConfigError> {
        #[derive(Deserialize)]
        struct Versions {
            min_reader_version: Option<u64>,
            encryption: Option<String>,
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ConfigError::Malformed { reason: format!("no UTF-8: {error}") })?;
        let versions: Versions = toml::from_str(text).map_err(malformed)?;
        if let Some(needed) = versions.min_reader_version.filter(|needed| *needed > READER_VERSION) {
            return Err(ConfigError::TooNew { needed });
        }
        if let Some(scheme) = versions.encryption.filter(|scheme| scheme != "none") {
            return Err(ConfigError::Encrypted { scheme });
        }
        toml::from_str(text).map_err(malformed)
    }

    /// Writes the file, keys in their order.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a `String` cannot fail; none of the texts holds a quote or a backslash.
        let _ = writeln!(out, "repo_id = \"{}\"", self.repo_id);
        let _ = writeln!(out, "format_version = {}", self.format_version);
        let _ = writeln!(out, "min_reader_version = {}", self.min_reader_version);
        let _ = writeln!(out, "encryption = {}", toml::Value::from(self.encryption.as_str()));
        let _ = writeln!(out, "created_at = {}", toml::Value::from(self.created_at.as_str()));
        let _ = writeln!(out, "page_size = {}", self.page_size);
        out
    }
}

fn malformed(error: toml::de::Error) -> ConfigError {
    // Without the excerpt: a link could have led to a file that is nobody's business.
    ConfigError::Malformed { reason: error.message().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "repo_id = \"bae039f3-3156-4fdd-9fd8-5516011c27f6\"\nformat_version = 1\n\
        min_reader_version = 1\nencryption = \"none\"\ncreated_at = \"2026-11-23T13:35:58Z\"\npage_size = 4096\n";

    #[test]
    fn a_configuration_comes_back_as_it_was_written() {
        let config = RepoConfig::decode(TEXT.as_bytes()).unwrap();
        assert_eq!(config.encode(), TEXT);
        let more = format!("{TEXT}future = true\n[table]\nx = 1\n");
        assert_eq!(RepoConfig::decode(more.as_bytes()).unwrap(), config);
    }

    #[test]
    fn newer_and_encrypted_have_their_own_errors() {
        let newer = TEXT.replace("min_reader_version = 1", "min_reader_version = 5");
        assert_eq!(RepoConfig::decode(newer.as_bytes()), Err(ConfigError::TooNew { needed: 5 }));
        let encrypted = TEXT.replace("\"none\"", "\"age\"");
        assert!(matches!(RepoConfig::decode(encrypted.as_bytes()), Err(ConfigError::Encrypted { .. })));
    }

    #[test]
    fn repo_ids_are_safe_file_names() {
        assert_eq!(RepoId::from_random(u128::MAX).as_str(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert!(RepoId::parse(RepoId::from_random(7).as_str()).is_some());
        for bad in
            ["", "../../../x", "BAE039F3-3156-4fdd-9fd8-5516011c27f6", "bae039f331564fdd9fd85516011c27f6"]
        {
            assert!(RepoId::parse(bad).is_none(), "{bad}");
        }
        let forged = TEXT.replace("bae039f3-3156", "../../x");
        assert!(RepoConfig::decode(forged.as_bytes()).is_err());
    }
}
