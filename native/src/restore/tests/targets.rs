//! Where a restore must not go.

use std::os::unix::fs::symlink;

use msgvault_freeze::ownership::Ownership;

use super::tiny::Tiny;
use super::*;

/// A folder with a repository in `backups/repo` and what else the story needs.
fn world() -> (TempDir, PathBuf, SnapshotId) {
    let world = tempfile::tempdir().unwrap();
    let root = world.path().join("backups/repo");
    let snapshot = Tiny::sample().write(&root);
    fs::create_dir(world.path().join("empty")).unwrap();
    fs::create_dir(world.path().join("used")).unwrap();
    fs::write(world.path().join("used/mine.txt"), "mine").unwrap();
    fs::write(world.path().join("file"), "").unwrap();
    symlink("empty", world.path().join("link")).unwrap();
    symlink("backups", world.path().join("way")).unwrap();
    symlink("nothing", world.path().join("dangling")).unwrap();
    (world, root, snapshot)
}

fn is_refused_unchanged(target: &str, overwrite: bool, expected: impl FnOnce(&TargetError) -> bool) {
    let (world, root, snapshot) = world();
    let before = tree(world.path());
    let path = world.path().join(target);
    let refused = restore(&(), &root, &snapshot, &path, |request| request.overwrite = overwrite);
    match refused {
        Err(RestoreError::Target(error)) => assert!(expected(&error), "{target}: {error}"),
        other => panic!("{target}: {other:?}"),
    }
    assert_eq!(tree(world.path()), before, "{target}");
}

#[test]
fn bad_targets_are_refused_before_anything_changes() {
    use TargetError as T;
    is_refused_unchanged("used", false, |error| matches!(error, T::NotEmpty { .. }));
    is_refused_unchanged("file", true, |error| matches!(error, T::NotAFolder { .. }));
    is_refused_unchanged("file/below", true, |error| matches!(error, T::Unusable { .. }));
    for link in ["link", "link/", "link/.", "dangling"] {
        is_refused_unchanged(link, true, |error| matches!(error, T::Link { .. }));
    }
    for inside in ["backups/repo", "backups/repo/packs", "backups/repo/new/deep", "way/repo/new"] {
        is_refused_unchanged(inside, true, |error| matches!(error, T::InRepository { .. }));
    }
    for above in ["backups", "", "."] {
        is_refused_unchanged(above, true, |error| matches!(error, T::AboveRepository { .. }));
    }
}

#[test]
fn good_targets_become_homes() {
    for (target, overwrite) in
        [("empty", false), ("new", false), ("new/deep/er", false), ("used", true), ("link/new", false)]
    {
        let (world, root, snapshot) = world();
        let path = world.path().join(target);
        let report = restore(&(), &root, &snapshot, &path, |request| request.overwrite = overwrite).unwrap();
        assert_eq!(report.target, path.canonicalize().unwrap());
        assert_eq!((report.attachments, report.attachment_files, report.extras), (2, 3, 2));
        let tree = tree(&path);
        assert_eq!(tree["config.toml"], (0o640, b"new config".to_vec()));
        assert_eq!(tree["deletions/a.json"], (0o600, b"new a".to_vec()));
        assert_eq!(tree["attachments/mail/first.txt"], (0o600, b"first".to_vec()));
        assert_eq!(tree.len(), 6 + usize::from(target == "used"), "{:?}", tree.keys());
    }
}

#[test]
fn what_systems_leave_in_a_folder_is_not_in_the_way() {
    let (world, root, snapshot) = world();
    let disk = world.path().join("disk");
    fs::create_dir_all(disk.join("lost+found")).unwrap();
    for name in [".DS_Store", "._.DS_Store", "Thumbs.db", "desktop.ini"] {
        fs::write(disk.join(name), name).unwrap();
    }
    // A failed restore leaves the folder as free as it was, and an interrupted one is gone on with.
    for point in ["restore.target", "restore.database.written"] {
        let observer = FailAt::once(point, 1);
        restore(&observer, &root, &snapshot, &disk, |_| ()).unwrap_err();
        assert_eq!(fs::read_dir(&disk).unwrap().count(), 5, "{point}");
    }
    fs::write(disk.join("target.restore-unfinished"), snapshot.to_string()).unwrap();
    fs::create_dir(disk.join("attachments")).unwrap();
    restore(&(), &root, &snapshot, &disk, |_| ()).unwrap();
    assert_eq!(fs::read_to_string(disk.join("Thumbs.db")).unwrap(), "Thumbs.db");
    assert!(disk.join("msgvault.db").exists() && disk.join("lost+found").exists());
    let again = restore(&(), &root, &snapshot, &disk, |_| ());
    assert!(matches!(again, Err(RestoreError::Target(TargetError::NotEmpty { .. }))));
}

