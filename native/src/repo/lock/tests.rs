use std::cell::Cell;
use std::fs;
use std::time::SystemTime;

use super::super::publish::tests::Fixture;
use super::*;

const HERE: &str = "this-host";

fn request<'a>(root: &'a Path, operation: &'a str, pause: &'a dyn Fn(Duration)) -> LockRequest<'a> {
    LockRequest { root, operation, host: HERE, pid: u64::from(std::process::id()), force: false, pause }
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

#[test]
fn one_writer_keeps_others_out_and_says_who_it_is() {
    let fixture = Fixture::new();
    let (root, context) = (fixture.repository(), fixture.context(&()));
    let lock = exclusive(&context, &request(&root, "create", &never)).unwrap();
    assert_eq!(
        fs::read_to_string(root.join("locks/exclusive.json")).unwrap(),
        format!(
            r#"{{"hostname":"this-host","pid":{},"operation":"create","acquired_at":"2026-11-23T13:35:58Z"}}"#,
            std::process::id()
        )
    );
    let refused = exclusive(&context, &request(&root, "create", &never)).unwrap_err().to_string();
    assert!(refused.contains("locked by create (process"), "{refused}");
    assert!(refused.contains("on this-host, since 2026-11-23T13:35:58Z"), "{refused}");
    assert!(matches!(shared(&context, &request(&root, "verify", &never)), Err(LockError::Held { .. })));
    lock.still_held().unwrap();
    lock.release().unwrap();
    assert!(names(&root).is_empty());
    drop(exclusive(&context, &request(&root, "create", &never)).unwrap());
    assert!(names(&root).is_empty());
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
fn locks_older_than_half_an_hour_belong_to_nobody() {
    let fixture = Fixture::new();
    let (root, context) = (fixture.repository(), fixture.context(&()));
    let dead = r#"{"hostname":"far","pid":1,"operation":"create","acquired_at":"2026-11-23T13:00:00Z"}"#;
    let plant = |name: &str| {
        fs::write(root.join("locks").join(name), dead).unwrap();
        let file = fs::File::options().write(true).open(root.join("locks").join(name)).unwrap();
        file.set_modified(SystemTime::try_from((context.now)()).unwrap()).unwrap();
    };
    for name in ["exclusive.json", "shared-x.json", "releasing-x.json"] {
        plant(name);
    }
    fixture.pass(30 * 60);
    assert!(matches!(
        exclusive(&context, &request(&root, "create", &never)),
        Err(LockError::Held { holder: Holder { is_dead: false, .. } })
    ));
    assert_eq!(names(&root).len(), 3);
    fixture.pass(1);
    let lock = exclusive(&context, &request(&root, "create", &never)).unwrap();
    assert_eq!(names(&root), ["exclusive.json"]);
    drop(lock);
    assert!(names(&root).is_empty());
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
fn a_dead_holder_of_this_machine_is_named_as_such() {
    let fixture = Fixture::new();
    let (root, context) = (fixture.repository(), fixture.context(&()));
    let dead = LockRequest { pid: u64::from(u32::MAX), ..request(&root, "create", &never) };
    let _lock = exclusive(&context, &dead).unwrap();
    let refused = exclusive(&context, &request(&root, "create", &never)).unwrap_err().to_string();
    if cfg!(unix) {
        assert!(refused.contains("no longer running"), "{refused}");
    }
}

#[test]
fn what_is_no_record_is_a_lock_all_the_same() {
    let fixture = Fixture::new();
    let (root, context) = (fixture.repository(), fixture.context(&()));
    let path = root.join("locks/exclusive.json");
    for junk in ["", "{", "[]"] {
        fs::write(&path, junk).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::try_from((context.now)()).unwrap()).unwrap();
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
    struct Warned(std::sync::Mutex<Vec<String>>);
    impl msgvault_verifier::Observer for Warned {
        fn warn(&self, message: &str) {
            self.0.lock().unwrap().push(message.to_owned());
        }
    }
    let fixture = Fixture::new();
    let root = fixture.repository();
    let warned = Warned(std::sync::Mutex::default());
    let _reader = shared(&fixture.context(&()), &request(&root, "verify", &never)).unwrap();
    exclusive(&fixture.context(&warned), &request(&root, "create", &|_| ())).unwrap_err();
    let warnings = warned.0.into_inner().unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("verify (process"), "{warnings:?}");
}
