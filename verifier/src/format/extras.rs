//! The extras tree: files beside database and attachments (`docs/format.md` §8).

use std::collections::HashMap;

use serde::Deserialize;

use super::DecodeError;
use super::canonical_json::{Writer, indent};
use super::id::BlobId;
use super::json_object::{Object, objects};
use super::path::{ExtraPath, RelativePath};

const OBJECT: &str = "the extras tree";

/// One captured file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraFile {
    /// Where it goes.
    pub path: ExtraPath,
    /// Permission bits as they were; only the lowest nine count at restore.
    pub mode: u32,
    /// Bytes of its content.
    pub size: u64,
    /// Its content.
    pub blob: BlobId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tree {
    #[serde(deserialize_with = "objects")]
    entries: Vec<TreeEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TreeEntry {
    path: String,
    mode: u32,
    size: u64,
    blob: BlobId,
}

/// Reads a tree and checks every path, that no two are the same to any file system, and that none lies below
/// a file.
pub fn decode(json: &[u8]) -> Result<Vec<ExtraFile>, DecodeError> {
    let Object(tree): Object<Tree> =
        serde_json::from_slice(json).map_err(|error| DecodeError::invalid(OBJECT, error.to_string()))?;
    let mut seen = HashMap::with_capacity(tree.entries.len());
    let mut files = Vec::with_capacity(tree.entries.len());
    for entry in tree.entries {
        let path =
            ExtraPath::parse(&entry.path).map_err(|error| DecodeError::invalid(OBJECT, error.to_string()))?;
        if let Some(other) = seen.insert(path.relative().folded(), entry.path) {
            let reason = format!("{other:?} and {:?} can be the same file", path.relative().as_str());
            return Err(DecodeError::invalid(OBJECT, reason));
        }
        files.push(ExtraFile { path, mode: entry.mode, size: entry.size, blob: entry.blob });
    }
    refuse_below_files(&files)?;
    Ok(files)
}

fn refuse_below_files(files: &[ExtraFile]) -> Result<(), DecodeError> {
    let mut paths: Vec<(Vec<u8>, &RelativePath)> =
        files.iter().map(|file| file.path.relative()).map(|path| (path.place(), path)).collect();
    paths.sort_unstable();
    let below = paths.iter().zip(paths.iter().skip(1)).find(|((file, _), (path, _))| {
        path.strip_prefix(file.as_slice()).is_some_and(|rest| rest.starts_with(&[0]))
    });
    match below {
        None => Ok(()),
        Some(((_, file), (_, path))) => {
            let reason = format!("{:?} lies below {:?}, which is a file", path.as_str(), file.as_str());
            Err(DecodeError::invalid(OBJECT, reason))
        }
    }
}

/// Writes a tree; `files` are sorted by path.
pub fn encode(files: &[ExtraFile]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.object(|w| {
        w.key("entries").array(|w| {
            for file in files {
                w.object(|w| {
                    w.key("path").string(file.path.relative().as_str());
                    w.key("mode").integer(file.mode.into());
                    w.key("size").integer(file.size);
                    w.key("blob").string(&file.blob.to_string());
                });
            }
        });
    });
    indent(&writer.finish()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> ExtraFile {
        let path = ExtraPath::parse(path).unwrap();
        ExtraFile { path, mode: 0o600, size: 3, blob: BlobId::of(b"abc") }
    }

    #[test]
    fn a_tree_comes_back_as_it_was_written() {
        let files = [file("config.toml"), file("deletions/<a>&\u{2028}.json")];
        let bytes = encode(&files);
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.starts_with(
            "{\n  \"entries\": [\n    {\n      \"path\": \"config.toml\",\n      \"mode\": 384,"
        ));
        assert!(text.contains("deletions/\\u003ca\\u003e\\u0026\\u2028.json"));
        assert_eq!(decode(&bytes).unwrap(), files);
    }

    #[test]
    fn hostile_trees_are_refused() {
        let entry =
            |path: &str| format!(r#"{{"path":"{path}","mode":384,"size":0,"blob":"{}"}}"#, BlobId::of(b""));
        let tree = |entries: &[String]| format!(r#"{{"entries":[{}]}}"#, entries.join(","));
        assert!(decode(tree(&[entry("a"), entry("ab/a"), entry("b")]).as_bytes()).is_ok());
        for bad in [
            tree(&[entry("../a")]),
            tree(&[entry("msgvault.db")]),
            tree(&[entry("a"), entry("A")]),
            tree(&[entry("é"), entry("e\u{301}")]),
            tree(&[entry("a"), entry("a/b/c")]),
            tree(&[entry("a/b/c"), entry("a/b")]),
            tree(&[entry("a"), entry("a-b"), entry("a/b")]),
            "{}".to_owned(),
            r#"{"entries":[],"more":1}"#.to_owned(),
            "[[]]".to_owned(),
            format!(r#"{{"entries":[["a",384,0,"{}"]]}}"#, BlobId::of(b"")),
            "[".repeat(100_000),
        ] {
            assert!(decode(bad.as_bytes()).is_err(), "{bad:.60}");
        }
    }
}
