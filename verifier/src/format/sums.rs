//! Sums: the SHA-256 of a repository's files, as `sha256sum` writes and checks them (`docs/format.md` §13).
//!
//! Paths are the format's own and nothing else, so that no sums file leads a reader out of its repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::DecodeError;
use super::id::{BlobId, FileId, IdError, IndexId, PackId, SnapshotId};

/// The folder of sums.
pub const FOLDER: &str = "sums";
/// The largest sums file, in bytes.
pub const MAX_SUMS_LEN: u64 = 256 << 20;

const SUFFIX: &str = ".sha256";
const RESTATED: &str = "prune-";
const GONE: &str = "# gone ";
const OBJECT: &str = "the sums file";

/// The SHA-256 of a whole file, written as 64 lowercase hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileSum(BlobId);

impl FileSum {
    /// The sum with this digest.
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(BlobId::from_bytes(digest))
    }

    /// The sum of a file with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(BlobId::of(bytes))
    }
}

impl fmt::Display for FileSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for FileSum {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self)
    }
}

/// The name of a sums file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SumsName {
    /// Of what a snapshot added.
    Snapshot(SnapshotId),
    /// Of all that was there when files went, which takes the place of those before.
    Restated(FileId),
}

impl SumsName {
    /// Where it lies in a repository.
    pub fn path(&self) -> String {
        match self {
            Self::Snapshot(id) => format!("{FOLDER}/{id}{SUFFIX}"),
            Self::Restated(id) => format!("{FOLDER}/{RESTATED}{id}{SUFFIX}"),
        }
    }

    /// The sums file that lies at exactly this path of a repository.
    pub fn of_path(path: &str) -> Option<Self> {
        let stem = path.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(SUFFIX)?;
        match stem.strip_prefix(RESTATED) {
            Some(id) => id.parse().ok().map(Self::Restated),
            None => stem.parse().ok().map(Self::Snapshot),
        }
    }
}

/// What a sums file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    /// Files and their sums, by path: packs, indexes, manifests, and the sums files before.
    pub files: BTreeMap<String, FileSum>,
    /// Files that went when it was written.
    pub gone: BTreeSet<String>,
}

impl Sums {
    /// Reads a sums file: paths ascend, first of the files, then of what went.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let invalid = |line: usize, reason: &str| {
            DecodeError::invalid(OBJECT, format!("line {}: {reason}", line.saturating_add(1)))
        };
        let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::invalid(OBJECT, "it is not text"))?;
        let mut sums = Self::default();
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let Some(line) = line.strip_suffix('\n') else { return Err(invalid(number, "it is cut short")) };
            if let Some(path) = line.strip_prefix(GONE) {
                if !is_of_the_format(path) || sums.gone.last().is_some_and(|last| **last >= *path) {
                    return Err(invalid(number, "it does not name a file that can have gone"));
                }
                sums.gone.insert(path.to_owned());
                continue;
            }
            let Some((sum, path)) = line.split_once("  ") else {
                return Err(invalid(number, "it is not a SHA-256, two spaces and a path"));
            };
            let sum = sum.parse().map_err(|error: IdError| invalid(number, &error.to_string()))?;
            if !is_of_the_format(path) {
                return Err(invalid(number, "its path is not that of a pack, an index, a manifest or sums"));
            }
            let is_next = sums.files.last_key_value().is_none_or(|(last, _)| **last < *path);
            if !is_next || !sums.gone.is_empty() {
                return Err(invalid(number, "its path does not come after the one before"));
            }
            sums.files.insert(path.to_owned(), sum);
        }
        Ok(sums)
    }

    /// The file.
    pub fn encode(&self) -> String {
        let files = self.files.iter().map(|(path, sum)| format!("{sum}  {path}\n"));
        let gone = self.gone.iter().map(|path| format!("{GONE}{path}\n"));
        files.chain(gone).collect()
    }
}

fn is_of_the_format(path: &str) -> bool {
    PackId::of_path(path).is_some()
        || IndexId::of_path(path).is_some()
        || SnapshotId::of_path(path).is_some()
        || SumsName::of_path(path).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
    const PACK: &str = "packs/01/01m849xq3wk3s4p8ybcf4313en.mvpack";
    const INDEX: &str = "indexes/01m849xq3wk3s4p8ybcf4313en.mvidx";

    #[test]
    fn what_is_written_is_read_again() {
        let files = [PACK, INDEX].map(|path| (path.to_owned(), FileSum::of(path.as_bytes())));
        let sums = Sums { files: files.into(), gone: [PACK.to_owned()].into() };
        assert_eq!(Sums::decode(sums.encode().as_bytes()).unwrap(), sums);
        assert!(sums.encode().starts_with(&FileSum::of(INDEX.as_bytes()).to_string()));
        assert_eq!(Sums::decode(b"").unwrap(), Sums::default());
    }

    #[test]
    fn a_line_is_a_sum_two_spaces_and_a_path_of_the_format() {
        let upper = "A".repeat(64);
        for bad in [
            format!("{ZEROS}  {PACK}"),
            format!("{ZEROS} {PACK}\n"),
            format!("{ZEROS} *{PACK}\n"),
            format!("{upper}  {PACK}\n"),
            format!("0{ZEROS}  {PACK}\n"),
            format!("{ZEROS}  /etc/passwd\n"),
            format!("{ZEROS}  ../{PACK}\n"),
            format!("{ZEROS}  packs/../config.toml\n"),
            format!("{ZEROS}  config.toml\n"),
            format!("{ZEROS}  {PACK}\r\n"),
            format!("{ZEROS}  {PACK}\n{ZEROS}  {PACK}\n"),
            format!("{ZEROS}  {PACK}\n{ZEROS}  {INDEX}\n"),
            format!("# gone {PACK}\n{ZEROS}  {PACK}\n"),
            "# gone config.toml\n".to_owned(),
            "# anything\n".to_owned(),
            "\n".to_owned(),
        ] {
            assert!(Sums::decode(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(Sums::decode(b"\xff\n").is_err());
    }

    #[test]
    fn sums_have_names_of_their_own() {
        let snapshot: SnapshotId = "20261123T133558Z-9824709055ec59757a6d0f7aa9aea77c".parse().unwrap();
        for name in [SumsName::Snapshot(snapshot), SumsName::Restated(FileId::from_parts(1, 2))] {
            assert_eq!(SumsName::of_path(&name.path()), Some(name));
        }
        for path in ["sums/x.sha256", "sums/prune-.sha256", "sums/.sha256", "other/x.sha256", "sums.sha256"] {
            assert_eq!(SumsName::of_path(path), None, "{path}");
        }
    }
}
