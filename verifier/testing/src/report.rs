use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::{MemoryStore, Store};
use msgvault_verifier::verify::{self, Depth, Report, Scope};
use msgvault_verifier::{Decompressor, Ruzstd};

/// Verifies all snapshots of files in memory.
///
/// # Panics
///
/// When they are not a repository.
pub fn verify(store: &MemoryStore) -> Report {
    let repository = Repository::open(store.clone(), Ruzstd).expect("a repository");
    verify_all(&repository, Depth::Full)
}

/// Verifies all snapshots, one pack after another.
pub fn verify_all<S: Store, D: Decompressor>(repository: &Repository<S, D>, depth: Depth) -> Report {
    let plan = verify::plan(repository, &Scope::All, depth, &());
    let mut findings = verify::Findings::new(repository.index());
    for task in &plan.tasks {
        findings.add(task, verify::check_pack(repository, task, depth, &()));
    }
    verify::merge(repository, plan, findings, &())
}

/// The codes of a report; neighbours that are the same count once.
pub fn codes(report: &Report) -> Vec<&'static str> {
    let mut codes: Vec<_> = report.problems.iter().map(|problem| problem.code.as_str()).collect();
    codes.dedup();
    codes
}
