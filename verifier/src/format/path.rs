//! Paths from data, which cannot lead anywhere but below the folder they are meant for
//! (`docs/format.md` §10).

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// The longest name that a file system of our day takes, in bytes.
const MAX_COMPONENT: usize = 255;
/// The longest path that a system call takes, in bytes.
const MAX_PATH: usize = 4095;
/// The most components of a path: deeper trees can hardly be removed again.
const MAX_DEPTH: usize = 64;
/// What a restore adds to the names of what it puts into its target for a while. The name of an extra never
/// holds it at the top level, so that nothing from a repository passes for a note or a file of a restore.
pub const RESTORE_MARK: &str = ".restore-";

/// Why a path is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the path {} {reason}", shortened(path))]
pub struct PathError {
    path: String,
    reason: &'static str,
}

/// A path for a message, which need not be read to the end.
fn shortened(path: &str) -> String {
    const SHOWN: usize = 200;
    match path.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}… ({} bytes)", path.get(..end).unwrap_or_default(), path.len()),
        None => format!("{path:?}"),
    }
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
        if components.iter().any(|name| name.len() > MAX_COMPONENT) {
            return refuse("has a component of more than 255 bytes");
        }
        if components.len() > MAX_DEPTH {
            return refuse("has more than 64 components");
        }
        let clean = components.join("/");
        if clean.len() > MAX_PATH {
            return refuse("has more than 4,095 bytes");
        }
        Ok(Self(clean))
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

    /// Orders paths by where a file system could put them: those that it could take for one are equal, and
    /// what lies below a path comes right behind it. The components are folded and have a zero byte between
    /// them.
    pub fn place(&self) -> Vec<u8> {
        self.folded().replace('/', "\0").into_bytes()
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an extra file goes, relative to the archive home: never onto the database, into the attachments, or
/// to where a restore keeps what it may take back.
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
        if fold(first).contains(RESTORE_MARK) {
            return Err(PathError { path: path.to_owned(), reason: "has a name that only a restore gives" });
        }
        if is_of_a_daemon(&fold(first)) {
            return Err(PathError { path: path.to_owned(), reason: "has a name that only a daemon gives" });
        }
        Ok(Self(clean))
    }

    /// The path.
    pub fn relative(&self) -> &RelativePath {
        &self.0
    }
}

/// Whether a daemon keeps a lock, its record or its schedule under this name, and others believe what it
/// says.
fn is_of_a_daemon(name: &str) -> bool {
    matches!(name, "daemon.lock" | "db.write.lock" | "daemon-schedule.json")
        || name.strip_prefix("daemon.").is_some_and(|rest| rest.ends_with(".json"))
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
    fn no_extra_passes_for_a_note_of_a_restore() {
        const ID: &str = "01m849xq3wk3s4p8ybcf4313en";
        for stem in ["msgvault.db", "msgvault.db-wal", "files", "anything"] {
            for bad in [
                format!("{stem}.restore-{ID}"),
                format!("{stem}.restore-{ID}/paths"),
                format!("./{stem}.Restore-x"),
            ] {
                assert!(ExtraPath::parse(&bad).is_err(), "{bad}");
            }
        }
        assert!(ExtraPath::parse(&format!("deletions/files.restore-{ID}")).is_ok());
    }

    #[test]
    fn no_extra_passes_for_what_a_daemon_says() {
        for bad in
            ["daemon.lock", "db.write.lock", "Daemon.4711.json", "daemon-schedule.json", "daemon.lock/x"]
        {
            assert!(ExtraPath::parse(bad).is_err(), "{bad}");
        }
        for good in ["daemon.md", "tokens/daemon.4711.json", "daemons.json"] {
            assert!(ExtraPath::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn paths_that_no_file_system_takes_are_refused() {
        let long = |bytes: usize| "x".repeat(bytes);
        let deep = |depth: usize| vec!["d"; depth].join("/");
        let wide = |bytes: usize| format!("{}{}", format!("{}/", long(199)).repeat(20), long(bytes - 4000));
        for (good, bad) in [(long(255), long(256)), (deep(64), deep(65)), (wide(4095), wide(4096))] {
            assert!(RelativePath::parse(&good).is_ok(), "{} bytes", good.len());
            let error = RelativePath::parse(&bad).unwrap_err().to_string();
            assert!(error.len() < 400, "{error}");
        }
        assert!(RelativePath::parse(&deep(1_000_000)).is_err());
        // Bytes count, not characters.
        assert!(RelativePath::parse(&"é".repeat(128)).is_err());
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
