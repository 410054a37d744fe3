//! Readers and writers beside each other.

use super::*;

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
fn a_reader_backs_off_from_a_simultaneous_writer() {
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
    plant(&root, "shared-01m849xq3wk3s4p8ybcf4313em.json", &far("verify"), 0);
    let change = || {
        plant(&root, "shared-01m849xq3wk3s4p8ybcf4313en.json", &far("restore"), 0);
        fs::remove_file(root.join("locks/shared-01m849xq3wk3s4p8ybcf4313em.json")).unwrap();
    };
    for (operation, is_taken) in [("create", true), ("prune", false)] {
        plant(&root, "shared-01m849xq3wk3s4p8ybcf4313em.json", &far("verify"), 0);
        let _ = fs::remove_file(root.join("locks/shared-01m849xq3wk3s4p8ybcf4313en.json"));
        let clock = Clock::with(1, &change);
        let pause = |time| clock.pause(time);
        let taken = exclusive(&context, &request(&root, operation, &pause));
        assert_eq!(taken.is_ok(), is_taken, "{operation}: {taken:?}");
        assert_eq!(clock.seconds(), if is_taken { 1 } else { 60 });
    }
}

#[test]
fn a_reader_needs_no_lock_on_read_only_media() {
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
