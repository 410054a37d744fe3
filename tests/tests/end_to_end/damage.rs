//! Whatever happens to a file of a repository, a full verification says which snapshots it damages, and no
//! others.

use std::collections::BTreeSet;

use msgvault::decompress::Zstd;
use msgvault_cli::check_all;
use msgvault_tests::damage::{Damage, files};
use msgvault_tests::fixtures;
use msgvault_tests::programs::backup;
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::Scene;
use msgvault_verifier::format::id::{BlobId, PackId, SnapshotId};
use msgvault_verifier::repository::{OpenError, Repository};
use msgvault_verifier::snapshot::{Snapshot, chain_objects};
use msgvault_verifier::store::{DirectoryStore, MemoryStore};
use msgvault_verifier::verify::{Depth, Report, Scope, Verdict};
use msgvault_verifier::{Decompressor, Ruzstd};

fn load(name: &str) -> MemoryStore {
    let fixture = fixtures::named(name);
    let mut store = MemoryStore::default();
    store.copy_from(&DirectoryStore::new(&fixture.repo), "").unwrap();
    store
}

fn report(store: &MemoryStore, decompressor: impl Decompressor + 'static) -> Result<Report, OpenError> {
    let repository = Repository::open(store.clone(), decompressor)?;
    Ok(check_all(&repository, &Scope::All, Depth::Full, &()))
}

/// The report, which must not depend on the decompressor.
fn verify(store: &MemoryStore) -> Result<Report, OpenError> {
    let report_of_rust = report(store, Ruzstd);
    let report_of_c = report(store, Zstd);
    let text = |report: &Result<Report, OpenError>| match report {
        Ok(report) => serde_json::to_string_pretty(report).unwrap(),
        Err(error) => error.to_string(),
    };
    assert_eq!(text(&report_of_rust), text(&report_of_c));
    report_of_rust
}

/// Every blob that a snapshot needs, found another way than verification finds them, so that both must agree.
fn needs(repository: &Repository, id: &SnapshotId) -> BTreeSet<BlobId> {
    let snapshot = Snapshot::load(repository, id, &()).unwrap();
    let mut blobs: BTreeSet<BlobId> = snapshot.maps.pages.blobs.iter().copied().collect();
    blobs.extend(
        chain_objects(repository, &snapshot.manifest)
            .unwrap()
            .iter()
            .flat_map(|(_, map, hashes)| [*map, *hashes]),
    );
    blobs.extend(snapshot.manifest.lists());
    blobs.extend(snapshot.attachments.iter(repository.index()).map(|attachment| attachment.id));
    blobs.extend(snapshot.manifest.extras.tree);
    blobs.extend(snapshot.extras.iter().map(|file| file.blob));
    blobs.extend(snapshot.manifest.metadata.iter().map(|metadata| metadata.blob));
    blobs.extend(snapshot.manifest.auxiliary().iter().map(|item| item.blob));
    blobs
}

/// The snapshots that damage to a pack or an index must cost: those that need one of its blobs.
struct Cost {
    by_pack: Vec<(PackId, BTreeSet<SnapshotId>)>,
    all: BTreeSet<SnapshotId>,
}

impl Cost {
    fn of(store: &MemoryStore) -> Self {
        let repository = Repository::open(store.clone(), Ruzstd).unwrap();
        let all: BTreeSet<SnapshotId> = repository.listing().unwrap().snapshots.into_iter().collect();
        let packs_of = |id: &SnapshotId| -> BTreeSet<PackId> {
            needs(&repository, id).iter().map(|blob| repository.index().find(blob).unwrap().pack).collect()
        };
        let by_pack = repository
            .index()
            .packs()
            .iter()
            .map(|pack| (*pack, all.iter().filter(|id| packs_of(id).contains(pack)).cloned().collect()));
        Self { by_pack: by_pack.collect(), all: all.clone() }
    }

    fn of_pack(&self, path: &str) -> BTreeSet<SnapshotId> {
        let found = self.by_pack.iter().find(|(pack, _)| pack.path() == path);
        found.map(|(_, snapshots)| snapshots.clone()).unwrap_or_default()
    }
}

fn damaged(report: &Report) -> BTreeSet<SnapshotId> {
    let bad = report.snapshots.iter().filter(|snapshot| snapshot.verdict == Verdict::Damaged);
    bad.map(|snapshot| snapshot.id.clone()).collect()
}

#[test]
fn damage_is_named_and_costs_only_what_it_must() {
    for name in ["plain", "no-attachments", "namespaced"] {
        let store = load(name);
        let cost = Cost::of(&store);
        assert_eq!(verify(&store).unwrap().verdict, Verdict::Intact);
        for path in files(&store) {
            for damage in Damage::ALL {
                let mut copy = store.clone();
                if damage.apply(&mut copy, &path) {
                    check(&cost, &path, damage, verify(&copy));
                }
            }
        }
    }
}

