//! Dense keyframes: what a snapshot needs stays close to what it has.

use msgvault_testing::FailAt;
use msgvault_verifier::snapshot::density::{BlobUse, RawLengths, blob_use, pages_held};

use super::archive::Archive;
use super::*;
use crate::home::Dense;

/// The use of the blobs that a snapshot's map names, as the packs tell.
fn uses(archive: &Archive, snapshot: &msgvault_verifier::snapshot::Snapshot) -> Vec<BlobUse> {
    let (repository, map) = (archive.repository(), &snapshot.maps.pages);
    let mut lens = RawLengths::default();
    lens.learn(&repository, &map.blobs);
    blob_use(map, |blob| lens.of(blob)).unwrap()
}

/// An archive of some hundred pages of 512 bytes.
fn archive_of_many_pages() -> Archive {
    let archive = Archive::new();
    archive.sql("PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM; PRAGMA journal_mode = WAL");
    archive.write_messages(0..600);
    archive
}

/// Changes every seventh message, others in every round.
fn change(archive: &Archive, round: u32) {
    archive.sql(&format!("UPDATE messages SET body = body || 'round {round}' WHERE id % 7 = {round} % 7"));
}

fn create(archive: &Archive, dense: Dense) -> CreateReport {
    archive.try_create(|request| request.dense = dense).unwrap()
}

#[test]
fn every_blob_of_a_dense_keyframe_is_at_least_half_needed() {
    for dense in [Dense::Monthly, Dense::Auto] {
        let archive = archive_of_many_pages();
        create(&archive, dense);
        let mut stored_again = 0;
        for round in 1..=16 {
            match round {
                6 => archive.sql("DELETE FROM messages WHERE id > 500"),
                11 => archive.sql("DELETE FROM messages WHERE id % 3 = 0; VACUUM"),
                _ => change(&archive, round),
            }
            let report = create(&archive, dense);
            let snapshot = archive.check(&report);
            let uses = uses(&archive, &snapshot);
            assert_eq!(report.pages.held, pages_held(&uses));
            assert!(report.pages.held <= 2 * report.pages.total, "{:?}", report.pages);
            if report.pages.map_chain_depth == 0 {
                assert!(uses.iter().all(|found| !found.is_sparse()), "{uses:?}");
            } else {
                assert_eq!(report.pages.stored_again, 0, "only keyframes are dense");
            }
            assert_eq!(report.pages.stored_again > 0, report.pages.bytes_stored_again > 0);
            assert!(report.pages.stored_again + report.pages.changed <= report.pages.total);
            stored_again += report.pages.stored_again;
        }
        assert!(stored_again > 0);
    }
}

#[test]
fn without_dense_keyframes_blobs_hold_more_and_more() {
    let archive = archive_of_many_pages();
    let reports: Vec<CreateReport> = (1..=16)
        .map(|round| {
            change(&archive, round);
            create(&archive, Dense::Off)
        })
        .collect();
    let last = reports.last().unwrap();
    assert!(last.pages.held > 2 * last.pages.total, "{:?}", last.pages);
    assert!(reports.iter().all(|report| report.pages.stored_again == 0));
    archive.check(last);
    // The next one with them makes up for it, whatever the chain allows.
    let report = create(&archive, Dense::Auto);
    assert_eq!((report.pages.map_chain_depth, report.pages.changed), (0, 0));
    assert!(report.pages.stored_again > 0 && report.pages.held <= 2 * report.pages.total);
    archive.check(&report);
}

#[test]
fn the_first_snapshot_of_a_month_is_a_keyframe() {
    for (dense, expected) in [(Dense::Monthly, [1, 0, 1]), (Dense::Auto, [1, 2, 3]), (Dense::Off, [1, 2, 3])]
    {
        let archive = archive_of_many_pages();
        // More deltas than one fit behind a keyframe of many blobs.
        archive.sql("INSERT INTO messages (id, body) VALUES (5000, zeroblob(31000000))");
        create(&archive, dense);
        let depths = [60, 8 * 86_400, 60].map(|seconds| {
            archive.pass(seconds);
            archive.sql("UPDATE messages SET body = body || 'x' WHERE id = 1");
            create(&archive, dense).pages.map_chain_depth
        });
        assert_eq!(depths, expected, "{dense:?}");
    }
}

#[test]
fn pages_that_are_stored_again_already_cost_nothing() {
    let archive = archive_of_many_pages();
    for round in 1..=16 {
        change(&archive, round);
        create(&archive, Dense::Off);
    }
    // Packs and index are published, the snapshot is not.
    let fails = FailAt::once("manifest.create", 1);
    archive.create_as(&fails, |request| request.dense = Dense::Auto).unwrap_err();
    let report = create(&archive, Dense::Auto);
    assert!(report.pages.stored_again > 0);
    assert_eq!((report.pages.bytes_stored_again, report.bytes_added), (0, 0));
    assert!(uses(&archive, &archive.check(&report)).iter().all(|found| !found.is_sparse()));
}

#[test]
fn a_dense_keyframe_over_a_lost_pack_stores_its_pages_too() {
    let archive = archive_of_many_pages();
    let mut packs = Vec::new();
    for round in 1..=9 {
        change(&archive, round);
        packs.extend(create(&archive, Dense::Off).new_packs);
    }
    let pack = archive.root().join(packs[3].path());
    fs::remove_file(&pack).unwrap();
    let report = create(&archive, Dense::Auto);
    assert!(report.warnings.iter().any(|warning| warning.contains("missing")), "{:?}", report.warnings);
    let id = report.snapshot_id.clone().unwrap();
    let snapshot = msgvault_verifier::snapshot::Snapshot::load(&archive.repository(), &id, &()).unwrap();
    let uses = uses(&archive, &snapshot);
    assert_eq!(report.pages.held, pages_held(&uses));
    assert!(report.pages.map_chain_depth > 0 || uses.iter().all(|found| !found.is_sparse()));
}

#[test]
fn a_dry_run_tells_what_a_dense_keyframe_would_cost() {
    let archive = archive_of_many_pages();
    for round in 1..=16 {
        change(&archive, round);
        create(&archive, Dense::Off);
    }
    let dry = archive.try_create(|request| (request.dense, request.dry_run) = (Dense::Auto, true)).unwrap();
    let real = create(&archive, Dense::Auto);
    let told = |report: &CreateReport| (report.pages.stored_again, report.pages.bytes_stored_again);
    assert_eq!((told(&dry), dry.pages.held), (told(&real), real.pages.held));
    assert!(real.bytes_added > real.pages.bytes_stored_again && real.pages.bytes_stored_again > 0);
}
