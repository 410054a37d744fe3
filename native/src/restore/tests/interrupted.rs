//! Restores that fail on the way.

use std::collections::BTreeSet;

use crate::phase;
use std::sync::Mutex;

use msgvault_verifier::format::id::BlobId;

use crate::archive::content_table::canonical_path;

use super::tiny::Tiny;
use super::*;

/// Points up to the one at which the database is renamed, in order; what fails there changes nothing.
const BEFORE_THE_LAST_STEP: [&str; 12] = [
    "restore.target",
    "restore.database.created",
    "restore.database.written",
    "restore.attachment.written",
    "restore.attachments.written",
    "restore.extras.staged",
    "restore.proven",
    "restore.synced",
    "restore.extra.set-aside",
    "restore.extra.renamed",
    "restore.sidecar.set-aside",
    "restore.sidecars.durable",
];
const LAST: [&str; 3] = ["restore.database.renaming", "restore.published", "restore.durable"];

/// A home with an old archive in it, whose files have the names of the new one's.
fn old_home(folder: &Path) -> PathBuf {
    let home = folder.join("home");
    fs::create_dir_all(home.join("deletions")).unwrap();
    for name in
        ["msgvault.db", "msgvault.db-wal", "msgvault.db-shm", "config.toml", "deletions/a.json", "mine"]
    {
        fs::write(home.join(name), format!("old {name}")).unwrap();
    }
    for (path, content) in old_attachments() {
        fs::create_dir_all(home.join(&path).parent().unwrap()).unwrap();
        fs::write(home.join(&path), content).unwrap();
    }
    home
}

/// Attachments of the old archive where the new one has some: another one, a damaged one, and the same.
fn old_attachments() -> [(String, &'static str); 3] {
    let canonical = |content| format!("attachments/{}", canonical_path(&BlobId::of(content)));
    let other = ("attachments/mail/first.txt".to_owned(), "the only copy");
    [other, (canonical(b"second"), "damaged"), (canonical(b"first"), "first")]
}

/// What is left of the files that were there before, and what came beside them; new attachments disturb
/// nobody.
fn without_new_attachments(home: &Path, before: &Files) -> Files {
    let mut files = tree(home);
    files.retain(|path, _| !path.starts_with("attachments/") || before.contains_key(path));
    files
}

/// Files by path, with mode and content.
type Files = BTreeMap<String, (u32, Vec<u8>)>;

fn without_attachments(home: &Path) -> Files {
    let mut files = tree(home);
    files.retain(|path, _| !path.starts_with("attachments/"));
    files
}

/// Collects the points that are reached.
#[derive(Default)]
struct PointsReached(Mutex<BTreeSet<&'static str>>);

impl Observer for PointsReached {
    fn reached(&self, point: &'static str) -> io::Result<()> {
        self.0.lock().unwrap().insert(point);
        Ok(())
    }
}

#[test]
fn a_failed_restore_leaves_the_old_archive_and_can_be_repeated() {
    for point in BEFORE_THE_LAST_STEP.into_iter().chain([LAST[0]]) {
        for n in 1..=4 {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("repo");
            let snapshot = Tiny::sample().write(&root);
            let home = old_home(folder.path());
            let before = tree(&home);
            let observer = FailAt::once(point, n);
            let failed = restore(&observer, &root, &snapshot, &home, |request| request.overwrite = true);
            if observer.seen() < n {
                failed.unwrap();
                continue;
            }
            assert!(matches!(failed, Err(RestoreError::Fault { .. })), "{point}: {failed:?}");
            assert_eq!(without_new_attachments(&home, &before), before, "{point}");

            restore(&(), &root, &snapshot, &home, |request| request.overwrite = true).unwrap();
            assert!(!home.join("msgvault.db-wal").exists() && home.join("mine").exists());
            assert_eq!(fs::read(home.join("config.toml")).unwrap(), b"new config");
            assert_eq!(fs::read(home.join("attachments/mail/first.txt")).unwrap(), b"first");
        }
    }
}

#[test]
fn an_attachment_that_is_there_already_is_left_alone() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    let snapshot = Tiny::sample().write(&root);
    let home = old_home(folder.path());
    let inodes = || old_attachments().map(|(path, _)| fs::metadata(home.join(path)).unwrap().ino());
    let before = inodes();
    restore(&(), &root, &snapshot, &home, |request| request.overwrite = true).unwrap();
    let contents = old_attachments().map(|(path, _)| fs::read_to_string(home.join(path)).unwrap());
    assert_eq!(contents, ["first", "second", "first"]);
    let after = inodes();
    assert!(before[0] != after[0] && before[1] != after[1] && before[2] == after[2]);
}

#[test]
fn a_failure_after_the_last_step_has_restored() {
    for point in &LAST[1..] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repo");
        let tiny = Tiny::sample();
        let snapshot = tiny.write(&root);
        let home = old_home(folder.path());
        let observer = FailAt::once(*point, 1);
        restore(&observer, &root, &snapshot, &home, |request| request.overwrite = true).unwrap_err();
        assert!(fs::read(home.join("msgvault.db")).unwrap() == tiny.database, "{point}");
        assert_eq!(fs::read(home.join("config.toml")).unwrap(), b"new config");
        assert!(!home.join("msgvault.db-wal").exists());
    }
}

