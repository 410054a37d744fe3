//! Names that operating systems and storage devices give to what they keep beside the files of others.

/// Compared without case.
const WHOLE: [&str; 26] = [
    ".ds_store",
    ".localized",
    ".spotlight-v100",
    ".trashes",
    ".fseventsd",
    ".temporaryitems",
    ".documentrevisions-v100",
    ".appledouble",
    ".apdisk",
    ".com.apple.timemachine.donotpresent",
    "icon\r",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    ".directory",
    "@eadir",
    "#recycle",
    "@recycle",
    "@recently-snapshot",
    ".@__thumb",
    ".snapshot",
    ".snapshots",
    ".zfs",
];
/// Beginnings of names: what a Mac knows about the file of the name behind it, what was thrown away, and what was
/// removed on a share while it was open.
const BEGINNINGS: [&str; 4] = ["._", ".trash-", ".nfs0000", ".fuse_hidden"];

/// Whether a system gives a file or folder this name, so that a folder with nothing else in it is as good as empty.
pub fn is_of_a_system(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    WHOLE.contains(&name.as_str()) || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_systems_are_told_from_those_of_people() {
        for name in
            [".DS_Store", "._x.mvidx", "Thumbs.db", "THUMBS.DB", "lost+found", "@eaDir", ".Trash-1000"]
        {
            assert!(is_of_a_system(name), "{name}");
        }
        for name in
            ["", ".", "config.toml", "msgvault.db", "snapshots", "Thumbs.db.txt", "x.DS_Store", ".gitkeep"]
        {
            assert!(!is_of_a_system(name), "{name}");
        }
    }
}
