//! Random lives of a repository, beside a model that only remembers bytes: nothing that is kept is ever lost, and
//! nothing that was let go remains when its time is over.
//!
//! `PROPTEST_CASES=N` lives more of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use msgvault_tests::days::Content;
use msgvault_tests::go_reader::can_read;
use msgvault_tests::programs::{Outcome, msgvault, run};
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::{Scene, listed};
use msgvault_tests::tree;
use msgvault_verifier::Ruzstd;
use msgvault_verifier::format::id::{BlobId, PackId};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::DirectoryStore;
use proptest::prelude::*;

const CASES: u32 = 6;

/// What is done with the repository.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// A day goes by, and a snapshot is made of it.
    Create { rebuilt: bool },
    /// All but the newest so many are let go, if nothing else keeps them.
    ForgetOld(usize),
    /// The newest is let go.
    ForgetNewest,
    /// What was let go is taken back.
    Unforget(usize),
    /// The newest is held, or no longer.
    Hold(bool),
    /// Space is given back, of what was let go just now as well or not.
    Prune { at_once: bool },
    /// The copy is brought up to date.
    Copy { follows: bool },
    /// A file is lost or changed, and fetched from a copy that is up to date.
    Repair { file: usize, lost: bool },
}

/// How far a run comes.
#[derive(Debug, Clone, Copy)]
enum End {
    Done,
    /// It is killed, or its disk is full, at this durable step.
    Fault(&'static str, u64),
}

fn acts() -> impl Strategy<Value = Vec<(Act, End)>> {
    let act = prop_oneof![
        4 => prop::bool::weighted(0.2).prop_map(|rebuilt| Act::Create { rebuilt }),
        2 => (1usize..4).prop_map(Act::ForgetOld),
        1 => Just(Act::ForgetNewest),
        1 => any::<usize>().prop_map(Act::Unforget),
        1 => any::<bool>().prop_map(Act::Hold),
        3 => any::<bool>().prop_map(|at_once| Act::Prune { at_once }),
        2 => any::<bool>().prop_map(|follows| Act::Copy { follows }),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(file, lost)| Act::Repair { file, lost }),
    ];
    let fault =
        (prop_oneof![Just("kill"), Just("full")], 1u64..40).prop_map(|(kind, at)| End::Fault(kind, at));
    let end = prop_oneof![2 => Just(End::Done), 1 => fault];
    prop::collection::vec((act, end), 8..20)
}

/// The repository, its copy, and what is known of them.
struct Life {
    scene: Scene,
    day: u32,
    /// What every snapshot that was ever listed restores to.
    known: BTreeMap<String, Content>,
    /// The attachments of each: names that are their SHA-256.
    attachments: BTreeMap<String, BTreeSet<BlobId>>,
    kept: BTreeSet<String>,
    /// Forgotten, and not yet pruned: can be taken back.
    forgotten: BTreeSet<String>,
    held: BTreeSet<String>,
}

impl Life {
    fn new() -> Self {
        let mut life = Self {
            scene: Scene::new(&Options { size: 300 << 10, ..Options::default() }),
            day: 0,
            known: BTreeMap::new(),
            attachments: BTreeMap::new(),
            kept: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            held: BTreeSet::new(),
        };
        life.act(Act::Create { rebuilt: false }, End::Done);
        life.act(Act::Copy { follows: false }, End::Done);
        life
    }

    fn copy(&self) -> PathBuf {
        self.scene.beside("copy")
    }

    fn newest(&self) -> String {
        self.kept.last().expect("a snapshot").clone()
    }

    /// Runs a command; after a fault, once more if it is one that must end what it began.
    fn run(&self, args: &[&str], end: End) -> Outcome {
        let End::Fault(kind, at) = end else { return self.scene.backup(args) };
        let outcome = self.scene.with_fault(kind, at, args);
        self.scene.half_an_hour_later();
        outcome
    }