#[test]
fn all_points_are_tried() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    let snapshot = Tiny::sample().write(&root);
    let points = PointsReached::default();
    let home = old_home(folder.path());
    restore(&points, &root, &snapshot, &home, |request| request.overwrite = true).unwrap();
    let mut reached = points.0.into_inner().unwrap();
    reached.retain(|point| point.starts_with("restore."));
    assert_eq!(reached, BEFORE_THE_LAST_STEP.into_iter().chain(LAST).collect());
}

#[test]
fn a_stop_is_obeyed_in_every_phase() {
    /// Says to stop once a phase has begun.
    struct StopIn(Phase, std::sync::atomic::AtomicBool);
    impl Observer for StopIn {
        fn begin(&self, phase: Phase, _: u64) {
            if phase == self.0 {
                self.1.store(true, Ordering::Relaxed);
            }
        }
        fn cancelled(&self) -> bool {
            self.1.load(Ordering::Relaxed)
        }
    }
    for phase in
        [Phase::PLAN, phase::DATABASE, phase::ATTACHMENTS, phase::EXTRAS, phase::PROOF, phase::PUBLISH]
    {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repo");
        let snapshot = Tiny::sample().write(&root);
        let home = old_home(folder.path());
        let before = tree(&home);
        let observer = StopIn(phase, false.into());
        let stopped = restore(&observer, &root, &snapshot, &home, |request| request.overwrite = true);
        assert!(matches!(stopped, Err(RestoreError::Cancelled)), "{phase:?}: {stopped:?}");
        assert_eq!(without_new_attachments(&home, &before), before, "{phase:?}");
        assert_eq!(fs::read_dir(root.join("locks")).unwrap().count(), 0, "{phase:?}");
    }
}

#[test]
fn leftovers_of_a_crash_are_not_content() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    let snapshot = Tiny::sample().write(&root);
    let home = folder.path().join("home");
    let ulid = "01m849xq3wk3s4p8ybcf4313en";
    fs::create_dir_all(home.join(format!("files.restore-{ulid}"))).unwrap();
    fs::write(home.join(format!("files.restore-{ulid}/a0")), "half").unwrap();
    fs::write(home.join(format!("msgvault.db.restore-{ulid}")), "half").unwrap();
    restore(&(), &root, &snapshot, &home, |_| ()).unwrap();
    assert!(tree(&home).keys().all(|path| !path.contains(".restore-")));
}

/// Makes a restore look killed at a point: what it would do on its way out is not done.
struct Killed {
    at: FailAt,
    home: PathBuf,
    kept: PathBuf,
}

impl Observer for Killed {
    fn reached(&self, point: &'static str) -> io::Result<()> {
        let reached = self.at.reached(point);
        if reached.is_err() {
            let copied = std::process::Command::new("cp").arg("-a").args([&self.home, &self.kept]).status();
            assert!(copied.unwrap().success());
        }
        reached
    }
}

/// An old home, as a restore leaves it that was killed when it reached a point for the `n`th time; and the
/// home as it was before. None when the point is not reached so often.
fn killed(folder: &Path, point: &'static str, n: u64) -> Option<(PathBuf, Files)> {
    let root = folder.join("repo");
    let snapshot = Tiny::sample().write(&root);
    let home = old_home(folder);
    // The one has an old version, the other has none.
    fs::remove_file(home.join("deletions/a.json")).unwrap();
    let before = tree(&home);
    let kept = folder.join("killed");
    let observer = Killed { at: FailAt::once(point, n), home: home.clone(), kept: kept.clone() };
    let ended = restore(&observer, &root, &snapshot, &home, |request| request.overwrite = true);
    ended.is_err().then_some((kept, before))
}

