use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

const START: i64 = 1_767_225_600; // 2026-01-01T00:00:00Z, a Thursday

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(START + hours * 3600).unwrap()
}

/// A keyframe made so many hours after the start, with so many messages.
fn made(hours: i64, messages: u64) -> Candidate {
    let id = format!("{}-{:032x}", at(hours).strftime("%Y%m%dT%H%M%SZ"), hours.unsigned_abs());
    Candidate {
        id: id.parse().unwrap(),
        time: Some(at(hours)),
        distrust: String::new(),
        tag: String::new(),
        messages: Some(messages),
        base: None,
        held: None,
    }
}

fn distrusted(hours: i64) -> Candidate {
    Candidate { time: None, distrust: "it lies in the future".to_owned(), ..made(hours, 100) }
}

/// One a day at noon, of one size.
fn days(count: i64) -> Vec<Candidate> {
    (0..count).map(|day| made(day * 24 + 12, 100)).collect()
}

fn kept(candidates: &[Candidate], rules: &KeepRules) -> Vec<usize> {
    let reasons = judge(candidates, rules);
    (0..candidates.len()).filter(|n| !reasons[*n].is_empty()).collect()
}

fn daily(count: u32) -> KeepRules {
    KeepRules { daily: count, ..KeepRules::default() }
}

#[test]
fn the_newest_of_each_bucket_stays() {
    let candidates: Vec<Candidate> = (0..96).step_by(6).map(|hours| made(hours, 100)).collect();
    let last_of_days: Vec<usize> = vec![7, 11, 15];
    assert_eq!(kept(&candidates, &daily(3)), last_of_days);
    assert_eq!(kept(&candidates, &KeepRules { last: 3, ..KeepRules::default() }), [13, 14, 15]);
}

