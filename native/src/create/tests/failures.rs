//! What goes wrong, and what is left then.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use msgvault_freeze::FreezeError;
use msgvault_freeze::client::DaemonError;
use msgvault_testing::FailAt;
use msgvault_verifier::format::id::{BlobId, IndexId, PackId};
use msgvault_verifier::format::index::{self, IndexEntry};
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::repository::OpenError;
use msgvault_verifier::{Observer, Phase};

use super::archive::{Archive, noise};
use super::*;
use crate::archive::session::SessionError;
use crate::repo::lock::LockError;

/// Every point of a run where it can be stopped, in order.
const POINTS: [&str; 21] = [
    "lock.create",
    "session.checkpointed",
    "session.marked",
    "pack.create",
    "pack.write",
    "pack.sync",
    "pack.publish",
    "pack.sync-folder",
    "pack.done",
    "index.create",
    "index.write",
    "index.sync",
    "index.publish",
    "index.sync-folder",
    "index.done",
    "config.publish",
    "reused.sync",
    "manifest.create",
    "manifest.sync",
    "manifest.publish",
    "manifest.sync-folder",
];

#[test]
fn a_failure_anywhere_leaves_a_good_repository() {
    for point in POINTS {
        for cancels in [false, true] {
            let archive = Archive::new();
            archive.write_messages(0..200);
            archive.attach(b"one");
            if point != "config.publish" {
                archive.create();
                archive.write_messages(200..300);
            }
            let before = archive.repository().listing().unwrap();
            let stop = if cancels { FailAt::cancelling(point) } else { FailAt::always(point) };
            let result = archive.create_as(&stop, |_| {});
            assert!(stop.seen() > 0, "{point}");
            if let Err(error) = result {
                let is_told = if cancels {
                    matches!(error, CreateError::Cancelled)
                } else {
                    error.to_string().contains("space")
                        || point.starts_with("session")
                        || point.starts_with("lock")
                };
                assert!(is_told, "{point}: {error}");
                assert_eq!(archive.repository().listing().unwrap(), before, "{point}");
            } else {
                assert!(cancels, "{point} failed and nobody noticed");
            }
            for folder in ["staging", "locks"] {
                assert_eq!(
                    fs::read_dir(archive.root().join(folder)).unwrap().count(),
                    0,
                    "{point}: {folder}"
                );
            }
            archive.verify();
            archive.pass(1);
            archive.check(&archive.create());
        }
    }
}

#[test]
fn bad_attachments_fail_and_are_named() {
    type Spoil = fn(&std::path::Path);
    let spoils: [Spoil; 3] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, "changed").unwrap(),
        |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        },
    ];
    for content in [b"small".to_vec(), noise(1, 17_000_000)] {
        for spoil in spoils {
            for (known, jobs) in [(false, 2), (true, 2), (false, 1)] {
                let archive = Archive::new();
                archive.write_messages(0..5);
                let id = archive.attach(&content);
                if known {
                    archive.create();
                }
                let hex = id.to_string();
                spoil(&archive.path(&format!("attachments/{}/{hex}", &hex[..2])));
                let error = archive.try_create(|request| request.jobs = jobs).unwrap_err();
                assert!(matches!(error, CreateError::Attachments(_)), "{error}");
                let text = error.to_string();
                assert!(text.contains(&hex) && text.contains("row 1"), "{text}");
                archive.verify();
                assert_eq!(fs::read_dir(archive.root().join("staging")).unwrap().count(), 0);
            }
        }
    }
}

#[test]
fn attachments_that_no_restore_could_place_are_refused() {
    // Their contents are found where they belong, so that nobody misses the recorded path.
    for paths in [
        ["../outside", "b"],
        ["/outside", "b"],
        ["a./b", "b"],
        ["A/b", "a/B"],
        ["\u{e9}", "e\u{301}"],
        ["a", "a/b"],
    ] {
        let archive = Archive::new();
        archive.write_messages(0..5);
        for (content, path) in [b"one", b"two"].into_iter().zip(paths) {
            let id = archive.attach(content).to_string();
            archive
                .sql(&format!("UPDATE attachments SET storage_path = '{path}' WHERE content_hash = '{id}'"));
        }
        let error = archive.try_create(|_| {}).unwrap_err();
        assert!(matches!(error, CreateError::Session(SessionError::Schema { .. })), "{paths:?}: {error}");
        assert!(archive.repository().listing().unwrap().snapshots.is_empty());
    }
}

