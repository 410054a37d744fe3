mod readers;
mod staleness;

use std::cell::Cell;
use std::fs;
use std::time::SystemTime;

use super::super::publish::tests::Fixture;
use super::*;

const HERE: &str = "this-host";

fn request<'a>(root: &'a Path, operation: &'a str, pause: &'a dyn Fn(Duration)) -> LockRequest<'a> {
    LockRequest {
        root,
        operation,
        host: HERE,
        pid: u64::from(std::process::id()),
        force: false,
        patience: Duration::ZERO,
        pause,
    }
}

fn never(_: Duration) {
    panic!("nothing is to be waited for");
}

fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("locks")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A record of a process of which nothing can be known here.
fn far(operation: &str) -> String {
    format!(r#"{{"hostname":"far","pid":1,"operation":"{operation}","acquired_at":"2026-11-23T13:00:00Z"}}"#)
}

/// A lock that another program left; dated so many seconds after the medium's time, or before.
fn plant(root: &Path, name: &str, record: &str, seconds: i64) {
    let path = root.join("locks").join(name);
    fs::write(&path, record).unwrap();
    date(&path, seconds);
}

fn date(path: &Path, seconds: i64) {
    date_from(SystemTime::now(), path, seconds);
}

fn date_from(now: SystemTime, path: &Path, seconds: i64) {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { now - distance } else { now + distance };
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// Counts the time that is waited, and lets something happen after a while.
struct Clock<'a> {
    waited: Cell<Duration>,
    then: (Duration, &'a dyn Fn()),
}

impl<'a> Clock<'a> {
    fn new() -> Self {
        Self::with(u64::MAX, &|| ())
    }

    fn with(seconds: u64, then: &'a dyn Fn()) -> Self {
        Self { waited: Cell::default(), then: (Duration::from_secs(seconds), then) }
    }

    fn pause(&self, time: Duration) {
        let before = self.waited.get();
        self.waited.set(before + time);
        if before < self.then.0 && before + time >= self.then.0 {
            (self.then.1)();
        }
    }

    fn seconds(&self) -> u64 {
        self.waited.get().as_secs()
    }
}

/// Keeps warnings.
#[derive(Default)]
struct Warned(std::sync::Mutex<Vec<String>>);

impl msgvault_verifier::Observer for Warned {
    fn warn(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

impl Warned {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A medium on which no file can be made.
struct ReadOnly;

impl msgvault_verifier::Observer for ReadOnly {
    fn reached(&self, _: &'static str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

#[test]
fn one_writer_keeps_others_out_and_says_who_it_is() {
    let fixture = Fixture::new();
    let (root, context) = (fixture.repository(), fixture.context(&()));
    let lock = exclusive(&context, &request(&root, "create", &never)).unwrap();
    let text = fs::read_to_string(root.join("locks/exclusive.json")).unwrap();
    let beginning = format!(
        r#"{{"hostname":"this-host","pid":{},"operation":"create","acquired_at":"2026-11-23T13:35:58.000"#,
        std::process::id()
    );
    assert!(text.starts_with(&beginning), "{text}");
    assert_eq!(text.len(), beginning.len() + 36 + r#"Z"}"#.len(), "{text}");
    let refused = exclusive(&context, &request(&root, "create", &never)).unwrap_err().to_string();
    assert!(refused.contains("locked by create (process"), "{refused}");
    assert!(refused.contains("on this-host, since 2026-11-23T13:35:58Z"), "{refused}");
    lock.still_held().unwrap();
    lock.release().unwrap();
    assert!(names(&root).is_empty());
    drop(exclusive(&context, &request(&root, "create", &never)).unwrap());
    assert!(names(&root).is_empty());
}

#[test]
fn no_two_holders_have_equal_records() {
    let fixture = Fixture::new();
    let (root, context) = (fixture.repository(), fixture.context(&()));
    let _one = shared(&context, &request(&root, "verify", &never)).unwrap();
    let _other = shared(&context, &request(&root, "verify", &never)).unwrap();
    let records: Vec<_> =
        names(&root).iter().map(|name| fs::read_to_string(root.join("locks").join(name)).unwrap()).collect();
    assert_eq!(records.len(), 2);
    assert_ne!(records[0], records[1]);
}

#[test]
fn force_breaks_fresh_locks_and_their_holder_notices() {
    let fixture = Fixture::new();
    let (root, context) = (fixture.repository(), fixture.context(&()));
    let old = exclusive(&context, &request(&root, "create", &never)).unwrap();
    fixture.pass(1);
    let forced = LockRequest { force: true, ..request(&root, "create", &never) };
    let new = exclusive(&context, &forced).unwrap();
    assert!(matches!(old.still_held(), Err(LockError::Lost { .. })));
    assert!(matches!(old.release(), Err(LockError::Lost { .. })));
    new.still_held().unwrap();
    new.release().unwrap();

    let _reader = shared(&context, &request(&root, "verify", &never)).unwrap();
    exclusive(&context, &forced).unwrap().release().unwrap();
}

#[test]
fn advice_names_the_command_that_was_refused() {
    let fixture = Fixture::new();
    let (root, context) = (fixture.repository(), fixture.context(&()));
    plant(&root, "exclusive.json", &far("prune"), 0);
    for operation in ["verify", "restore"] {
        let refused = shared(&context, &request(&root, operation, &never)).unwrap_err().to_string();
        assert!(refused.contains(&format!("`msgvault backup {operation} --force-unlock`")), "{refused}");
        assert!(refused.contains("cannot be told from here"), "{refused}");
    }
    let refused = exclusive(&context, &request(&root, "create", &never)).unwrap_err().to_string();
    assert!(refused.contains("`msgvault backup create --force-unlock`"), "{refused}");
}

#[test]
fn what_is_no_record_is_a_lock_all_the_same() {
    let fixture = Fixture::new();
    let (root, context) = (fixture.repository(), fixture.context(&()));
    let path = root.join("locks/exclusive.json");
    for junk in ["", "{", "[]"] {
        fs::write(&path, junk).unwrap();
        let refused = exclusive(&context, &request(&root, "create", &never)).unwrap_err();
        assert!(refused.to_string().contains("says nothing about its holder"), "{refused}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_planted_as_a_lock_is_not_followed() {
    let fixture = Fixture::new();
    let (root, context) = (fixture.repository(), fixture.context(&()));
    let victim = fixture.folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, root.join("locks/exclusive.json")).unwrap();
    let forced = LockRequest { force: true, ..request(&root, "create", &never) };
    exclusive(&context, &forced).unwrap().release().unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(names(&root).is_empty());

    fs::remove_dir(root.join("locks")).unwrap();
    std::os::unix::fs::symlink(fixture.folder.path(), root.join("locks")).unwrap();
    assert!(matches!(exclusive(&context, &forced), Err(LockError::Io { .. })));
}

#[test]
fn a_cancelled_wait_releases() {
    struct Cancelled;
    impl msgvault_verifier::Observer for Cancelled {
        fn cancelled(&self) -> bool {
            true
        }
    }
    let fixture = Fixture::new();
    let root = fixture.repository();
    let context = fixture.context(&());
    let _reader = shared(&context, &request(&root, "verify", &never)).unwrap();
    let cancelled = fixture.context(&Cancelled);
    assert!(matches!(exclusive(&cancelled, &request(&root, "create", &never)), Err(LockError::Cancelled)));
    assert_eq!(names(&root).len(), 1);
}