    fn act(&mut self, act: Act, end: End) {
        let outcome = match act {
            Act::Create { rebuilt } => self.create(rebuilt, end),
            Act::ForgetOld(count) => self.forget(&["forget", "--keep-last", &count.to_string()], count, end),
            Act::ForgetNewest if self.kept.len() > 1 && !self.held.contains(&self.newest()) => {
                self.forget(&["forget", "--force", &self.newest()], 0, end)
            }
            Act::ForgetNewest => return,
            Act::Unforget(number) => match self.forgotten.iter().nth(number % self.forgotten.len().max(1)) {
                Some(id) => self.unforget(&id.clone(), end),
                None => return,
            },
            Act::Hold(true) => {
                self.held.insert(self.newest());
                self.scene.backup(&["hold", &self.newest()]).done()
            }
            Act::Hold(false) => {
                self.held.remove(&self.newest());
                self.scene.backup(&["unhold", &self.newest()])
            }
            Act::Prune { at_once } => self.prune(at_once, end),
            Act::Copy { follows } => self.bring_up_to_date(follows, end),
            Act::Repair { file, lost } => self.repair(file, lost, end),
        };
        let listed: BTreeSet<String> = self.scene.listed().into_iter().collect();
        assert_eq!(listed, self.kept, "after {act:?}, {end:?}: {outcome:?}");
        let verified = self.scene.backup(&["verify", "--all"]);
        assert_eq!(verified.code, 0, "after {act:?}, {end:?}: {outcome:?}: {verified:?}");
        can_read(&self.scene.repo());
    }

    /// The snapshots that are listed now and were not before, and the reverse; only the model is wrong then.
    fn changes(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let listed: BTreeSet<String> = self.scene.listed().into_iter().collect();
        (listed.difference(&self.kept).cloned().collect(), self.kept.difference(&listed).cloned().collect())
    }

    fn create(&mut self, rebuilt: bool, end: End) -> Outcome {
        self.day += 1;
        self.scene.churn(&Churn { day: self.day, grow: 5, shrink: 4, vacuum: rebuilt, ..Churn::default() });
        let outcome = self.run(&["create", "--expect-shrink"], end);
        let (new, gone) = self.changes();
        assert!(gone.is_empty() && new.len() < 2, "{new:?} {gone:?}: {outcome:?}");
        assert!(new.len() == 1 || matches!(end, End::Fault(..)) && outcome.code != 0, "{outcome:?}");
        let home = self.scene.home();
        for id in new {
            self.known.insert(id.clone(), Content::of(&home));
            let paths = tree::files(&home.join("attachments")).unwrap().into_keys();
            let hashes = paths.filter_map(|path| path.rsplit('/').next()?.parse().ok());
            self.attachments.insert(id.clone(), hashes.collect());
            self.kept.insert(id);
        }
        outcome
    }

    /// Forgets by a command that keeps at least the newest `count`.
    fn forget(&mut self, args: &[&str], count: usize, end: End) -> Outcome {
        let outcome = self.run(args, end);
        assert!(outcome.code == 0 || matches!(end, End::Fault(..)), "{outcome:?}");
        let (new, gone) = self.changes();
        assert!(new.is_empty(), "{new:?}: {outcome:?}");
        for id in self.kept.iter().rev().take(count).chain(&self.held) {
            assert!(!gone.contains(id), "{id} had to stay: {outcome:?}");
        }
        self.kept.retain(|id| !gone.contains(id));
        self.forgotten.extend(gone);
        outcome
    }

    fn unforget(&mut self, id: &str, end: End) -> Outcome {
        let outcome = self.run(&["unforget", id], end);
        assert!(outcome.code == 0 || matches!(end, End::Fault(..)), "{outcome:?}");
        let (new, gone) = self.changes();
        assert!(gone.is_empty(), "{gone:?}: {outcome:?}");
        assert!(outcome.code != 0 || new.contains(id), "{new:?}: {outcome:?}");
        for id in new {
            assert!(self.forgotten.remove(&id), "{id} was not forgotten: {outcome:?}");
            self.kept.insert(id);
        }
        outcome
    }

    fn prune(&mut self, at_once: bool, end: End) -> Outcome {
        let grace = if at_once { "0s" } else { "7d" };
        let args = ["prune", "--max-unused", "0%", "--grace", grace];
        let outcome = self.run(&args, end);
        if at_once {
            self.forgotten.clear();
        }
        match end {
            End::Done => outcome.done(),
            // What a fault left is finished or undone.
            End::Fault(..) => self.scene.backup(&args).done(),
        }
    }