#[cfg(unix)]
#[test]
fn a_link_among_the_extras_is_refused() {
    for place in ["deletions", "deletions/link", "tokens/sub/link", "client_secret.json", "config.toml"] {
        let archive = Archive::new();
        archive.write_messages(0..5);
        archive.write("elsewhere/file", b"[backup]\n");
        archive.write("config.toml", b"");
        let path = archive.path(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink(archive.path("elsewhere/file"), &path).unwrap();
        let error = archive
            .try_create(|request| {
                request.include_config = true;
                request.include_tokens = true;
                request.allow_plaintext_secrets = true;
            })
            .unwrap_err();
        assert!(matches!(error, CreateError::Extras(ExtrasError::Link { .. })), "{place}: {error}");
    }
}

#[test]
fn bad_extras_are_reported_before_the_database_is_pinned() {
    let archive = Archive::new();
    archive.write_messages(0..5);
    archive.write("deletions/ends in a dot.", b"{}");
    let pinned = FailAt::always("session.marked");
    let error = archive.create_as(&pinned, |_| {}).unwrap_err();
    assert!(matches!(error, CreateError::Extras(ExtrasError::BadPath { .. })), "{error}");
    assert!(pinned.seen() == 0);
}

#[test]
fn all_extras_that_cannot_be_captured_are_told_at_once() {
    let archive = Archive::new();
    archive.write_messages(0..5);
    for name in ["ends in a dot.", "sub/ends in a space ", "good.json"] {
        archive.write(&format!("deletions/{name}"), b"{}");
    }
    let error = archive.try_create(|_| {}).unwrap_err();
    assert!(matches!(error, CreateError::Extras(ExtrasError::Several(_))), "{error}");
    let told = error.to_string();
    assert!(told.contains("dot.") && told.contains("space ") && !told.contains("good"), "{told}");
}

#[cfg(unix)]
#[test]
fn a_folder_of_attachments_may_be_a_link_within_the_home() {
    let archive = Archive::new();
    archive.write_messages(0..5);
    archive.attach_at(b"content", "mail/one.bin");
    let (folder, moved) = (archive.path("attachments/mail"), archive.path("elsewhere"));
    fs::rename(&folder, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &folder).unwrap();
    archive.check(&archive.create());

    let outside = tempfile::tempdir().unwrap();
    fs::rename(&moved, outside.path().join("mail")).unwrap();
    fs::remove_file(&folder).unwrap();
    std::os::unix::fs::symlink(outside.path().join("mail"), &folder).unwrap();
    let error = archive.try_create(|_| {}).unwrap_err();
    assert!(matches!(error, CreateError::Attachments(_)), "{error}");
}

#[test]
fn names_that_are_one_file_elsewhere_are_refused() {
    let archive = Archive::new();
    archive.write_messages(0..5);
    archive.write("deletions/a.json", b"1");
    archive.write("deletions/A.json", b"2");
    if fs::read_dir(archive.path("deletions")).unwrap().count() == 2 {
        let error = archive.try_create(|_| {}).unwrap_err();
        assert!(matches!(error, CreateError::Extras(ExtrasError::SamePath { .. })), "{error}");
    }
}

#[test]
fn a_missing_configuration_is_an_error_when_it_was_asked_for() {
    let archive = Archive::new();
    archive.write_messages(0..5);
    let error = archive.try_create(|request| {
        request.include_config = true;
        request.allow_plaintext_secrets = true;
    });
    assert!(matches!(error, Err(CreateError::Extras(ExtrasError::NoConfig))));
}

#[test]
fn what_the_repository_lost_is_stored_again() {
    let archive = Archive::new();
    archive.write_messages(0..400);
    archive.attach(&noise(1, 5000));
    let first = archive.create();
    let packs: Vec<PackId> = first.new_packs.clone();
    // The maps and lists of the second snapshot are in another pack than pages and attachments.
    archive.write_messages(400..401);
    archive.create();
    for pack in packs {
        fs::remove_file(archive.root().join(pack.path())).unwrap();
    }
    let report = archive.create();
    assert!(!report.warnings.is_empty());
    // The lost snapshots stay damaged; the new one is whole.
    let repository = archive.repository();
    let id = report.snapshot_id.unwrap();
    let snapshot = msgvault_verifier::snapshot::Snapshot::load(&repository, &id, &()).unwrap();
    let attachments = snapshot.attachments.iter(repository.index()).map(|attachment| attachment.id);
    for blob in snapshot.maps.pages.blobs.iter().copied().chain(attachments) {
        repository.blob(&blob, u64::MAX).unwrap();
    }
}

#[test]
fn what_was_found_damaged_is_stored_again() {
    type Object = fn(&Manifest) -> BlobId;
    let objects: [Object; 3] = [
        |manifest| manifest.db.page_map.unwrap(),
        |manifest| manifest.db.page_hash_map.unwrap(),
        |manifest| manifest.lists()[0],
    ];
    for object in objects {
        let archive = Archive::new();
        archive.write_messages(0..400);
        archive.attach(b"one");
        let first = archive.create();
        fs::remove_file(archive.cache_file()).unwrap();
        let repository = archive.repository();
        let manifest = repository.manifest(&first.snapshot_id.unwrap()).unwrap();
        let place = repository.index().find(&object(&manifest)).unwrap();
        let pack = archive.root().join(place.pack.path());
        let mut bytes = fs::read(&pack).unwrap();
        bytes[usize::try_from(place.offset).unwrap()] ^= 1;
        fs::write(pack, bytes).unwrap();
        let second = archive.create();
        assert!(!second.warnings.is_empty());
        // The older snapshot is whole again too.
        archive.check(&second);
    }
}

#[test]
fn the_cache_does_not_hide_lost_page_hashes() {
    let archive = Archive::new();
    archive.write_messages(0..400);
    let first = archive.create();
    let manifest = archive.repository().manifest(&first.snapshot_id.unwrap()).unwrap();
    let place = archive.repository().index().find(&manifest.db.page_hash_map.unwrap()).unwrap();
    let (id, offset, stored_len, encoding) = (place.id, place.offset, place.stored_len, place.encoding);
    let nowhere = IndexEntry { id, pack: PackId::from_parts(1, 1), offset, stored_len, encoding };
    let later = IndexId::from_parts(u64::MAX >> 20, 0);
    fs::write(archive.root().join(later.path()), index::encode(&[nowhere])).unwrap();
    assert!(archive.cache_file().exists());
    archive.write_messages(400..401);
    let second = archive.create();
    let repository = archive.repository();
    msgvault_verifier::snapshot::Snapshot::load(&repository, &second.snapshot_id.unwrap(), &()).unwrap();
}

#[test]
fn a_lock_that_was_lost_publishes_no_manifest() {
    struct Thief(std::path::PathBuf);
    impl Observer for Thief {
        fn reached(&self, point: &'static str) -> io::Result<()> {
            if point == "index.done" { fs::write(self.0.join("locks/exclusive.json"), "{}") } else { Ok(()) }
        }
    }
    let archive = Archive::new();
    archive.write_messages(0..5);
    let error = archive.create_as(&Thief(archive.root().to_owned()), |_| {}).unwrap_err();
    assert!(matches!(error, CreateError::Lock(LockError::Lost { .. })), "{error}");
    assert!(archive.repository().listing().unwrap().snapshots.is_empty());
    fs::remove_file(archive.root().join("locks/exclusive.json")).unwrap();
    archive.check(&archive.create());
}

#[test]
fn a_freeze_that_ended_early_spoils_the_snapshot() {
    struct Late;
    impl Freezer for Late {
        fn begin(&mut self) -> Result<(), FreezeError> {
            Ok(())
        }
        fn end(&mut self) -> Result<(), FreezeError> {
            Err(DaemonError::Late { pid: 1 }.into())
        }
    }
    let archive = Archive::new();
    archive.write_messages(0..5);
    let error = archive.create_with(&(), &mut Late, |_| {}).unwrap_err();
    assert!(matches!(error, CreateError::Freeze(_)), "{error}");
    assert!(archive.repository().listing().unwrap().snapshots.is_empty());
}

#[test]
fn damage_in_the_last_snapshot_does_not_stop_the_next() {
    let archive = Archive::new();
    archive.write_messages(0..100);
    let first = archive.create();
    archive.write_messages(100..110);
    let second = archive.create();
    let manifest = archive.root().join(second.snapshot_id.unwrap().path());
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("a \\u003ctag", "another")).unwrap();
    let third = archive.create();
    assert_eq!(third.parent_id, first.snapshot_id);
    assert!(third.warnings[0].contains("does not build upon it"), "{:?}", third.warnings);
    fs::remove_file(manifest).unwrap();
    archive.check(&third);
}

