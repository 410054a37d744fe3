use std::fs;
use std::io::{ErrorKind, Read, Write};

use msgvault_verifier::format::path::RelativePath;

use super::*;

fn path(text: &str) -> RelativePath {
    RelativePath::parse(text).unwrap()
}

/// The same story for both implementations.
macro_rules! dir_story {
    ($name:ident, $dir:ty) => {
        mod $name {
            use super::*;

            #[test]
            fn files_are_created_once_moved_and_removed() {
                let folder = tempfile::tempdir().unwrap();
                let dir = <$dir>::open(folder.path()).unwrap();
                dir.create_dirs(&path("a/b")).unwrap();
                dir.create_dirs(&path("a/b")).unwrap();
                dir.create_file(&path("a/b/f")).unwrap().write_all(b"one").unwrap();
                let taken = dir.create_file(&path("a/b/f")).unwrap_err();
                assert_eq!(taken.kind(), ErrorKind::AlreadyExists);

                dir.rename_new(&path("a/b/f"), &path("g")).unwrap();
                dir.create_file(&path("h")).unwrap();
                let taken = dir.rename_new(&path("h"), &path("g")).unwrap_err();
                assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
                let taken = dir.link(&path("h"), &path("g")).unwrap_err();
                assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
                assert_eq!(dir.rename_guard(&path("h"), &path("g")).unwrap(), RenameGuard::System);
                assert!(dir.syncs_names().unwrap());
                dir.rename(&path("h"), &path("i")).unwrap();

                let mut text = String::new();
                dir.open_file(&path("g")).unwrap().read_to_string(&mut text).unwrap();
                assert_eq!(text, "one");
                let names = dir.entries().unwrap().into_iter().filter_map(|name| name.text);
                assert_eq!(names.collect::<Vec<_>>(), ["a", "g", "i"]);
                assert_eq!(dir.stat(&path("g")).unwrap().len, 3);
                assert_eq!(dir.stat(&path("a")).unwrap().kind, Kind::Folder);
                dir.remove_file(&path("g")).unwrap();
                dir.remove_dir(&path("a/b")).unwrap();
                assert_eq!(dir.open_file(&path("g")).unwrap_err().kind(), ErrorKind::NotFound);
                dir.sync().unwrap();
                assert!(dir.is_same(&dir.try_clone().unwrap()).unwrap());
            }

            #[cfg(unix)]
            #[test]
            fn no_link_is_followed_wherever_it_stands() {
                let folder = tempfile::tempdir().unwrap();
                let outside = tempfile::tempdir().unwrap();
                fs::write(outside.path().join("secret"), "x").unwrap();
                let dir = <$dir>::open(folder.path()).unwrap();
                let link = |to: &std::path::Path, name: &str| {
                    std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
                };
                link(outside.path(), "folder");
                link(&outside.path().join("secret"), "file");
                link(&outside.path().join("nothing"), "dangling");

                for name in ["folder/secret", "file", "dangling", "folder"] {
                    let refused = dir.open_file(&path(name)).unwrap_err().to_string();
                    assert!(refused.contains("symbolic link"), "{name}: {refused}");
                    assert!(dir.open_file_to_change(&path(name)).is_err(), "{name}");
                }
                for name in ["folder/new", "dangling"] {
                    assert!(dir.create_file(&path(name)).is_err(), "{name}");
                }
                assert!(dir.create_dirs(&path("folder/new")).is_err());
                assert!(dir.open_dir(&path("folder")).is_err());
                assert!(dir.remove_file(&path("folder/secret")).is_err());
                assert_eq!(dir.stat(&path("file")).unwrap().kind, Kind::Link);
                assert!(<$dir>::open_no_follow(&folder.path().join("folder")).is_err());
                dir.remove_file(&path("file")).unwrap();
                assert!(outside.path().join("secret").exists());
                assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
            }

            #[cfg(unix)]
            #[test]
            fn what_is_created_is_private() {
                use std::os::unix::fs::PermissionsExt;
                let folder = tempfile::tempdir().unwrap();
                let dir = <$dir>::open(folder.path()).unwrap();
                dir.create_dirs(&path("a")).unwrap();
                dir.create_file(&path("a/f")).unwrap();
                let mode =
                    |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
                assert_eq!((mode("a"), mode("a/f")), (0o700, 0o600));
            }
        }
    };
}

#[cfg(unix)]
dir_story!(held_open, super::dir_unix::Dir);
dir_story!(by_path, super::dir_portable::Dir);

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let dir = Dir::open(folder.path()).unwrap();
    assert!(dir.open_file(&path("pipe")).is_err());
}

#[test]
fn a_replaced_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("f");
    fs::write(&name, "1").unwrap();
    let file = fs::File::open(&name).unwrap();
    assert!(still_names(&name, &file).unwrap());
    assert!(same_object(&name, &folder.path().join(".").join("f")).unwrap());
    if cfg!(unix) {
        fs::write(folder.path().join("g"), "1").unwrap();
        fs::rename(folder.path().join("g"), &name).unwrap();
        assert!(!still_names(&name, &file).unwrap());
    }
}

#[test]
fn a_file_system_that_syncs_as_a_whole_does_so() {
    let folder = tempfile::tempdir().unwrap();
    let dir = Dir::open(folder.path()).unwrap();
    if dir.syncs_as_a_whole() {
        dir.sync_file_system().unwrap();
    }
    sync_folder(folder.path()).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn an_unknown_file_system_is_not_synced_as_a_whole() {
    assert!(!Dir::open(std::path::Path::new("/proc")).unwrap().syncs_as_a_whole());
    if let Ok(memory) = Dir::open(std::path::Path::new("/dev/shm")) {
        assert!(memory.syncs_as_a_whole());
    }
}

#[cfg(unix)]
#[test]
fn a_folder_is_held_once() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Dir::open(folder.path()).unwrap(), Dir::open(folder.path()).unwrap());
    assert!(first.try_hold() && first.try_hold());
    assert!(!second.try_hold());
    // As a child that is being started has it.
    let _copy = first.try_clone().unwrap();
    first.let_go();
    assert!(second.try_hold());
}

#[cfg(unix)]
#[test]
fn what_root_makes_belongs_to_whom_the_folder_belongs() {
    use std::os::unix::fs::{MetadataExt, chown};
    if !rustix::process::geteuid().is_root() {
        let _ = writeln!(std::io::stderr(), "NOT RUN: only root may give files away");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    chown(root, Some(1234), Some(1235)).unwrap();
    let dir = Dir::open(root).unwrap();
    dir.create_dirs(&path("a/b")).unwrap();
    dir.create_file(&path("a/b/f")).unwrap();
    crate::create_folder(&root.join("c")).unwrap();
    crate::create_new(&root.join("c/g")).unwrap();
    for name in ["a", "a/b", "a/b/f", "c", "c/g"] {
        let found = root.join(name).metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (1234, 1235), "{name}");
        assert_eq!(crate::foreign_owner(&root.join(name)), None);
    }
    fs::write(root.join("h"), "").unwrap();
    let warning = crate::foreign_owner(&root.join("h")).unwrap();
    assert!(warning.contains("user 0") && warning.contains("chown -R 1234"), "{warning}");
}