#[test]
fn a_live_home_is_refused_however_it_is_named() {
    let (world, root, snapshot) = world();
    let home = [world.path().join("link")];
    let empty = world.path().join("empty");
    let refused = restore(&(), &root, &snapshot, &empty, |request| request.live_homes = &home);
    assert!(matches!(refused, Err(RestoreError::Target(TargetError::LiveHome { .. }))));

    // A daemon that nobody told us about holds its locks.
    let used = world.path().join("used");
    let daemon = Ownership::take(&used).unwrap();
    let refused = restore(&(), &root, &snapshot, &used, |request| request.overwrite = true);
    assert!(matches!(refused, Err(RestoreError::Target(TargetError::Ownership(_)))));
    drop(daemon);
    restore(&(), &root, &snapshot, &used, |request| request.overwrite = true).unwrap();
}

#[test]
fn a_folder_where_a_file_must_go_is_not_moved_away() {
    for name in ["msgvault.db", "config.toml", "deletions/a.json"] {
        let (world, root, snapshot) = world();
        let used = world.path().join("used");
        fs::create_dir_all(used.join(name)).unwrap();
        fs::write(used.join(name).join("mine"), "").unwrap();
        let before = tree(&used);
        let refused = restore(&(), &root, &snapshot, &used, |request| request.overwrite = true);
        assert!(matches!(refused, Err(RestoreError::Target(TargetError::Occupied { .. }))), "{name}");
        assert_eq!(tree(&used), before);
    }
}

#[test]
fn what_blocks_a_folder_is_found_before_anything_is_staged() {
    for name in ["attachments", "deletions"] {
        let (world, root, snapshot) = world();
        let used = world.path().join("used");
        for way in
            [|path: &Path| symlink("elsewhere", path).unwrap(), |path: &Path| fs::write(path, "").unwrap()]
        {
            way(&used.join(name));
            let before = tree(&used);
            let observer = FailAt::once("restore.target", 1);
            let refused = restore(&observer, &root, &snapshot, &used, |request| request.overwrite = true);
            assert!(
                matches!(refused, Err(RestoreError::Target(TargetError::NoFolder { .. }))),
                "{refused:?}"
            );
            assert_eq!(tree(&used), before);
            fs::remove_file(used.join(name)).unwrap();
        }
    }
}

#[test]
fn two_restores_into_one_folder_do_not_sweep_each_other_away() {
    /// Begins a second restore when the first has staged its database.
    struct Second<'a>(&'a Path, &'a SnapshotId, &'a Path, AtomicU64);
    impl Observer for Second<'_> {
        fn reached(&self, point: &'static str) -> io::Result<()> {
            if point == "restore.database.written" {
                let refused = restore(&(), self.0, self.1, self.2, |request| request.overwrite = true);
                assert!(
                    matches!(refused, Err(RestoreError::Target(TargetError::InUse { .. }))),
                    "{refused:?}"
                );
                self.3.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }
    }
    for target in ["empty", "new"] {
        let (world, root, snapshot) = world();
        let path = world.path().join(target);
        let second = Second(&root, &snapshot, &path, AtomicU64::new(0));
        restore(&second, &root, &snapshot, &path, |_| ()).unwrap();
        assert_eq!(second.3.into_inner(), 1);
    }
}

#[test]
fn no_link_inside_the_target_is_followed() {
    for (name, replaced) in [
        ("config.toml", true),
        ("msgvault.db", true),
        ("attachments/mail/first.txt", true),
        ("deletions", false),
        ("attachments", false),
        ("attachments/mail", false),
    ] {
        let (world, root, snapshot) = world();
        let (used, outside) = (world.path().join("used"), world.path().join("outside"));
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        let link = used.join(name);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(if replaced { outside.join("secret") } else { outside.clone() }, &link).unwrap();
        let restored = restore(&(), &root, &snapshot, &used, |request| request.overwrite = true);
        assert_eq!(restored.is_ok(), replaced, "{name}: {restored:?}");
        assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{name}");
        if !replaced {
            assert!(!used.join("msgvault.db").exists(), "{name}");
        }
    }
}