#[test]
fn there_must_be_a_repository_and_nobody_else_in_it() {
    let archive = Archive::new();
    archive.write_messages(0..5);
    fs::rename(archive.root(), archive.path("unplugged")).unwrap();
    let error = archive.try_create(|_| {}).unwrap_err();
    assert!(matches!(error, CreateError::Repository(OpenError::Missing(_))), "{error}");
    fs::rename(archive.path("unplugged"), archive.root()).unwrap();
    let record = r#"{"hostname":"far","pid":1,"operation":"verify","acquired_at":"2026-11-23T13:35:58Z"}"#;
    fs::write(archive.root().join("locks/exclusive.json"), record).unwrap();
    let error = archive.try_create(|_| {}).unwrap_err();
    assert!(matches!(error, CreateError::Lock(LockError::Held { .. })), "{error}");
    archive.try_create(|request| request.force_unlock = true).unwrap();
}

/// Writes to the archive while its database is scanned, so many times.
struct Busy {
    database: PathBuf,
    times: Mutex<u32>,
    warnings: Mutex<Vec<String>>,
}

impl Observer for Busy {
    fn begin(&self, phase: Phase, _: u64) {
        let mut left = self.times.lock().unwrap();
        if phase != phase::PAGES || *left == 0 {
            return;
        }
        *left -= 1;
        let writer = rusqlite::Connection::open(&self.database).unwrap();
        let body = "INSERT INTO messages (sent_at, body) VALUES ('2026-01-02', zeroblob(2000000))";
        // The log begins anew once nobody reads the main file alone any more.
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            writer.execute(body, []).unwrap();
            let copied: (i64, i64, i64) = writer
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .unwrap();
            if copied == (0, 0, 0) {
                return;
            }
        }
        panic!("the log was never let go");
    }

    fn warn(&self, message: &str) {
        self.warnings.lock().unwrap().push(message.to_owned());
    }
}

#[test]
fn a_log_that_grows_too_long_is_let_go_and_the_backup_repeated() {
    let archive = Archive::new();
    archive.write_messages(0..200);
    let busy = |times| Busy {
        database: archive.path("msgvault.db"),
        times: Mutex::new(times),
        warnings: Mutex::default(),
    };
    let once = busy(1);
    let report = archive.create_as(&once, |request| request.log_limit = Some(1 << 20)).unwrap();
    archive.check(&report);
    let warnings = once.warnings.into_inner().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("grew over 1.0 MiB") && warnings[0].contains("begins anew"), "{warnings:?}");

    archive.pass(1);
    let before = archive.files();
    let refused = archive.create_as(&busy(u32::MAX), |request| request.log_limit = Some(1 << 20));
    assert!(matches!(refused, Err(CreateError::LogGrew { limit: 1_048_576 })), "{refused:?}");
    assert_eq!(archive.files(), before);
}
