//! What one host read of a repository, and when: `verified/<host>.json` (`docs/format.md` §14).
//!
//! It is a hint: it decides what is read first, and never what is intact. Whoever can write to the repository can
//! forge it.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Deserialize;

use super::canonical_json::Writer;
use super::id::{PackId, SnapshotId};

/// The folder of the hints.
pub const FOLDER: &str = "verified";
/// The largest hint, in bytes: some six hundred thousand packs.
pub const MAX_LEN: u64 = 32 << 20;
/// So many runs are kept, the newest.
pub const MAX_RUNS: usize = 30;

const VERSION: u64 = 1;
/// Bytes of a host's name in the name of its hint.
const MAX_HOST_LEN: usize = 64;

/// When packs were read, by one host or, joined, by several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Packs of which everything that was needed was read and found intact.
    pub packs: BTreeMap<PackId, Timestamp>,
    /// Packs in which something was wrong.
    pub failed: BTreeMap<PackId, Timestamp>,
    /// Snapshots that were intact, with the time of the oldest reading that this rests upon.
    pub snapshots: BTreeMap<SnapshotId, Timestamp>,
    /// Runs that began with what was longest unread, or read everything; oldest first.
    pub runs: Vec<PastRun>,
}

/// One run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PastRun {
    /// When it was.
    pub at: Timestamp,
    /// Packs that it read.
    pub packs: u64,
    /// Stored bytes that it read.
    pub bytes: u64,
}

impl Verified {
    /// Where the hint of a host lies. A name that is not one for every file system loses what is special in it.
    pub fn path(host: &str) -> String {
        let plain =
            |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
        let name: String = host.chars().map(plain).take(MAX_HOST_LEN).collect();
        let name = name.trim_matches('.');
        format!("{FOLDER}/{}.json", if name.is_empty() { "unnamed" } else { name })
    }

    /// Whether a file of the folder is a host's hint.
    pub fn is_name(name: &str) -> bool {
        name.strip_suffix(".json").is_some_and(|host| Self::path(host) == format!("{FOLDER}/{name}"))
    }

    /// Reads a hint; `None` when it is not one. An entry that names no pack or no time is passed over.
    pub fn decode(json: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Hint {
            version: u64,
            #[serde(default)]
            packs: HashMap<String, String>,
            #[serde(default)]
            failed: HashMap<String, String>,
            #[serde(default)]
            snapshots: HashMap<String, String>,
            #[serde(default)]
            runs: Vec<HintedRun>,
        }
        #[derive(Deserialize)]
        struct HintedRun {
            at: String,
            packs: u64,
            bytes: u64,
        }
        let hint: Hint = serde_json::from_slice(json).ok().filter(|hint: &Hint| hint.version == VERSION)?;
        let run =
            |run: HintedRun| Some(PastRun { at: parse_time(&run.at)?, packs: run.packs, bytes: run.bytes });
        let mut verified = Self {
            packs: times(hint.packs),
            failed: times(hint.failed),
            snapshots: times(hint.snapshots),
            runs: hint.runs.into_iter().filter_map(run).collect(),
        };
        verified.bound_runs();
        Some(verified)
    }

    /// Writes compact JSON.
    pub fn encode(&self) -> String {
        let mut writer = Writer::default();
        writer.object(|w| {
            w.key("version").integer(VERSION);
            write_times(w.key("packs"), &self.packs);
            write_times(w.key("failed"), &self.failed);
            write_times(w.key("snapshots"), &self.snapshots);
            w.key("runs").array(|w| self.runs.iter().for_each(|run| run.write(w)));
        });
        writer.finish()
    }

    /// Takes in what another host read: of two times the later one counts.
    pub fn join(&mut self, other: Self) {
        join_times(&mut self.packs, other.packs);
        join_times(&mut self.failed, other.failed);
        join_times(&mut self.snapshots, other.snapshots);
        self.runs.extend(other.runs);
        self.bound_runs();
    }

    /// Leaves out what would have been in the future: a clock was wrong, or somebody made it up.
    pub fn forget_future(&mut self, now: Timestamp) {
        self.packs.retain(|_, at| *at <= now);
        self.failed.retain(|_, at| *at <= now);
        self.snapshots.retain(|_, at| *at <= now);
        self.runs.retain(|run| run.at <= now);
    }

    /// When everything that is needed of a pack was last read and found intact, as far as this is known. A pack in
    /// which something was wrong since counts as never read.
    pub fn last_read(&self, pack: PackId) -> Option<Timestamp> {
        let read = self.packs.get(&pack)?;
        self.failed.get(&pack).is_none_or(|failed| failed < read).then_some(*read)
    }

    /// Sorts runs and keeps the newest.
    pub fn bound_runs(&mut self) {
        self.runs.sort_unstable();
        self.runs.dedup();
        let surplus = self.runs.len().saturating_sub(MAX_RUNS);
        self.runs.drain(..surplus);
    }
}

impl PastRun {
    fn write(&self, writer: &mut Writer) {
        writer.object(|w| {
            w.key("at").string(&self.at.to_string());
            w.key("packs").integer(self.packs);
            w.key("bytes").integer(self.bytes);
        });
    }
}

