//! Days in the life of an archive, with a backup on each. Every day can be restored on the day itself and at
//! the end.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use msgvault_verifier::Ruzstd;
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::ChainReader;
use msgvault_verifier::snapshot::density::{RawLengths, blob_use, pages_held};
use msgvault_verifier::store::DirectoryStore;

use crate::sample::{Churn, Options, file_digest, tree_digest};
use crate::scene::Scene;

/// Lets this many days pass, and checks every one of them twice: as the latest snapshot, and as an old one.
///
/// Prints a line for every day. Only hashes are kept of earlier days, so that many days of a large archive
/// fit on a disk.
///
/// # Panics
///
/// If a command fails, if something comes back different, or if a page map is a keyframe where a delta
/// belongs or the other way round.
pub fn every_day_comes_back(options: &Options, days: u32, told: &mut impl Write) -> io::Result<()> {
    let scene = Scene::new(options);
    let mut lived = Vec::new();
    for day in 0..days {
        if day > 0 {
            scene.churn(&churn_of(day));
        }
        let created = scene
            .backup(&["create", "--json", "--expect-shrink", "--tag", &format!("day {day}")])
            .done()
            .json();
        let snapshot = created["snapshot_id"].as_str().expect("an ID").to_owned();
        let content = Content::of(&scene.home());
        comes_back(&scene, "latest", &content);
        let (pages, attachments) = (&created["pages"], &created["attachments"]);
        writeln!(
            told,
            "day {day}: {snapshot}, {} pages, {} changed, chain of {}; {} attachments; {} bytes added; restored",
            pages["total"],
            pages["changed"],
            pages["map_chain_depth"],
            attachments["blobs"],
            created["bytes_added"],
        )?;
        lived.push((snapshot, content));
    }
    let report = scene.backup(&["verify", "--all", "--json"]).done().json();
    assert_eq!(report["snapshots"].as_array().expect("a list").len(), lived.len());
    for (snapshot, content) in &lived {
        comes_back(&scene, snapshot, content);
    }
    let keyframes = keyframes_are_where_they_belong(&scene);
    writeln!(
        told,
        "{} snapshots, {keyframes} of them keyframes: each verified, each restored on its day and at the end to the same bytes",
        lived.len()
    )
}

/// The archive grows, but shrinks in the middle of every ten days.
fn churn_of(day: u32) -> Churn {
    Churn {
        day,
        shrink: if day % 10 == 5 { 40 } else { 1 },
        vacuum: day.is_multiple_of(10),
        remove_attachments: if day.is_multiple_of(7) { 10 } else { 0 },
        ..Churn::default()
    }
}

/// Hashes by which an archive is recognized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    database: String,
    attachments: String,
}

impl Content {
    /// Of what an archive home holds now.
    ///
    /// # Panics
    ///
    /// When it cannot be read.
    pub fn of(home: &Path) -> Self {
        Self {
            database: file_digest(&home.join("msgvault.db")).expect("the database"),
            attachments: tree_digest(&home.join("attachments")).expect("the attachments"),
        }
    }
}

fn comes_back(scene: &Scene, snapshot: &str, content: &Content) {
    let restored = scene.restore(snapshot, "restored");
    assert_eq!(&Content::of(&restored), content, "{snapshot}");
    fs::remove_dir_all(restored).expect("a folder to remove");
}

/// The pages that the blobs of a snapshot hold, and how many of the blobs are sparse.
fn uses(repository: &Repository, manifest: &Manifest) -> (u64, usize) {
    let maps = ChainReader::default().load(repository, manifest, &()).expect("the maps");
    let mut lens = RawLengths::default();
    lens.learn(repository, &maps.pages.blobs);
    let uses = blob_use(&maps.pages, |blob| lens.of(blob)).expect("the lengths of all blobs");
    (pages_held(&uses), uses.iter().filter(|found| found.is_sparse()).count())
}

/// Checks that each page map is a keyframe or a delta as the manifests and the index demand, and that blobs hold
/// little that is not needed. Returns the number of keyframes.
fn keyframes_are_where_they_belong(scene: &Scene) -> usize {
    let repository = Repository::open(DirectoryStore::new(scene.repo()), Ruzstd).expect("the repository");
    let ids = repository.listing().expect("the snapshots").snapshots;
    let manifests: Vec<Manifest> =
        ids.iter().map(|id| repository.manifest(id).expect("a manifest")).collect();
    let stored = |blob: Option<BlobId>| {
        let entry = repository.index().find(&blob.expect("a page map"));
        entry.expect("an entry of the index").stored_len
    };
    let mut keyframe_len = 0;
    let mut delta_len = 0;
    let mut depth = 0;
    let mut keyframes = 0;
    for (number, manifest) in manifests.iter().enumerate() {
        let parent = number.checked_sub(1).map(|number| &manifests[number]);
        let keyframe = parent.is_none_or(|parent| {
            parent.db.page_size != manifest.db.page_size || depth + 1 > 29 || delta_len > keyframe_len
        });
        let (held, sparse) = uses(&repository, manifest);
        assert!(held <= 2 * manifest.db.page_count, "snapshot {number}: {held} pages held");
        // Else it is one because the blobs held too much.
        let is_dense = manifest.db.map_chain_depth == 0;
        assert!(!is_dense || sparse == 0, "snapshot {number}: {sparse} sparse blobs");
        if keyframe || is_dense {
            (keyframe_len, delta_len, depth) = (stored(manifest.db.page_map), 0, 0);
            keyframes += 1;
        } else {
            delta_len += stored(manifest.db.page_map);
            depth += 1;
        }
        assert_eq!(manifest.db.map_chain_depth, depth, "snapshot {number}");
    }
    assert!(0 < keyframes && keyframes < manifests.len(), "{keyframes} keyframes");
    keyframes
}