#[test]
fn a_killed_restore_is_undone_by_the_next() {
    let points = BEFORE_THE_LAST_STEP.into_iter().chain([LAST[0]]);
    let mut seen = 0;
    for (point, n) in points.flat_map(|point| (1..=4).map(move |n| (point, n))) {
        let folder = tempfile::tempdir().unwrap();
        let Some((home, before)) = killed(folder.path(), point, n) else { continue };
        let dir = Dir::open(&home).unwrap();
        super::super::leftovers::sweep(&dir).unwrap();
        assert_eq!(without_new_attachments(&home, &before), before, "{point} {n}");
        seen += 1;
    }
    assert_eq!(seen, 20);
}

#[test]
fn what_was_killed_after_the_last_rename_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (home, _) = killed(folder.path(), "restore.published", 1).unwrap();
    assert!(tree(&home).keys().any(|path| path.contains("-wal.restore-")));
    super::super::leftovers::sweep(&Dir::open(&home).unwrap()).unwrap();
    let left = without_attachments(&home);
    let names: Vec<&str> = left.keys().map(String::as_str).collect();
    assert_eq!(names, ["config.toml", "deletions/a.json", "mine", "msgvault.db"]);
    assert_eq!(left["config.toml"].1, b"new config");
    assert!(left["msgvault.db"].1 == Tiny::sample().database);
}

#[test]
fn what_was_written_after_a_killed_restore_stays() {
    let later = std::time::SystemTime::now() + std::time::Duration::from_mins(1);
    let folder = tempfile::tempdir().unwrap();
    let (home, _) = killed(folder.path(), "restore.database.renaming", 1).unwrap();
    for name in ["msgvault.db", "config.toml", "deletions/a.json"] {
        fs::write(home.join(name), "later").unwrap();
        fs::File::options().write(true).open(home.join(name)).unwrap().set_modified(later).unwrap();
    }
    super::super::leftovers::sweep(&Dir::open(&home).unwrap()).unwrap();
    let left = without_attachments(&home);
    let names: Vec<&str> = left.keys().map(String::as_str).collect();
    // The old log is none of the database that was written since.
    assert_eq!(names, ["config.toml", "deletions/a.json", "mine", "msgvault.db"]);
    assert!(left.iter().all(|(name, (_, content))| name == "mine" || content == b"later"));
}

/// Collects warnings and fails at a point.
struct FailsAndTells(FailAt, Mutex<Vec<String>>);

impl Observer for FailsAndTells {
    fn reached(&self, point: &'static str) -> io::Result<()> {
        self.0.reached(point)
    }

    fn warn(&self, message: &str) {
        self.1.lock().unwrap().push(message.to_owned());
    }
}

#[test]
fn the_same_command_goes_on_after_a_failure_or_a_kill() {
    for (point, n) in BEFORE_THE_LAST_STEP.into_iter().flat_map(|point| [(point, 1), (point, 2)]) {
        for is_killed in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("repo");
            let snapshot = Tiny::sample().write(&root);
            let (home, kept) = (folder.path().join("new"), folder.path().join("killed"));
            let observer = Killed { at: FailAt::once(point, n), home: home.clone(), kept: kept.clone() };
            if restore(&observer, &root, &snapshot, &home, |_| ()).is_ok() {
                continue;
            }
            let home = if is_killed { kept } else { home };
            let holds_attachments = home.join("attachments").exists();
            let observer = FailsAndTells(FailAt::once("none", 1), Mutex::default());
            restore(&observer, &root, &snapshot, &home, |_| ())
                .unwrap_or_else(|error| panic!("{point}: {error}"));
            let warnings = observer.1.into_inner().unwrap();
            assert!(!holds_attachments || warnings.iter().any(|text| text.contains("goes on")), "{point}");
            assert_eq!(tree(&home).len(), 6, "{point}: {:?}", tree(&home).keys());
        }
    }
}

#[test]
fn only_an_untouched_unfinished_target_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    let snapshot = Tiny::sample().write(&root);
    for mine in ["mine.txt", "deletions/mine.txt", "msgvault.db"] {
        let home = folder.path().join("home");
        let observer = FailAt::once("restore.extras.staged", 1);
        restore(&observer, &root, &snapshot, &home, |_| ()).unwrap_err();
        fs::write(home.join(mine), "mine").unwrap();
        let before = tree(&home);
        let refused = restore(&(), &root, &snapshot, &home, |_| ());
        assert!(matches!(refused, Err(RestoreError::Target(TargetError::NotEmpty { .. }))), "{refused:?}");
        assert_eq!(tree(&home), before);
        fs::remove_dir_all(&home).unwrap();
    }
}
