//! Names that cannot hold anything else: blob, pack, index and snapshot IDs.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use ulid::Ulid;

const PACK_SUFFIX: &str = ".mvpack";
const INDEX_SUFFIX: &str = ".mvidx";
const MANIFEST_SUFFIX: &str = ".mvmanifest";

/// A text that is no ID of the kind it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct IdError {
    expected: &'static str,
    text: String,
}

impl IdError {
    fn new(expected: &'static str, text: &str) -> Self {
        Self { expected, text: text.chars().take(80).collect() }
    }
}

/// The SHA-256 of a blob's raw bytes, written as 64 lowercase hex digits (`docs/format.md` §2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId([u8; 32]);

impl BlobId {
    /// The ID of these raw bytes.
    pub fn of(raw: &[u8]) -> Self {
        Self(Sha256::digest(raw).into())
    }

    /// The ID with this digest.
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER.encode_display(&self.0).fmt(f)
    }
}

impl FromStr for BlobId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut digest = [0; 32];
        let decoded = (text.len() == 64).then(|| HEXLOWER.decode_mut(text.as_bytes(), &mut digest));
        match decoded {
            Some(Ok(_)) => Ok(Self(digest)),
            _ => Err(IdError::new("a SHA-256 of 64 lowercase hex digits", text)),
        }
    }
}

/// The first 16 bytes of a page's SHA-256 (`docs/format.md` §5).
#[derive(Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct PageHash([u8; 16]);

impl PageHash {
    /// The hash of one page.
    pub fn of(page: &[u8]) -> Self {
        Self::from_digest(&Sha256::digest(page).into())
    }

    /// The page hash inside a full digest.
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        digest.first_chunk().map_or_else(Self::default, |half| Self(*half))
    }

    /// The page hash with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for PageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER.encode_display(&self.0).fmt(f)
    }
}

/// Parses a ULID that is written the one canonical way, in lowercase.
fn canonical_ulid(expected: &'static str, text: &str) -> Result<Ulid, IdError> {
    let ulid = Ulid::from_string(text).map_err(|_| IdError::new(expected, text))?;
    if lowercase(ulid) == text { Ok(ulid) } else { Err(IdError::new(expected, text)) }
}

fn lowercase(ulid: Ulid) -> String {
    ulid.to_string().to_ascii_lowercase()
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// When it was made, in milliseconds since 1970.
            pub const fn unix_ms(self) -> u64 {
                self.0.timestamp_ms()
            }

            /// The ID made at `unix_ms` with 80 bits of randomness.
            pub const fn from_parts(unix_ms: u64, random: u128) -> Self {
                Self(Ulid::from_parts(unix_ms, random))
            }

            /// The ID with these 16 big-endian bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Ulid::from_bytes(bytes))
            }

            /// The 16 big-endian bytes.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&lowercase(self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                canonical_ulid($expected, text).map(Self)
            }
        }
    };
}

ulid_id!(
    /// A pack's name: a canonical lowercase ULID (`docs/format.md` §1).
    PackId,
    "a pack ID of 26 lowercase characters"
);
ulid_id!(
    /// An index's name: a canonical lowercase ULID (`docs/format.md` §1).
    IndexId,
    "an index ID of 26 lowercase characters"
);
ulid_id!(
    /// The name of a lock or of a file being written.
    FileId,
    "a ULID of 26 lowercase characters"
);

impl PackId {
    /// Where the pack lies in a repository.
    pub fn path(self) -> String {
        let name = self.to_string();
        let folder = name.get(..2).unwrap_or_default();
        format!("packs/{folder}/{name}{PACK_SUFFIX}")
    }

    /// The pack that lies at exactly this path of a repository.
    pub fn of_path(path: &str) -> Option<Self> {
        let (_, name) = path.rsplit_once('/')?;
        let id: Self = name.strip_suffix(PACK_SUFFIX)?.parse().ok()?;
        (id.path() == path).then_some(id)
    }
}

impl IndexId {
    /// Where the index lies in a repository.
    pub fn path(self) -> String {
        format!("indexes/{self}{INDEX_SUFFIX}")
    }

    /// The index that lies at exactly this path of a repository.
    pub fn of_path(path: &str) -> Option<Self> {
        path.strip_prefix("indexes/")?.strip_suffix(INDEX_SUFFIX)?.parse().ok()
    }
}

/// A snapshot's name: `YYYYMMDDTHHMMSSZ-` and 32 lowercase hex digits (`docs/format.md` §9).
///
/// IDs sort by time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(String);