    fn bring_up_to_date(&self, follows: bool, end: End) -> Outcome {
        let copy = self.copy().to_string_lossy().into_owned();
        let args: &[&str] =
            if follows { &["copy", "--to", &copy, "--prune"] } else { &["copy", "--to", &copy] };
        let outcome = self.run(args, end);
        let outcome = if matches!(end, End::Done) { outcome } else { self.scene.backup(args) }.done();
        let there: BTreeSet<String> = listed(&self.copy()).into_iter().collect();
        assert!(there.is_superset(&self.kept), "{there:?}: {outcome:?}");
        let _ = run(msgvault().args(["backup", "verify", "--all", "--repo"]).arg(self.copy())).done();
        outcome
    }

    fn repair(&self, number: usize, lost: bool, end: End) -> Outcome {
        self.bring_up_to_date(false, End::Done);
        let repo = self.scene.repo();
        let files: Vec<String> = ["packs", "indexes", "snapshots"]
            .into_iter()
            .flat_map(|folder| {
                let files = tree::files(&repo.join(folder)).unwrap().into_keys();
                files.map(move |file| format!("{folder}/{file}"))
            })
            .filter(|file| self.copy().join(file).exists())
            .collect();
        let path = repo.join(&files[number % files.len()]);
        let whole = fs::read(&path).unwrap();
        if lost {
            fs::remove_file(&path).unwrap();
        } else {
            let mut bytes = whole.clone();
            bytes[whole.len() / 2] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
        let damaged = self.scene.backup(&["verify", "--all"]);
        if damaged.code == 0 {
            // Nothing needs it, as with what waits for its end.
            fs::write(&path, whole).unwrap();
            return damaged;
        }
        let copy = self.copy().to_string_lossy().into_owned();
        let args = ["repair", "--from", &copy];
        let first = self.run(&args, end);
        let outcome = self.scene.backup(&args);
        let verified = self.scene.backup(&["verify", "--all"]);
        assert_eq!(outcome.code, 0, "{}: {first:?}, {outcome:?}, {verified:?}", path.display());
        assert_eq!(fs::read(&path).unwrap(), whole, "{}: {outcome:?}", path.display());
        outcome
    }

    /// Everything that a repository lists restores to what it was.
    fn comes_back(&self, repo: &Path) {
        for id in listed(repo) {
            let target = self.scene.beside("restored");
            let mut restore = msgvault();
            restore.args(["backup", "restore", &id, "--target"]).arg(&target).arg("--repo").arg(repo);
            let _ = run(&mut restore).done();
            assert_eq!(Content::of(&target), self.known[&id], "{id} in {}", repo.display());
            fs::remove_dir_all(target).unwrap();
        }
    }

    /// When the time of what was let go is over, no byte of it is there.
    fn nothing_else_remains(&mut self) {
        self.act(Act::Prune { at_once: true }, End::Done);
        let trash = tree::files(&self.scene.repo().join("trash/snapshots")).unwrap_or_default();
        assert!(trash.is_empty(), "{:?}", trash.keys());
        let repository = Repository::open(DirectoryStore::new(self.scene.repo()), Ruzstd).unwrap();
        let mut stored = BTreeSet::new();
        for path in tree::files(&self.scene.repo().join("packs")).unwrap().into_keys() {
            let pack = PackId::of_path(&format!("packs/{path}")).unwrap();
            stored.extend(repository.pack(pack).unwrap().entries().iter().map(|entry| entry.id));
        }
        let needed: BTreeSet<BlobId> =
            self.kept.iter().flat_map(|id| &self.attachments[id]).copied().collect();
        let all: BTreeSet<BlobId> = self.attachments.values().flatten().copied().collect();
        assert!(!needed.is_empty() && needed.is_subset(&stored));
        let left: Vec<_> = all.difference(&needed).filter(|hash| stored.contains(hash)).collect();
        assert!(left.is_empty(), "attachments that nothing needs: {left:?}");
        let details = self.scene.backup(&["list", "--json"]).done().json();
        assert_eq!(details["space"]["dead_bytes"], 0, "{details:#}");
    }
}

fn live(acts: &[(Act, End)]) {
    let mut life = Life::new();
    for (act, end) in acts {
        life.act(*act, *end);
    }
    life.comes_back(&life.scene.repo());
    life.comes_back(&life.copy());
    life.nothing_else_remains();
    life.comes_back(&life.scene.repo());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(CASES, |cases| cases.parse().expect("a number")),
        max_shrink_iters: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_kept_is_lost_and_nothing_let_go_remains(acts in acts()) {
        live(&acts);
    }
}
