//! Files that whoever reads has lost sight of. They may be intact: nothing about them is damage.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use msgvault_verifier::Ruzstd;
use msgvault_verifier::format::id::FileId;
use msgvault_verifier::format::sums::{FileSum, Sums, SumsName};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::{DirectoryStore, MemoryStore, Store, StoreEntry, StoreError, StoreFile};
use msgvault_verifier::verify::{
    Depth, Findings, Report, Scope, Verdict, check_pack, merge, plan, verify_sums,
};

/// A repository of which one file cannot be looked at.
struct Withholding {
    inner: Box<dyn Store>,
    path: String,
    /// How often it is withheld before it can be had.
    times: AtomicU32,
}

impl Withholding {
    fn always(inner: impl Store + 'static, path: &str) -> Self {
        Self::times(inner, path, u32::MAX)
    }

    fn times(inner: impl Store + 'static, path: &str, times: u32) -> Self {
        Self { inner: Box::new(inner), path: path.to_owned(), times: AtomicU32::new(times) }
    }

    fn is_withheld(&self, path: &str) -> bool {
        path == self.path && self.times.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

impl Store for Withholding {
    fn list(&self, folder: &str) -> Result<Vec<StoreEntry>, StoreError> {
        if self.is_withheld(folder) {
            return Err(StoreError::Unavailable {
                path: folder.to_owned(),
                reason: "it is withheld".to_owned(),
            });
        }
        self.inner.list(folder)
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreFile + '_>, StoreError> {
        if self.is_withheld(path) {
            return Err(StoreError::Unavailable {
                path: path.to_owned(),
                reason: "it is withheld".to_owned(),
            });
        }
        self.inner.open(path)
    }
}

fn fixture(name: &str) -> DirectoryStore {
    DirectoryStore::new(format!("{}/../tests/fixtures/{name}/repo", env!("CARGO_MANIFEST_DIR")))
}

fn verify(store: Withholding, depth: Depth) -> Report {
    let repository = Repository::open(store, Ruzstd).unwrap();
    let plan = plan(&repository, &Scope::All, depth, &());
    let mut findings = Findings::new(repository.index());
    for task in &plan.tasks {
        findings.add(task, check_pack(&repository, task, depth, &()));
    }
    merge(&repository, plan, findings, &())
}

/// Every file below a folder.
fn files(store: &dyn Store, folder: &str) -> Vec<String> {
    let entries = store.list(folder).unwrap();
    let paths = entries.into_iter().map(|entry| (format!("{folder}/{}", entry.name), entry.is_folder));
    paths.flat_map(|(path, is_folder)| if is_folder { files(store, &path) } else { vec![path] }).collect()
}

#[test]
fn no_file_that_is_withheld_counts_as_damage() {
    for name in ["plain", "chain"] {
        let inner = fixture(name);
        for path in ["snapshots", "indexes", "packs"].iter().flat_map(|folder| files(&inner, folder)) {
            let is_content = [".mvmanifest", ".mvidx", ".mvpack"].iter().any(|end| path.ends_with(end));
            if !is_content {
                continue;
            }
            for depth in [Depth::Full, Depth::Quick] {
                let report = verify(Withholding::always(inner.clone(), &path), depth);
                assert_eq!(report.problems, [], "{name}: {path}");
                assert_eq!(report.verdict, Verdict::Unchecked, "{name}: {path}");
                assert!(!report.not_checked.is_empty());
                for left in &report.not_checked {
                    assert_eq!(left.file, path);
                    assert_eq!(left.detail, format!("{path} could not be checked: it is withheld"));
                }
            }
        }
    }
}

#[test]
fn a_manifest_that_comes_back_is_no_interruption() {
    let inner = fixture("chain");
    for path in files(&inner, "snapshots") {
        for times in 1..4 {
            let report = verify(Withholding::times(inner.clone(), &path, times), Depth::Full);
            assert_eq!(report.problems, [], "{path}");
            // Nobody stopped it, so that it went through everything.
            assert!(report.complete, "{path}: {times}");
            assert_eq!(report.verdict == Verdict::Intact, report.not_checked.is_empty(), "{path}: {times}");
        }
    }
}

#[test]
fn a_withheld_folder_does_not_count_as_damage() {
    for folder in ["snapshots", "indexes", "packs"] {
        let report = verify(Withholding::always(fixture("chain"), folder), Depth::Full);
        assert_eq!(report.problems, [], "{folder}");
        // Full verification opens packs by their names.
        assert_eq!(report.verdict == Verdict::Intact, folder == "packs", "{folder}: {report:?}");
        assert!(!report.has_nothing_to_check(), "{folder}");
    }
}

/// A repository with sums of everything but themselves, and their path.
fn with_sums(name: &str) -> (MemoryStore, String) {
    let mut store = MemoryStore::default();
    store.copy_from(&fixture(name), "").unwrap();
    let mut sums = Sums::default();
    for path in ["packs", "indexes", "snapshots"].into_iter().flat_map(|folder| files(&store, folder)) {
        let sum = FileSum::of(store.file(&path).unwrap());
        sums.files.insert(path, sum);
    }
    let path = SumsName::Restated(FileId::from_parts(1, 1)).path();
    store.insert(path.clone(), sums.encode());
    (store, path)
}

#[test]
fn withheld_files_and_sums_are_no_damage_to_whoever_compares_sums() {
    let (store, sums) = with_sums("plain");
    let compare = |path: &str| {
        let store = Withholding::always(store.clone(), path);
        verify_sums(&Repository::open(store, Ruzstd).unwrap(), &())
    };
    assert_eq!(compare("nothing").verdict, Verdict::SumsMatch);
    let pack = files(&store, "packs").remove(0);
    for path in [&pack, &sums, "sums"] {
        let report = compare(path);
        assert_eq!((report.problems.len(), report.verdict), (0, Verdict::Unchecked), "{path}: {report:?}");
        assert!(report.not_checked.iter().any(|left| left.file == *path), "{path}: {report:?}");
    }
}

#[test]
fn a_withheld_file_leaves_the_snapshots_without_it_intact() {
    let inner = fixture("plain");
    let path =
        files(&inner, "snapshots").into_iter().filter(|path| path.ends_with(".mvmanifest")).min().unwrap();
    let report = verify(Withholding::always(inner, &path), Depth::Full);
    let unchecked: Vec<_> = report.snapshots.iter().filter(|one| one.verdict == Verdict::Unchecked).collect();
    assert_eq!(unchecked.first().unwrap().id.path(), path);
    assert!(report.summary().ends_with("1 file could not be checked here."), "{}", report.summary());
    assert!(report.to_text().contains("it is withheld\n    snapshot "), "{}", report.to_text());
}
