use msgvault_verifier::Ruzstd;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::MemoryStore;
use msgvault_verifier::verify::{self, Depth, Report, Scope};

/// Verifies all snapshots of files in memory.
///
/// # Panics
///
/// When they are not a repository.
pub fn verify(store: &MemoryStore) -> Report {
    let repository = Repository::open(store.clone(), Ruzstd).expect("a repository");
    verify::verify(&repository, &Scope::All, Depth::Full, &())
}

/// The codes of a report; neighbours that are the same count once.
pub fn codes(report: &Report) -> Vec<&'static str> {
    let mut codes: Vec<_> = report.problems.iter().map(|problem| problem.code.as_str()).collect();
    codes.dedup();
    codes
}
