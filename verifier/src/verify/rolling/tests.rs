use super::*;
use crate::store::MemoryStore;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pack(number: u64) -> PackId {
    PackId::from_parts(number, 0)
}

fn task(number: u64, bytes: u64) -> PackTask {
    PackTask { pack: pack(number), blobs: Vec::new(), pages: Vec::new(), bytes }
}

fn hint(packs: &[(u64, i64)]) -> Verified {
    let packs = packs.iter().map(|(number, second)| (pack(*number), at(*second))).collect();
    Verified { packs, ..Verified::default() }
}

fn store(files: &[(&str, Verified)]) -> MemoryStore {
    let mut store = MemoryStore::default();
    for (name, hint) in files {
        store.insert(format!("verified/{name}"), hint.encode());
    }
    store
}

#[test]
fn packs_that_were_never_read_come_first_and_then_the_longest_unread() {
    let mut known = hint(&[(1, 50), (2, 40), (5, 60)]);
    known.failed.insert(pack(5), at(60));
    let mut tasks: Vec<PackTask> = (1..=5).map(|number| task(number, 1)).collect();
    oldest_first(&mut tasks, &known);
    let order: Vec<PackId> = tasks.iter().map(|task| task.pack).collect();
    assert_eq!(order, [3, 4, 5, 2, 1].map(pack));
}

#[test]
fn a_budget_of_bytes_is_kept_and_one_pack_is_always_read() {
    let tasks = [task(1, 10), task(2, 10), task(3, u64::MAX), task(4, 1)];
    for (bytes, expected) in [(0, 1), (9, 1), (10, 1), (20, 2), (21, 2), (u64::MAX - 1, 2), (u64::MAX, 4)] {
        assert_eq!(within(&tasks, bytes), expected, "{bytes}");
    }
    assert_eq!(within(&[], 5), 0);
}

#[test]
fn hints_of_all_hosts_are_joined_and_what_is_no_hint_is_passed_over() {
    let mut store = store(&[
        ("a.json", hint(&[(1, 50), (2, 10)])),
        ("b.json", hint(&[(2, 20), (3, 101)])),
        ("A copy.json", hint(&[(4, 1)])),
        ("c.json.tmp", hint(&[(5, 1)])),
    ]);
    store.insert("verified/d.json", "{");
    store.insert("verified/e/f.json", hint(&[(6, 1)]).encode());
    let too_large = usize::try_from(MAX_LEN).unwrap() + 1;
    store.insert("verified/g.json", hint(&[(7, 1)]).encode() + &" ".repeat(too_large));
    assert_eq!(last_verified(&store, at(100)), hint(&[(1, 50), (2, 20)]));
    assert_eq!(last_verified(&MemoryStore::default(), at(100)), Verified::default());
}

#[test]
fn hints_beyond_measure_are_not_read() {
    let names: Vec<String> = (0..=MAX_HINTS).map(|number| format!("{number:04}.json")).collect();
    let files: Vec<(&str, Verified)> =
        names.iter().zip(1..).map(|(name, number)| (name.as_str(), hint(&[(number, 1)]))).collect();
    assert_eq!(last_verified(&store(&files), at(1)).packs.len(), MAX_HINTS);
}

#[test]
fn the_rest_is_estimated_from_the_runs_that_there_were() {
    const DAY: i64 = 86_400;
    let run = |day: i64, bytes| PastRun { at: at(day * DAY), packs: 1, bytes };
    let table = [
        (vec![], 10, None),
        (vec![run(0, 10)], 10, None),
        (vec![run(0, 10), run(0, 10)], 10, None),
        (vec![run(0, 10), run(1, 0)], 10, None),
        (vec![run(0, 99), run(1, 10)], 10, Some(1)),
        (vec![run(0, 99), run(1, 10)], 11, Some(2)),
        (vec![run(0, 99), run(1, 10), run(3, 20)], 100, Some(10)),
        (vec![run(0, 99), run(7, 100)], 1, Some(1)),
        (vec![run(0, 1), run(1, 1)], u64::MAX, None),
        (vec![run(0, u64::MAX), run(1, u64::MAX), run(2, u64::MAX)], u64::MAX, Some(2)),
    ];
    for (runs, rest, expected) in table {
        assert_eq!(days(rest, &runs), expected, "{runs:?}");
    }
}

#[test]
fn an_update_remembers_what_was_good_and_forgets_what_was_bad() {
    let mut known = hint(&[(1, 10), (2, 10), (3, 10)]);
    known.runs = vec![PastRun { at: at(9), packs: 1, bytes: 1 }, PastRun { at: at(99), packs: 1, bytes: 1 }];
    let run = PastRun { at: at(50), packs: 2, bytes: 7 };
    let update = Update {
        now: at(50),
        good: [pack(1), pack(4)].into(),
        whole: [pack(1)].into(),
        bad: [pack(2)].into(),
        snapshots: BTreeMap::new(),
        run: Some(run),
    };
    update.apply(&mut known);
    let read = [1, 2, 3, 4].map(|number| known.last_read(pack(number)));
    assert_eq!(read, [Some(at(50)), None, Some(at(10)), None]);
    assert_eq!(known.runs, [PastRun { at: at(9), packs: 1, bytes: 1 }, run]);
    // Read again and found good, it counts again.
    let later = Update {
        now: at(60),
        good: [pack(2)].into(),
        whole: [pack(2)].into(),
        bad: BTreeSet::new(),
        ..update
    };
    later.apply(&mut known);
    assert_eq!(known.last_read(pack(2)), Some(at(60)));
}
