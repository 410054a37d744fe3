//! Captured databases that ask for more work or memory than their bytes justify: each ends with a sentence.

use std::sync::atomic::AtomicBool;

use msgvault_verifier::Phase;

use super::tiny::Tiny;
use super::*;

const PAGE: usize = 4096;

/// A database whose table of messages is a few pages that point at one another so often that nobody comes to the
/// end of its rows.
fn endless() -> Tiny {
    const LEVELS: u32 = 5;
    let mut root = 0;
    let mut tiny = Tiny::new("delete", |db| {
        db.execute_batch("INSERT INTO messages (sent_at) VALUES ('2026-01-01')").unwrap();
        let sql = "SELECT rootpage FROM sqlite_master WHERE name = 'messages'";
        root = usize::from(db.query_row(sql, [], |row| row.get::<_, u16>(0)).unwrap());
    });
    let start = (root - 1) * PAGE;
    let leaf = tiny.database[start..start + PAGE].to_vec();
    tiny.database.extend(leaf);
    let mut child = u32::try_from(tiny.database.len() / PAGE).unwrap();
    for _ in 1..LEVELS {
        tiny.database.extend(interior(child));
        child += 1;
    }
    tiny.database[start..start + PAGE].copy_from_slice(&interior(child));
    let pages = u32::try_from(tiny.database.len() / PAGE).unwrap();
    tiny.database[28..32].copy_from_slice(&pages.to_be_bytes());
    tiny
}

/// A page of a table's tree that has the same child everywhere (SQLite's file format, 1.6).
fn interior(child: u32) -> Vec<u8> {
    const CELLS: usize = 500;
    const CELL: usize = 5;
    let content = PAGE - CELLS * CELL;
    let number = |number: usize| u16::try_from(number).unwrap().to_be_bytes();
    let mut page = vec![5, 0, 0];
    page.extend(number(CELLS));
    page.extend(number(content));
    page.push(0);
    page.extend(child.to_be_bytes());
    (0..CELLS).for_each(|cell| page.extend(number(content + cell * CELL)));
    page.resize(content, 0);
    (0..CELLS).for_each(|_| page.extend([&child.to_be_bytes()[..], &[1]].concat()));
    page
}

fn refused(
    tiny: &Tiny,
    observer: SharedObserver<'_>,
    change: impl FnOnce(&mut RestoreRequest<'_>),
) -> RestoreError {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    let snapshot = tiny.write(&root);
    match restore(observer, &root, &snapshot, &folder.path().join("home"), change) {
        Ok(report) => panic!("restored: {report:?}"),
        Err(error) => error,
    }
}

#[test]
fn a_database_without_an_end_is_not_counted_for_ever() {
    let error = refused(&endless(), &(), |_| ());
    assert!(matches!(error, RestoreError::Endless { .. }), "{error}");
}

/// Wants to stop as soon as the proof begins.
#[derive(Default)]
struct StopsAtTheProof(AtomicBool);

impl Observer for StopsAtTheProof {
    fn cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn begin(&self, phase: Phase, _: u64) {
        self.0.store(phase == crate::phase::PROOF, Ordering::Relaxed);
    }
}

#[test]
fn whoever_wants_to_stop_is_heard_while_sqlite_works() {
    let error = refused(&endless(), &StopsAtTheProof::default(), |_| ());
    assert!(matches!(error, RestoreError::Cancelled), "{error}");
}

#[test]
fn functions_whose_time_nothing_bounds_are_not_run_for_a_schema() {
    for expression in ["instr(a, 'aab')", "a LIKE '%a%a%a%b'", "trim(a, 'ab')", "replace(a, 'aab', '')"] {
        for schema in [
            format!("CREATE TABLE more (a TEXT); CREATE INDEX computed ON more ({expression});"),
            format!("CREATE TABLE more (a TEXT); CREATE INDEX some ON more (a) WHERE {expression} IS NOT 7;"),
        ] {
            let tiny = Tiny::new("delete", |db| {
                db.execute_batch(&format!("{schema} INSERT INTO more VALUES ('x');")).unwrap();
            });
            let error = refused(&tiny, &(), |request| request.integrity_check = true);
            assert!(matches!(error, RestoreError::LongFunction { .. }), "{schema}: {error}");
            assert!(error.is_not_checked());
        }
    }
}

#[test]
fn ordinary_schemas_pass_the_full_check() {
    let tiny = Tiny::new("delete", |db| {
        db.execute_batch(
            "CREATE TABLE more (a TEXT CHECK (length(a) < 9), b AS (lower(a)), c DEFAULT (datetime('now')));
             CREATE INDEX some ON more (upper(a)) WHERE a IS NOT NULL;
             INSERT INTO more (a) VALUES ('x');",
        )
        .unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    let snapshot = tiny.write(&root);
    let home = folder.path().join("home");
    restore(&(), &root, &snapshot, &home, |request| request.integrity_check = true).unwrap();
}

#[test]
fn a_snapshot_too_large_for_the_memory_says_what_to_do() {
    let error = refused(&Tiny::sample(), &(), |request| request.memory = Memory::new(100, "allow more"));
    assert!(error.is_not_checked(), "{error}");
    let text = error.to_string();
    assert!(text.contains("too large here") && text.ends_with("allow more"), "{text}");
}

#[test]
fn whoever_wants_to_stop_is_heard_while_a_snapshot_is_read() {
    struct Stops;
    impl Observer for Stops {
        fn cancelled(&self) -> bool {
            true
        }
    }
    assert!(matches!(refused(&Tiny::sample(), &Stops, |_| ()), RestoreError::Cancelled));
}
