mod bounds;
mod hostile;
mod interrupted;
mod planted;
mod targets;
mod tiny;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use msgvault_platform::Dir;
use msgvault_platform::context::SharedObserver;
use msgvault_testing::FailAt;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::{Memory, Observer};
use tempfile::TempDir;

use super::*;
use crate::repo::lock::LockRequest;

/// Restores with the given observer.
fn restore<'a>(
    observer: SharedObserver<'_>,
    root: &'a Path,
    snapshot: &'a SnapshotId,
    target: &'a Path,
    change: impl FnOnce(&mut RestoreRequest<'a>),
) -> Result<RestoreReport, RestoreError> {
    static CALLS: AtomicU64 = AtomicU64::new(1);
    let random = || u128::from(CALLS.fetch_add(1, Ordering::Relaxed));
    let context = Context { observer, now: &|| Timestamp::UNIX_EPOCH, random: &random };
    let lock = LockRequest {
        root,
        operation: "restore",
        host: "here",
        pid: 1,
        force: false,
        patience: Duration::ZERO,
        pause: &|_| panic!("waited"),
    };
    let mut request = RestoreRequest {
        expect_content: None,
        lock,
        snapshot,
        target,
        overwrite: false,
        integrity_check: false,
        jobs: 2,
        memory: Memory::unlimited(),
        live_homes: &[],
    };
    change(&mut request);
    run(&context, &request)
}

/// What stands in a folder and below it: files by path with mode and content.
fn tree(root: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    use std::os::unix::fs::PermissionsExt;
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = metadata.permissions().mode() & 0o7777;
            if metadata.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, (mode, fs::read(&path).unwrap_or_default()));
            }
        }
    }
    files
}