#[test]
fn buckets_are_those_of_the_calendar_in_utc() {
    let candidates = days(400);
    let of = |rules: KeepRules| {
        let stays = kept(&candidates, &rules);
        stays.into_iter().map(|n| candidates[n].id.as_str()[..8].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of(KeepRules { weekly: 3, ..KeepRules::default() }), ["20270124", "20270131", "20270204"]);
    assert_eq!(of(KeepRules { monthly: 3, ..KeepRules::default() }), ["20261231", "20270131", "20270204"]);
    assert_eq!(of(KeepRules { yearly: 2, ..KeepRules::default() }), ["20261231", "20270204"]);
}

#[test]
fn a_rule_with_places_left_keeps_the_oldest() {
    assert_eq!(kept(&days(5), &KeepRules { monthly: 2, ..KeepRules::default() }), [0, 4]);
    assert_eq!(kept(&days(5), &KeepRules { monthly: 1, ..KeepRules::default() }), [4]);
}

#[test]
fn within_counts_from_the_newest() {
    let rules = KeepRules { within: Some("3d".parse().unwrap()), ..KeepRules::default() };
    assert_eq!(kept(&days(10), &rules), [6, 7, 8, 9]);
    let rules = KeepRules { within: Some("9000y".parse().unwrap()), ..KeepRules::default() };
    assert_eq!(kept(&days(3), &rules), [0, 1, 2]);
    assert!("0d".parse::<Within>().is_err() && "-3d".parse::<Within>().is_err());
}

#[test]
fn labels_and_holds_keep() {
    let mut candidates = days(5);
    candidates[1].tag = "tax".to_owned();
    candidates[2].held = Some("court".to_owned());
    let rules = KeepRules { tags: vec!["tax".to_owned()], ..KeepRules::default() };
    assert_eq!(kept(&candidates, &rules), [1, 2, 4]);
}

#[test]
fn ancestors_of_what_stays_stay_and_say_for_whom() {
    let mut candidates = days(5);
    for n in [1, 2, 4] {
        candidates[n].base = Some(candidates[n - 1].id.clone());
    }
    let reasons = judge(&candidates, &daily(1));
    assert_eq!(reasons[3], [Reason::NeededBy(candidates[4].id.clone())]);
    assert!(reasons[..3].iter().all(Vec::is_empty));
    candidates[2].held = Some(String::new());
    let reasons = judge(&candidates, &daily(1));
    assert_eq!(reasons[0], [Reason::NeededBy(candidates[2].id.clone())]);
}

#[test]
fn times_in_the_future_push_nothing_out() {
    let mut candidates = days(10);
    candidates.extend((1000..1010).map(|day| distrusted(day * 24)));
    let stays = kept(&candidates, &daily(3));
    assert_eq!(stays, [7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
}

#[test]
fn shrunken_snapshots_push_no_healthy_one_out() {
    let mut candidates = days(10);
    candidates.extend((10..20).map(|day| made(day * 24 + 12, 3)));
    assert_eq!(kept(&candidates, &daily(3)), [7, 8, 9, 17, 18, 19]);
    // Of one day, the healthy one stays for it.
    let morning_and_evening = [made(0, 100), made(24, 100), made(30, 50), made(48, 100)];
    assert_eq!(kept(&morning_and_evening, &daily(2)), [1, 3]);
}

#[test]
fn the_newest_goes_only_by_force_and_held_ones_never() {
    let mut candidates = days(3);
    let gone = |candidates: &[Candidate], named: &[usize], force| -> Vec<usize> {
        let reasons = judge_named(candidates, named, force);
        (0..reasons.len()).filter(|n| reasons[*n].is_empty()).collect()
    };
    assert_eq!(gone(&candidates, &[0, 2], false), [0]);
    assert_eq!(gone(&candidates, &[0, 2], true), [0, 2]);
    candidates[2].base = Some(candidates[1].id.clone());
    assert_eq!(gone(&candidates, &[1], false), Vec::<usize>::new());
    assert_eq!(gone(&candidates, &[1, 2], true), [1, 2]);
    candidates[0].held = Some(String::new());
    assert_eq!(gone(&candidates, &[0], true), Vec::<usize>::new());
}

/// Snapshots of some years, an hour apart or more, in chains of up to four.
fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    prop::collection::vec((1i64..2000, 0u64..200, any::<[bool; 3]>()), 1..40).prop_map(|steps| {
        let mut hours = 0;
        let mut candidates: Vec<Candidate> = Vec::new();
        for (step, messages, [is_delta, is_tagged, is_held]) in steps {
            hours += step;
            let mut candidate = made(hours, messages);
            let deltas = candidates.iter().rev().take_while(|older| older.base.is_some()).count();
            if is_delta && deltas < 4 {
                candidate.base = candidates.last().map(|last| last.id.clone());
            }
            candidate.tag = if is_tagged { "kept".to_owned() } else { String::new() };
            candidate.held = (is_held && step % 7 == 0).then(String::new);
            candidates.push(candidate);
        }
        candidates
    })
}

fn rules() -> impl Strategy<Value = KeepRules> {
    (any::<[u8; 6]>(), prop::option::of(1i64..500), any::<bool>()).prop_map(|(counts, within, tags)| {
        let [last, hourly, daily, weekly, monthly, yearly] = counts.map(|count| u32::from(count % 6));
        let within = within.map(|days| format!("{days}d").parse().unwrap());
        let tags = if tags { vec!["kept".to_owned()] } else { Vec::new() };
        KeepRules { last, hourly, daily, weekly, monthly, yearly, within, tags }
    })
}

proptest! {
    #[test]
    fn what_stays_has_all_its_ancestors(candidates in candidates(), rules in rules()) {
        let stays = kept(&candidates, &rules);
        for n in &stays {
            if let Some(base) = &candidates[*n].base {
                let base = candidates.iter().position(|other| other.id == *base).unwrap();
                prop_assert!(stays.contains(&base));
            }
        }
        prop_assert!(stays.contains(&(candidates.len() - 1)));
    }

    #[test]
    fn nothing_that_is_added_with_a_false_time_pushes_anything_out(
        candidates in candidates(),
        rules in rules(),
        added in prop::collection::vec(0i64..40_000, 1..20),
    ) {
        let mut more = candidates.clone();
        more.extend(added.into_iter().map(distrusted));
        more.sort_by(|a, b| a.id.cmp(&b.id));
        more.dedup_by(|a, b| a.id == b.id);
        let names = |candidates: &[Candidate]| -> Vec<SnapshotId> {
            kept(candidates, &rules).into_iter().map(|n| candidates[n].id.clone()).collect()
        };
        let after = names(&more);
        for id in names(&candidates) {
            let is_there = more.iter().any(|candidate| candidate.id == id && candidate.time.is_some());
            prop_assert!(!is_there || after.contains(&id), "{id} was pushed out");
        }
    }

    #[test]
    fn emptied_archives_push_no_healthy_snapshot_out(
        candidates in candidates(),
        rules in rules(),
        emptied in 1i64..200,
    ) {
        let candidates: Vec<Candidate> =
            candidates.into_iter().map(|candidate| Candidate { base: None, ..candidate }).collect();
        let is_healthy = healthy(&candidates);
        let last = candidates.last().unwrap().time.unwrap();
        let most = candidates.iter().filter_map(|candidate| candidate.messages).max().unwrap();
        prop_assume!(most > 0);
        let mut more = candidates.clone();
        for n in 1..=emptied {
            let hours = last.duration_since(at(0)) + SignedDuration::from_hours(24 * n);
            more.push(made(hours.as_hours(), 0));
        }
        let healthy_rules = KeepRules { within: None, ..rules };
        let before = kept(&candidates, &healthy_rules);
        let after = kept(&more, &healthy_rules);
        for n in before.into_iter().filter(|n| is_healthy[*n]) {
            prop_assert!(after.contains(&n), "{} was pushed out", candidates[n].id);
        }
    }
}
