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
fn a_writer_waits_for_readers() {
    let fixture = Fixture::new();
    let (root, context) = (fixture.repository(), fixture.context(&()));
    let Shared::Locked(reader) = shared(&context, &request(&root, "verify", &never)).unwrap() else {
        panic!("it can be locked");
    };
    let Shared::Locked(second) = shared(&context, &request(&root, "restore", &never)).unwrap() else {
        panic!("readers share");
    };
    drop(second);
    let reader = Cell::new(Some(reader));
    let pauses = Cell::new(0);
    let pause = |time: Duration| {
        assert_eq!(time, Duration::from_millis(200));
        pauses.set(pauses.get() + 1);
        if pauses.get() == 3 {
            reader.take().unwrap().release().unwrap();
        }
    };
    let writer = exclusive(&context, &request(&root, "create", &pause)).unwrap();
    assert_eq!(pauses.get(), 3);
    drop(writer);
}

#[test]
fn a_writer_gives_up_after_a_minute_and_releases() {
    let fixture = Fixture::new();
    let (root, context) = (fixture.repository(), fixture.context(&()));
    let _reader = shared(&context, &request(&root, "verify", &never)).unwrap();
    let waited = Cell::new(Duration::ZERO);
    let pause = |time| waited.set(waited.get() + time);
    let refused = exclusive(&context, &request(&root, "create", &pause)).unwrap_err();
    assert!(matches!(refused, LockError::Shared { others: 0, .. }), "{refused}");
    assert_eq!(waited.get(), Duration::from_mins(1));
    assert_eq!(names(&root).len(), 1);
}

#[test]
fn a_lock_is_taken_only_after_two_looks_without_a_change() {
    const MINUTE: i64 = 60;
    let quiet = None;
    // The fixture's own clock is wrong by far; times are those of the medium. What a refresh gives: none, or a time.
    for (what, age, refreshed, taken_after) in [
        ("a fresh one", 0, quiet, None),
        ("one of half an hour", -29 * MINUTE, quiet, None),
        ("a stale one", -31 * MINUTE, quiet, Some(45)),
        ("one that its holder refreshes", -31 * MINUTE, Some(0), None),
        ("one of a holder whose clock is behind", -40 * MINUTE, Some(-40 * MINUTE + 30), None),
        ("one of a holder whose clock is ahead", 40 * MINUTE, Some(40 * MINUTE + 30), None),
        ("one from the near future", 10 * MINUTE, quiet, None),
        ("one from the far future", 1_000_000 * MINUTE, quiet, Some(45)),
    ] {
        let fixture = Fixture::new();
        let (root, context) = (fixture.repository(), fixture.context(&()));
        plant(&root, "exclusive.json", &far("create"), age);
        let refresh = || {
            if let Some(age) = refreshed {
                date(&root.join("locks/exclusive.json"), age);
            }
        };
        let clock = Clock::with(30, &refresh);
        let pause = |time| clock.pause(time);
        let taken = exclusive(&context, &request(&root, "create", &pause));
        if let Some(seconds) = taken_after {
            taken.unwrap().release().unwrap();
            assert_eq!(clock.seconds(), seconds, "{what}");
            assert!(names(&root).is_empty(), "{what}");
        } else {
            assert!(matches!(taken, Err(LockError::Held { .. })), "{what}: {taken:?}");
            assert_eq!(names(&root), ["exclusive.json"], "{what}");
            assert!(clock.seconds() <= 30, "{what}");
        }
    }
}

#[test]
fn without_the_time_of_the_medium_two_looks_decide() {
    let fixture = Fixture::new();
    let root = fixture.repository();
    let observer = msgvault_testing::FailAt::always("lock.probe");
    let context = fixture.context(&observer);
    let (path, now) = (root.join("locks/exclusive.json"), SystemTime::try_from((context.now)()).unwrap());
    for (is_refreshed, is_taken) in [(true, false), (false, true)] {
        fs::write(&path, far("create")).unwrap();
        let date = |time| fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        date(now - STALE_AFTER - Duration::from_secs(1));
        let refresh = || {
            if is_refreshed {
                date(now - STALE_AFTER);
            }
        };
        let clock = Clock::with(30, &refresh);
        let pause = |time| clock.pause(time);
        assert_eq!(exclusive(&context, &request(&root, "create", &pause)).is_ok(), is_taken);
    }
}

#[test]
fn a_lock_that_is_watched_for_half_an_hour_is_stale_by_no_clock_but_ours() {
    let fixture = Fixture::new();
    let (root, context) = (fixture.repository(), fixture.context(&()));
    plant(&root, "exclusive.json", &far("create"), 29 * 60);
    let clock = Clock::new();
    let pause = |time| clock.pause(time);
    let patient = LockRequest { patience: Duration::from_mins(40), ..request(&root, "create", &pause) };
    exclusive(&context, &patient).unwrap().release().unwrap();
    assert_eq!(clock.seconds(), 30 * 60);
}

