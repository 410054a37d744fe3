//! When a lock belongs to nobody, and how long it is waited for.

use super::*;

#[test]
fn a_lock_is_taken_only_after_two_looks_without_a_change() {
    const MINUTE: i64 = 60;
    let quiet = None;
    // The fixture's own clock is wrong by far; times are those of the medium. What a refresh gives: none, or
    // a time.
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
fn half_an_hour_of_watching_makes_a_lock_stale() {
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
    plant(&root, "releasing-01m849xq3wk3s4p8ybcf4313em.json", &far("create"), -31 * 60);
    plant(&root, "releasing-01m849xq3wk3s4p8ybcf4313en.json", &far("create"), -29 * 60);
    drop(exclusive(&context, &request(&root, "create", &never)).unwrap());
    assert_eq!(names(&root), ["releasing-01m849xq3wk3s4p8ybcf4313en.json"]);
}

#[test]
fn waiting_for_a_lock_names_its_holder_once() {
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