fn check(cost: &Cost, path: &str, damage: Damage, outcome: Result<Report, OpenError>) {
    let case = format!("{path} {damage:?}");
    if path == "config.toml" {
        // A flipped bit may leave a configuration with the same meaning.
        assert!(outcome.is_err() || damage == Damage::BitFlipped, "{case}");
        return;
    }
    let report = outcome.unwrap();
    if path.starts_with("snapshots/") && damage == Damage::Deleted {
        // Such a snapshot does not exist; only a chain that leads through it can show that it is missing.
        assert!(report.problems.iter().all(|problem| problem.file.as_deref() == Some(path)), "{case}");
        return;
    }
    if path.ends_with(".mvidx") && damage == Damage::Swapped {
        // The union of all indexes is the same whatever their names.
        assert_eq!(report.verdict, Verdict::Intact, "{case}");
        return;
    }
    assert_eq!(report.verdict, Verdict::Damaged, "{case}");
    let bad = damaged(&report);
    assert!(bad.is_subset(&cost.all), "{case}");
    if path.ends_with(".mvpack") {
        check_pack(cost, path, damage, &report, &bad);
    } else if path.ends_with(".mvidx") {
        assert!(
            report
                .problems
                .iter()
                .any(|problem| problem.file.as_deref() == Some(path) || damage == Damage::Deleted)
        );
        let in_blobs = report.problems.iter().filter(|problem| problem.snapshot.is_some());
        assert!(
            in_blobs.clone().count() > 0 && in_blobs.clone().all(|problem| problem.blob.is_some()),
            "{case}"
        );
    } else {
        let stem = path.trim_start_matches("snapshots/").trim_end_matches(".mvmanifest");
        assert!(bad.iter().any(|id| id.as_str() == stem), "{case}");
        assert!(report.problems.iter().any(|problem| problem.file.as_deref() == Some(path)), "{case}");
    }
}

fn check_pack(cost: &Cost, path: &str, damage: Damage, report: &Report, bad: &BTreeSet<SnapshotId>) {
    let expected = cost.of_pack(path);
    if damage == Damage::BitFlipped || damage == Damage::Swapped {
        // This can cost less than the pack (one blob) or more (two packs).
        assert!(!bad.is_empty(), "{path} {damage:?}");
    } else {
        assert_eq!(*bad, expected, "{path} {damage:?}");
    }
    for problem in &report.problems {
        assert!(
            problem.snapshot.is_some() && problem.blob.is_some() && problem.pack.is_some(),
            "{problem:?}"
        );
        assert!(problem.file.as_deref() == Some(path) || damage == Damage::Swapped, "{problem:?}");
    }
    if damage == Damage::BitFlipped {
        assert!(bad.is_subset(&expected), "{path} {damage:?}");
    }
}

#[test]
fn every_bit_of_a_small_pack_counts() {
    let store = load("unchanged");
    for path in files(&store).into_iter().filter(|path| path.ends_with(".mvpack")) {
        let bytes = store.file(&path).unwrap().to_vec();
        for position in (0..bytes.len()).step_by(7) {
            let mut copy = store.clone();
            let mut changed = bytes.clone();
            changed[position] ^= 1 << (position % 8);
            copy.insert(path.clone(), changed);
            assert_eq!(verify(&copy).unwrap().verdict, Verdict::Damaged, "{path} byte {position}");
        }
    }
}

#[test]
fn a_damaged_keyframe_costs_its_whole_chain_and_nothing_else() {
    let store = load("chain");
    let cost = Cost::of(&store);
    let (pack, expected) =
        cost.by_pack.iter().find(|(_, ids)| ids.len() > 2 && ids.len() < cost.all.len()).unwrap();
    let mut copy = store;
    copy.remove(&pack.path());
    let report = verify(&copy).unwrap();
    assert_eq!(damaged(&report), *expected);
}

#[test]
fn restore_fails_before_the_old_database_is_touched() {
    let scene = Scene::new(&Options { size: 300 << 10, ..Options::default() });
    let mut snapshots = vec![scene.create(&[])];
    for day in 1..4 {
        scene.churn(&Churn { day, ..Churn::default() });
        snapshots.push(scene.create(&[]));
    }
    let target = scene.beside("target");
    let text = target.to_string_lossy().into_owned();
    let _ = scene.backup(&["restore", &snapshots[0], "--target", &text]).done();
    let old = std::fs::read(target.join("msgvault.db")).unwrap();
    let mut store = MemoryStore::default();
    store.copy_from(&DirectoryStore::new(scene.repo()), "").unwrap();
    let all = files(&store);
    for path in all.iter().filter(|path| !path.starts_with("locks/")) {
        for damage in Damage::ALL {
            let mut copy = store.clone();
            if path == "config.toml" || !damage.apply(&mut copy, path) {
                continue;
            }
            let report = verify(&copy).unwrap();
            let repo = scene.beside("damaged");
            write_out(&copy, &repo);
            for snapshot in &report.snapshots {
                let outcome =
                    backup(&repo, ["restore", snapshot.id.as_str(), "--overwrite", "--target", &text]);
                let case = format!("{path} {damage:?} {} {outcome:?}", snapshot.id);
                assert_eq!(outcome.code == 0, snapshot.verdict == Verdict::Intact, "{case}");
                if outcome.code != 0 {
                    assert!(std::fs::read(target.join("msgvault.db")).unwrap() == old, "{case}");
                }
                let _ = scene.backup(&["restore", &snapshots[0], "--overwrite", "--target", &text]).done();
            }
            std::fs::remove_dir_all(repo).unwrap();
        }
    }
}

fn write_out(store: &MemoryStore, folder: &std::path::Path) {
    for name in ["locks", "staging", "snapshots", "packs", "indexes", "keys"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    for path in store.paths() {
        let file = folder.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, store.file(path).unwrap()).unwrap();
    }
}