#[test]
fn left_overs_of_releases_are_swept_when_they_are_old() {
    let fixture = Fixture::new();
    let (root, context) = (fixture.repository(), fixture.context(&()));
    plant(&root, "releasing-old.json", &far("create"), -31 * 60);
    plant(&root, "releasing-new.json", &far("create"), -29 * 60);
    drop(exclusive(&context, &request(&root, "create", &never)).unwrap());
    assert_eq!(names(&root), ["releasing-new.json"]);
}

#[test]
fn a_reader_is_barred_only_by_what_may_remove_files() {
    #[derive(Debug, PartialEq)]
    enum Got {
        Lock,
        NoLock,
        Refused,
    }
    let (fresh, future, past) = (0, 1_000_000_000, -1_000_000);
    for (record, age, force, is_read_only, expected, waited) in [
        (&*far("create"), fresh, false, false, Got::Lock, 0),
        (&*far("create"), fresh, false, true, Got::NoLock, 0),
        (&*far("create"), future, false, false, Got::Lock, 0),
        (&*far("create"), future, false, true, Got::NoLock, 0),
        (&*far("create"), past, false, false, Got::Lock, 0),
        (&*far("prune"), fresh, false, false, Got::Refused, 0),
        (&*far("prune"), fresh, false, true, Got::Refused, 0),
        (&*far("prune"), fresh, true, false, Got::Lock, 0),
        (&*far("prune"), future, false, true, Got::NoLock, 45),
        (&*far("prune"), past, false, false, Got::Lock, 45),
        ("", fresh, false, false, Got::Refused, 1),
        ("", fresh, true, false, Got::Lock, 0),
        ("{}", future, false, true, Got::NoLock, 45),
    ] {
        let fixture = Fixture::new();
        let root = fixture.repository();
        plant(&root, "exclusive.json", record, age);
        if is_read_only {
            let now = SystemTime::try_from((fixture.context(&()).now)()).unwrap();
            date_from(now, &root.join("locks/exclusive.json"), age);
        }
        let clock = Clock::new();
        let pause = |time| clock.pause(time);
        let observer: &(dyn msgvault_verifier::Observer + Sync) = if is_read_only { &ReadOnly } else { &() };
        let asked = LockRequest { force, ..request(&root, "restore", &pause) };
        let got = match shared(&fixture.context(observer), &asked) {
            Ok(Shared::Locked(_)) => Got::Lock,
            Ok(Shared::Unlocked(_)) => Got::NoLock,
            Err(LockError::Held { .. }) => Got::Refused,
            Err(error) => panic!("{record} of {age}: {error}"),
        };
        let case = format!("{record} of {age}, forced: {force}, read-only: {is_read_only}");
        assert_eq!((got, clock.seconds()), (expected, waited), "{case}");
        let is_broken = !root.join("locks/exclusive.json").exists();
        assert_eq!(is_broken, force, "{case}");
    }
}

#[test]
fn a_reader_says_beside_whom_it_reads() {
    let fixture = Fixture::new();
    let (root, warned) = (fixture.repository(), Warned::default());
    let context = fixture.context(&warned);
    plant(&root, "exclusive.json", &far("create"), 0);
    let Shared::Locked(_lock) = shared(&context, &request(&root, "verify", &never)).unwrap() else {
        panic!("it can be locked");
    };
    assert_eq!(
        warned.take(),
        [
            "the repository is read beside create (process 1 on far, since 2026-11-23T13:00:00Z), which only adds to it"
        ]
    );
    // The writer may be waiting for the first reader, and a second must not make it wait longer.
    let Shared::Unlocked(reason) = shared(&context, &request(&root, "verify", &never)).unwrap() else {
        panic!("a writer may be waiting");
    };
    assert!(reason.contains("may be waiting for readers"), "{reason}");
}

#[test]
fn a_reader_backs_off_from_a_writer_that_begins_in_the_same_moment() {
    struct Writer<'a>(&'a Path, &'static str);
    impl msgvault_verifier::Observer for Writer<'_> {
        fn reached(&self, point: &'static str) -> io::Result<()> {
            if point == "lock.create" {
                plant(self.0, "exclusive.json", &far(self.1), 0);
            }
            Ok(())
        }
    }
    let fixture = Fixture::new();
    let root = fixture.repository();
    for (operation, is_refused) in [("create", false), ("prune", true)] {
        let writer = Writer(&root, operation);
        let got = shared(&fixture.context(&writer), &request(&root, "verify", &never));
        assert_eq!(got.is_err(), is_refused, "{operation}");
        assert!(!matches!(got, Ok(Shared::Locked(_))), "{operation}");
        assert_eq!(names(&root), ["exclusive.json"]);
        fs::remove_file(root.join("locks/exclusive.json")).unwrap();
    }
}

