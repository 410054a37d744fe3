//! Paths from data, which cannot lead anywhere but below the folder they are meant for
//! (`docs/format.md` §10).

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// Why a path is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the path {path:?} {reason}")]
pub struct PathError {
    path: String,
    reason: &'static str,
}

/// A cleaned relative path with `/` between its components: no root, drive or `..`, and no component that
/// ends in a dot or a space.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelativePath(String);

impl RelativePath {
    /// Cleans and checks a path.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        let refuse = |reason| Err(PathError { path: path.to_owned(), reason });
        if path.starts_with('/') {
            return refuse("is absolute");
        }
        if path.contains('\0') {
            return refuse("holds a zero byte");
        }
        let mut components: Vec<&str> = Vec::new();
        for component in path.split('/') {
            match component {
                "" | "." => {}
                ".." => {
                    if components.pop().is_none() {
                        return refuse("leads out of its folder");
                    }
                }
                name => components.push(name),
            }
        }
        if components.is_empty() {
            return refuse("is empty");
        }
        if components.iter().any(|name| name.ends_with(['.', ' '])) {
            return refuse("has a component that ends in a dot or a space");
        }
        if components.first().is_some_and(|first| has_drive(first)) {
            return refuse("begins with a drive");
        }
        Ok(Self(components.join("/")))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components, at least one.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// What two paths have in common when a file system without case could take one for the other.
    pub fn folded(&self) -> String {
        fold(&self.0)
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an extra file goes, relative to the archive home: never onto the database or into the attachments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtraPath(RelativePath);

impl ExtraPath {
    /// Cleans and checks a path.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        const RESERVED: [&str; 5] =
            ["msgvault.db", "msgvault.db-wal", "msgvault.db-shm", "msgvault.db-journal", "attachments"];
        let clean = RelativePath::parse(path)?;
        let first = clean.components().next().unwrap_or_default();
        if RESERVED.contains(&fold(first).as_str()) {
            return Err(PathError {
                path: path.to_owned(),
                reason: "belongs to the database or its attachments",
            });
        }
        Ok(Self(clean))
    }

    /// The path.
    pub fn relative(&self) -> &RelativePath {
        &self.0
    }
}

fn fold(text: &str) -> String {
    // Most paths are such, and the tables of Unicode take their time.
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfc().flat_map(char::to_lowercase).collect()
}

fn has_drive(first: &str) -> bool {
    matches!(first.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_or_refused() {
        let table = [
            ("a/b", Some("a/b")),
            ("./a//b/", Some("a/b")),
            ("a/../b", Some("b")),
            ("a/b/../../c", Some("c")),
            ("tokens/é ✂.json", Some("tokens/é ✂.json")),
            ("..a/b..c", Some("..a/b..c")),
            ("a\\b", Some("a\\b")),
            ("", None),
            (".", None),
            ("a/..", None),
            ("/a", None),
            ("..", None),
            ("a/../../b", None),
            ("a./b", None),
            ("a /b", None),
            ("a/b.", None),
            ("a/...", None),
            ("C:/a", None),
            ("c:a", None),
            ("a\0b", None),
        ];
        for (path, expected) in table {
            let parsed = RelativePath::parse(path).ok();
            assert_eq!(parsed.as_ref().map(RelativePath::as_str), expected, "{path:?}");
        }
    }

    #[test]
    fn extras_keep_off_the_database_and_the_attachments() {
        for bad in [
            "msgvault.db",
            "MsgVault.DB",
            "msgvault.db-wal",
            "msgvault.db-shm/x",
            "msgvault.db-JOURNAL",
            "attachments/x",
            "x/../Attachments",
            "./attachments",
        ] {
            assert!(ExtraPath::parse(bad).is_err(), "{bad}");
        }
        for good in ["msgvault.db.bak", "deletions/msgvault.db", "tokens/attachments", "config.toml"] {
            assert!(ExtraPath::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn folding_joins_what_a_file_system_may_join() {
        let fold = |path| RelativePath::parse(path).unwrap().folded();
        assert_eq!(fold("A/É"), fold("a/e\u{301}"));
        assert_ne!(fold("a/e"), fold("a/é"));
        assert_eq!(fold("A/b~C"), "a/b~c");
        // The Kelvin sign becomes the letter.
        assert_eq!(fold("\u{212a}"), fold("K"));
    }
}