impl SnapshotId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the manifest lies in a repository.
    pub fn path(&self) -> String {
        format!("snapshots/{}{MANIFEST_SUFFIX}", self.0)
    }

    /// The snapshot whose manifest lies at exactly this path of a repository.
    pub fn of_path(path: &str) -> Option<Self> {
        path.strip_prefix("snapshots/")?.strip_suffix(MANIFEST_SUFFIX)?.parse().ok()
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SnapshotId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        const SHAPE: &[u8] = b"ddddddddTddddddZ-";
        let head = text.as_bytes().get(..SHAPE.len());
        let fits = head.is_some_and(|head| {
            head.iter().zip(SHAPE).all(|(byte, shape)| match shape {
                b'd' => byte.is_ascii_digit(),
                literal => byte == literal,
            })
        });
        let tail = text.as_bytes().get(SHAPE.len()..).unwrap_or_default();
        let hex = tail.len() == 32 && tail.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if fits && hex { Ok(Self(text.to_owned())) } else { Err(IdError::new("a snapshot ID", text)) }
    }
}

macro_rules! text_forms {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

macro_rules! parsed_from_text {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

text_forms!(BlobId, PageHash, PackId, IndexId, FileId, SnapshotId);
parsed_from_text!(BlobId, PackId, IndexId, SnapshotId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pack_ids_are_canonical_lowercase_ulids() {
        let table = [
            ("01m849xq3wk3s4p8ybcf4313en", true),
            ("01M849XQ3WK3S4P8YBCF4313EN", false),
            ("o1m849xq3wk3s4p8ybcf4313en", false),
            ("81m849xq3wk3s4p8ybcf4313en", false),
            ("01m849xq3wk3s4p8ybcf4313e", false),
            ("../../../../../etc/passwd0", false),
            ("", false),
        ];
        for (text, valid) in table {
            assert_eq!(text.parse::<PackId>().is_ok(), valid, "{text}");
        }
        let id: PackId = "01m849xq3wk3s4p8ybcf4313en".parse().unwrap();
        assert_eq!(id.path(), "packs/01/01m849xq3wk3s4p8ybcf4313en.mvpack");
        assert_eq!(PackId::from_bytes(id.to_bytes()), id);
    }

    #[test]
    fn only_whole_names_are_ours() {
        let (pack, index) = (PackId::from_parts(1, 2), IndexId::from_parts(1, 2));
        assert_eq!(PackId::of_path(&pack.path()), Some(pack));
        assert_eq!(IndexId::of_path(&index.path()), Some(index));
        let snapshot: SnapshotId = "20261123T133558Z-9824709055ec59757a6d0f7aa9aea77c".parse().unwrap();
        assert_eq!(SnapshotId::of_path(&snapshot.path()), Some(snapshot.clone()));
        for path in [pack.path(), index.path(), snapshot.path()] {
            let (folder, name) = path.rsplit_once('/').unwrap();
            let (stem, suffix) = name.rsplit_once('.').unwrap();
            for stray in [
                format!("{folder}/._{name}"),
                format!("{folder}/{name}.tmp"),
                format!("{folder}/{stem} (conflicted copy).{suffix}"),
                format!("{folder}/{}", name.to_uppercase()),
                format!("{folder}/.{suffix}"),
                format!("{folder}/below/{name}"),
                format!("elsewhere/{name}"),
                name.to_owned(),
            ] {
                assert!(PackId::of_path(&stray).is_none(), "{stray}");
                assert!(IndexId::of_path(&stray).is_none(), "{stray}");
                assert!(SnapshotId::of_path(&stray).is_none(), "{stray}");
            }
        }
    }

    #[test]
    fn snapshot_ids_have_one_shape() {
        let good = "20261123T133558Z-9824709055ec59757a6d0f7aa9aea77c";
        assert!(good.parse::<SnapshotId>().is_ok());
        for bad in [
            "",
            "20261123T133558Z-9824709055ec59757a6d0f7aa9aea77",
            "20261123T133558Z-9824709055EC59757a6d0f7aa9aea77c",
            "2026112xT133558Z-9824709055ec59757a6d0f7aa9aea77c",
            "20261123T133558Z/9824709055ec59757a6d0f7aa9aea77c",
            "20261123T133558Z-9824709055ec59757a6d0f7aa9aea77c\n",
        ] {
            assert!(bad.parse::<SnapshotId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn blob_ids_are_lowercase_hex() {
        let id = BlobId::of(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse::<BlobId>().unwrap(), id);
        assert!(text.to_uppercase().parse::<BlobId>().is_err());
        assert!("e3".parse::<BlobId>().is_err());
        assert_eq!(format!("{id:?}"), format!("BlobId({text})"));
    }
}