#[test]
fn a_create_does_not_wait_for_readers_that_come_after_it() {
    let fixture = Fixture::new();
    let (root, context) = (fixture.repository(), fixture.context(&()));
    plant(&root, "shared-first.json", &far("verify"), 0);
    let change = || {
        plant(&root, "shared-second.json", &far("restore"), 0);
        fs::remove_file(root.join("locks/shared-first.json")).unwrap();
    };
    for (operation, is_taken) in [("create", true), ("prune", false)] {
        plant(&root, "shared-first.json", &far("verify"), 0);
        let _ = fs::remove_file(root.join("locks/shared-second.json"));
        let clock = Clock::with(1, &change);
        let pause = |time| clock.pause(time);
        let taken = exclusive(&context, &request(&root, operation, &pause));
        assert_eq!(taken.is_ok(), is_taken, "{operation}: {taken:?}");
        assert_eq!(clock.seconds(), if is_taken { 1 } else { 60 });
    }
}

#[test]
fn a_lock_is_waited_for_as_long_as_asked_and_its_holder_named_once() {
    let fixture = Fixture::new();
    let (root, warned) = (fixture.repository(), Warned::default());
    let context = fixture.context(&warned);
    let path = root.join("locks/exclusive.json");
    let leave = || fs::remove_file(&path).unwrap();
    for (operation, leaves_after, is_taken) in
        [("create", 200, true), ("create", 400, false), ("verify", 200, true), ("verify", 400, false)]
    {
        plant(&root, "exclusive.json", &far("prune"), 0);
        let clock = Clock::with(leaves_after, &leave);
        let pause = |time| clock.pause(time);
        let asked = LockRequest { patience: Duration::from_mins(5), ..request(&root, operation, &pause) };
        let (taken, refused) = if operation == "create" {
            let lock = exclusive(&context, &asked);
            (lock.is_ok(), lock.err())
        } else {
            let lock = shared(&context, &asked);
            (lock.is_ok(), lock.err())
        };
        assert_eq!(taken, is_taken, "{operation}: {refused:?}");
        assert_eq!(clock.seconds(), leaves_after.min(300));
        let warnings = warned.take();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("waiting up to 5 min for prune (process 1 on far"), "{warnings:?}");
        let _ = fs::remove_file(&path);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_lock_whose_holder_is_proven_dead_is_in_nobodys_way() {
    let fixture = Fixture::new();
    let (root, warned) = (fixture.repository(), Warned::default());
    let context = fixture.context(&warned);
    for operation in ["create", "prune"] {
        let mut ended = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let dying = LockRequest { pid: ended.id().into(), ..request(&root, operation, &never) };
        // Nobody refreshes or releases what a killed process held.
        std::mem::forget(exclusive(&context, &dying).unwrap());
        ended.kill().unwrap();
        ended.wait().unwrap();
        assert!(matches!(shared(&context, &request(&root, "restore", &never)), Ok(Shared::Locked(_))));
        assert_eq!(warned.take(), [""; 0]);
        exclusive(&context, &request(&root, "create", &never)).unwrap().release().unwrap();
        assert!(names(&root).is_empty());
    }
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

#[test]
fn a_reader_goes_on_without_a_lock_where_nothing_can_be_written() {
    struct Unwritable(io::ErrorKind);
    impl msgvault_verifier::Observer for Unwritable {
        fn reached(&self, _: &'static str) -> io::Result<()> {
            Err(self.0.into())
        }
    }
    for kind in [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::StorageFull] {
        let fixture = Fixture::new();
        let root = fixture.repository();
        let observer = Unwritable(kind);
        let context = fixture.context(&observer);
        let Shared::Unlocked(reason) = shared(&context, &request(&root, "verify", &never)).unwrap() else {
            panic!("there is nothing to lock");
        };
        assert!(reason.contains("locks"), "{reason}");
        assert!(matches!(exclusive(&context, &request(&root, "create", &never)), Err(LockError::Io { .. })));
    }
}

#[test]
fn whoever_waits_for_readers_says_for_whom() {
    let fixture = Fixture::new();
    let root = fixture.repository();
    let warned = Warned::default();
    let _reader = shared(&fixture.context(&()), &request(&root, "verify", &never)).unwrap();
    exclusive(&fixture.context(&warned), &request(&root, "create", &|_| ())).unwrap_err();
    let warnings = warned.take();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("verify (process"), "{warnings:?}");
}