/// A time as people read it: RFC 3339, UTC, seconds.
pub fn time_text(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The time, without what is below a millisecond: of two runs in the same second, one is the later one.
pub fn whole_milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(whole_milliseconds)
}

fn times<K: std::str::FromStr + Ord>(hinted: HashMap<String, String>) -> BTreeMap<K, Timestamp> {
    let parse = |(name, at): (String, String)| Some((name.parse().ok()?, parse_time(&at)?));
    hinted.into_iter().filter_map(parse).collect()
}

fn write_times<K: std::fmt::Display>(writer: &mut Writer, times: &BTreeMap<K, Timestamp>) {
    writer.object(|w| {
        for (name, at) in times {
            w.key(&name.to_string()).string(&at.to_string());
        }
    });
}

fn join_times<K: Ord>(times: &mut BTreeMap<K, Timestamp>, other: BTreeMap<K, Timestamp>) {
    for (name, at) in other {
        let known = times.entry(name).or_insert(at);
        *known = at.max(*known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pack(number: u64) -> PackId {
        PackId::from_parts(number, 0)
    }

    fn some() -> Verified {
        Verified {
            packs: [(pack(1), Timestamp::from_millisecond(1_795_762_247_012).unwrap()), (pack(2), at(0))]
                .into(),
            failed: [(pack(2), at(5))].into(),
            snapshots: [("20261123T133602Z-b662f0941ad57a9d05c5629d71010c89".parse().unwrap(), at(7))].into(),
            runs: vec![PastRun { at: at(1_795_762_247), packs: 2, bytes: 1 << 40 }],
        }
    }

    #[test]
    fn a_hint_comes_back_as_it_was_written() {
        let text = some().encode();
        assert!(
            text.contains(r#""packs":{"00000000010000000000000000":"2026-11-27T06:50:47.012Z","#),
            "{text}"
        );
        assert_eq!(Verified::decode(text.as_bytes()), Some(some()));
        assert_eq!(Verified::decode(br#"{"version":1,"later":[]}"#), Some(Verified::default()));
    }

    #[test]
    fn what_is_not_a_hint_is_none_and_bad_entries_are_passed_over() {
        for text in ["", "[]", "{}", r#"{"version":2}"#, r#"{"version":1,"packs":[1]}"#, r#"{"version":1"#] {
            assert_eq!(Verified::decode(text.as_bytes()), None, "{text}");
        }
        let text = r#"{"version":1,
            "packs":{"../x":"2026-11-27T06:50:47Z","00000000010000000000000000":"yesterday",
                     "00000000020000000000000000":"1970-01-01T00:00:09.0001Z"},
            "runs":[{"at":"","packs":1,"bytes":1}]}"#;
        let expected = Verified { packs: [(pack(2), at(9))].into(), ..Verified::default() };
        assert_eq!(Verified::decode(text.as_bytes()), Some(expected));
    }

    #[test]
    fn of_two_hosts_the_later_time_counts_and_damage_undoes_what_was_read_before() {
        let mut known = some();
        known.join(Verified {
            packs: [(pack(1), at(3)), (pack(2), at(6)), (pack(3), at(9))].into(),
            failed: [(pack(1), at(2)), (pack(3), at(9))].into(),
            ..Verified::default()
        });
        let read = [1, 2, 3, 4].map(|number| known.last_read(pack(number)));
        assert_eq!(read, [some().last_read(pack(1)), Some(at(6)), None, None]);
    }

    #[test]
    fn the_future_is_forgotten() {
        let mut known = some();
        known.forget_future(at(5));
        let expected = Verified { snapshots: BTreeMap::new(), runs: Vec::new(), ..some() };
        assert_eq!(known, Verified { packs: [(pack(2), at(0))].into(), ..expected });
    }

    #[test]
    fn only_the_newest_runs_are_kept() {
        let run = |n: usize| PastRun { at: at(n.try_into().unwrap()), packs: 1, bytes: 1 };
        let runs = (0..2 * MAX_RUNS).rev().map(run).collect();
        let mut known = Verified { runs, ..Verified::default() };
        known.join(Verified { runs: vec![run(MAX_RUNS)], ..Verified::default() });
        assert_eq!(known.runs, (MAX_RUNS..2 * MAX_RUNS).map(run).collect::<Vec<_>>());
    }

    #[test]
    fn a_hint_has_a_name_that_every_file_system_takes() {
        let table = [
            ("nas", "verified/nas.json"),
            ("Nas.local", "verified/nas.local.json"),
            ("../../etc", "verified/-..-etc.json"),
            ("..", "verified/unnamed.json"),
            ("", "verified/unnamed.json"),
            ("küche\0", "verified/k-che-.json"),
        ];
        for (host, path) in table {
            assert_eq!(Verified::path(host), path, "{host:?}");
            assert!(Verified::is_name(path.strip_prefix("verified/").unwrap()), "{path}");
        }
        assert!(Verified::path(&"x".repeat(1000)).len() < 100);
        for stray in ["nas.json.tmp", "._nas.json", "NAS.json", "a (conflicted copy).json", ".json"] {
            assert!(!Verified::is_name(stray), "{stray}");
        }
    }
}
