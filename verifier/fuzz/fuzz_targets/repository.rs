#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use msgvault_fuzz::sealed;
use msgvault_verifier::Ruzstd;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::{DirectoryStore, MemoryStore};
use msgvault_verifier::verify::{Depth, Scope, Verdict, verify};

static INTACT: LazyLock<MemoryStore> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/plain/repo");
    let mut store = MemoryStore::default();
    store.copy_from(&DirectoryStore::new(root), "").expect("a fixture can be read");
    store
});

// An input is a list of changes, of eight bytes each, to a repository that was intact.
fuzz_target!(|changes: &[u8]| {
    let mut store = INTACT.clone();
    for change in changes.as_chunks().0 {
        apply(&mut store, *change);
    }
    let Ok(repository) = Repository::open(store, Ruzstd) else { return };
    let report = verify(&repository, &Scope::All, Depth::Full, &());
    assert!(report.verdict != Verdict::Intact || report.problems.is_empty());
    assert!(changes.len() >= 8 || report.verdict == Verdict::Intact);
});

fn apply(store: &mut MemoryStore, [kind, file, other, low, high, length, value, step]: [u8; 8]) {
    let path = |number: u8| store.paths().nth(usize::from(number)).map(str::to_owned);
    let (Some(path), Some(other)) = (path(file), path(other)) else { return };
    let mut bytes = store.file(&path).unwrap_or_default().to_vec();
    let start = usize::from(u16::from_le_bytes([low, high]));
    match kind % 6 {
        0 => drop(store.remove(&path)),
        1 => bytes.truncate(start),
        2 => bytes.resize(bytes.len() + start, value),
        3 => bytes = store.file(&other).unwrap_or_default().to_vec(),
        4 => {
            // What is far behind the start is counted from the end.
            let from = if step & 1 == 0 { start } else { bytes.len().saturating_sub(start) };
            bytes.iter_mut().skip(from).take(length.into()).for_each(|byte| *byte = byte.wrapping_add(value));
        }
        _ => bytes = sealed(bytes.split_last_chunk::<32>().map_or(&[][..], |(body, _)| body)),
    }
    if kind % 6 != 0 {
        store.insert(path, bytes);
    }
}
