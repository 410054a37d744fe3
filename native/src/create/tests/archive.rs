//! An archive and a repository to capture it into.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use msgvault_cli::check_all;
use msgvault_platform::context::SharedObserver;
use msgvault_verifier::Ruzstd;
use msgvault_verifier::format::id::{BlobId, PageHash};
use msgvault_verifier::format::page_map::PageMap;
use msgvault_verifier::snapshot::Snapshot;
use msgvault_verifier::verify::{Depth, ProblemCode, Scope, Verdict};
use rusqlite::Connection;

use super::super::*;
use crate::archive::samples;
use crate::home::{Dense, Environment, Flags, Home};
use crate::repo::publish::tests::Fixture;

/// An archive home, a repository, and a clock that stands still between snapshots.
pub(super) struct Archive {
    fixture: Fixture,
    root: PathBuf,
    db: Connection,
}

/// Bytes that no compressor shortens, the same for the same seed.
pub(super) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(len / 8 + 1).flatten().collect();
    bytes.truncate(len);
    bytes
}

impl Archive {
    pub(super) fn new() -> Self {
        let fixture = Fixture::new();
        let root = fixture.repository();
        let db = samples::database(&fixture.folder.path().join("msgvault.db"), "wal");
        Self { fixture, root, db }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.fixture.folder.path().join(name)
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(super) fn sql(&self, sql: &str) {
        self.db.execute_batch(sql).unwrap();
    }

    pub(super) fn write_messages(&self, ids: Range<u64>) {
        for id in ids {
            let body = format!("message {id} ").repeat(40);
            let insert = "INSERT INTO messages (id, sent_at, body) VALUES (?1, '2026-01-01', ?2)";
            self.db.execute(insert, (i64::try_from(id).unwrap(), body)).unwrap();
        }
    }

    pub(super) fn attach(&self, content: &[u8]) -> BlobId {
        let id = BlobId::of(content).to_string();
        self.attach_at(content, &format!("{}/{id}", &id[..2]))
    }

    pub(super) fn attach_at(&self, content: &[u8], path: &str) -> BlobId {
        let id = BlobId::of(content);
        let row: i64 = self
            .db
            .query_row("SELECT COALESCE(MAX(id), 0) + 1 FROM attachments", [], |row| row.get(0))
            .unwrap();
        samples::attach(&self.db, row, (&id.to_string(), path), None);
        self.write(&format!("attachments/{path}"), content);
        id
    }

    pub(super) fn home(&self) -> Home {
        let flags = Flags { home: Some(self.fixture.folder.path().to_owned()), config: None };
        Home::resolve(&flags, &Environment::default(), Path::new("/")).unwrap()
    }

    pub(super) fn pass(&self, seconds: i64) {
        self.fixture.pass(seconds);
    }

    pub(super) fn create(&self) -> CreateReport {
        self.try_create(|_| {}).unwrap()
    }

    pub(super) fn create_at_the_same_time(&self) -> CreateReport {
        self.create_as(&(), |_| {}).unwrap()
    }

    pub(super) fn try_create(
        &self,
        change: impl FnOnce(&mut CreateRequest<'_>),
    ) -> Result<CreateReport, CreateError> {
        let result = self.create_as(&(), change);
        self.fixture.pass(1);
        result
    }

    pub(super) fn create_as(
        &self,
        observer: SharedObserver<'_>,
        change: impl FnOnce(&mut CreateRequest<'_>),
    ) -> Result<CreateReport, CreateError> {
        let (home, context) = (self.home(), self.fixture.context(observer));
        let pause = |_| {};
        let asked = freeze::Request {
            data_dir: &home.data_dir,
            api_key: "",
            patience: Duration::ZERO,
            pause: &pause,
        };
        let mut freezer = freeze::acquire(&context, &asked).unwrap();
        self.create_with(observer, freezer.as_mut(), change)
    }

    pub(super) fn create_with(
        &self,
        observer: SharedObserver<'_>,
        freezer: &mut dyn Freezer,
        change: impl FnOnce(&mut CreateRequest<'_>),
    ) -> Result<CreateReport, CreateError> {
        let home = self.home();
        let mut request = CreateRequest {
            home: &home,
            repo: &self.root,
            tag: "a <tag>",
            include_config: false,
            include_tokens: false,
            allow_plaintext_secrets: false,
            jobs: 2,
            zstd_level: 0,
            dense: Dense::default(),
            force_unlock: false,
            retry_lock: Duration::ZERO,
            check: false,
            accept_clock: false,
            alarm_drop: 5,
            dry_run: false,
            version: "0.0.0-test",
            host: "here",
            pid: 1,
            log_limit: None,
            pause: &|_| {},
        };
        change(&mut request);
        run(&self.fixture.context(observer), &request, freezer)
    }

    pub(super) fn repository(&self) -> Repository {
        Repository::open(DirectoryStore::new(&self.root), Ruzstd).unwrap()
    }

    /// Verifies the whole repository and compares the snapshot with the archive, if it is the last one.
    pub(super) fn check(&self, report: &CreateReport) -> Snapshot {
        let repository = self.repository();
        self.verify();
        let id = report.snapshot_id.clone().unwrap();
        let snapshot = Snapshot::load(&repository, &id, &()).unwrap();
        let is_last = repository.listing().unwrap().snapshots.last() == Some(&id);
        let database = database(&repository, &snapshot.maps.pages);
        for (page, hash) in
            database.chunks(snapshot.maps.pages.page_size.in_memory()).zip(&snapshot.maps.hashes.hashes)
        {
            assert_eq!(PageHash::of(page), *hash);
        }
        if is_last {
            self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            assert!(database == fs::read(self.path("msgvault.db")).unwrap(), "the database differs");
        }
        for file in &snapshot.extras {
            let bytes = repository.blob(&file.blob, u64::MAX).unwrap();
            assert_eq!(bytes, fs::read(self.path(file.path.relative().as_str())).unwrap());
        }
        assert_eq!(fs::read_dir(self.root.join("staging")).unwrap().count(), 0);
        assert_eq!(fs::read_dir(self.root.join("locks")).unwrap().count(), 0);
        snapshot
    }

    /// Verifies every snapshot, reading everything.
    pub(super) fn verify(&self) {
        let repository = self.repository();
        let report = check_all(&repository, &Scope::All, Depth::Full, &());
        if repository.listing().unwrap().snapshots.is_empty() {
            // Packs may be left of a first backup that failed; the next one uses them.
            let other = report.problems.iter().find(|problem| problem.code != ProblemCode::SnapshotsMissing);
            assert_eq!(other, None);
            return;
        }
        assert_eq!(report.verdict, Verdict::Intact, "{}", report.to_text());
    }

    pub(super) fn cache_file(&self) -> PathBuf {
        let id = self.repository().config().repo_id.clone();
        self.path("backup-cache").join(format!("{id}.hashmap"))
    }

    /// Every file of the repository and of the archive's folders, with its bytes.
    pub(super) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.clone(), self.path("backup-cache")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = fs::read(&path).unwrap();
                    found.push((path, bytes));
                }
            }
        }
        found.sort();
        found
    }

    pub(super) fn copy_repository(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = self.files().into_iter();
        files.filter(|(path, _)| path.starts_with(&self.root)).collect()
    }

    /// Puts the repository back into the state that was copied.
    pub(super) fn restore_repository(&self, copy: &[(PathBuf, Vec<u8>)]) {
        for (path, _) in self.copy_repository() {
            fs::remove_file(path).unwrap();
        }
        for (path, bytes) in copy {
            fs::write(path, bytes).unwrap();
        }
    }
}

/// The database that a map describes.
fn database(repository: &Repository, map: &PageMap) -> Vec<u8> {
    let mut blobs = std::collections::HashMap::new();
    let mut bytes = Vec::new();
    for run in &map.runs {
        let id = *map.blob(run).unwrap();
        let blob = blobs.entry(id).or_insert_with(|| repository.blob(&id, u64::MAX).unwrap());
        let start = usize::try_from(run.blob_offset).unwrap();
        let end = usize::try_from(run.blob_end(map.page_size).unwrap()).unwrap();
        bytes.extend_from_slice(&blob[start..end]);
    }
    bytes
}
