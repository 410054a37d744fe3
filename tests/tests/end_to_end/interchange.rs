//! Repositories that the Go program wrote are understood to the last byte.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use msgvault_tests::fixtures::{self, Fixture};
use msgvault_tests::programs::{backup, verify};
use msgvault_tests::tree::hashes_and_modes;
use msgvault_verifier::Ruzstd;
use msgvault_verifier::format::id::{BlobId, SnapshotId};
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::format::page_hash::PageHashObject;
use msgvault_verifier::format::{
    attachment_list, config::RepoConfig, extras, index, pack, page_hash, page_map,
};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::DirectoryStore;

fn open(fixture: &Fixture) -> Repository {
    Repository::open(DirectoryStore::new(&fixture.repo), Ruzstd).unwrap()
}

fn manifests(fixture: &Fixture) -> Vec<Manifest> {
    let repository = open(fixture);
    fixture.snapshots().iter().map(|id| repository.manifest(&id.parse().unwrap()).unwrap()).collect()
}

fn files_below(folder: &Path, suffix: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, suffix));
        } else if path.to_string_lossy().ends_with(suffix) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn snapshot_ids_equal_those_of_the_go_program() {
    for fixture in fixtures::all() {
        let listed: Vec<String> =
            open(&fixture).listing().unwrap().snapshots.iter().map(SnapshotId::to_string).collect();
        assert_eq!(listed, fixture.snapshots(), "{}", fixture.name);
        for manifest in manifests(&fixture) {
            assert_eq!(manifest.computed_id(), manifest.snapshot_id.to_string());
            let written = fs::read_to_string(fixture.repo.join(manifest.snapshot_id.path())).unwrap();
            assert_eq!(manifest.encode(), written, "{}", fixture.name);
        }
    }
}

#[test]
fn every_binary_object_comes_back_as_it_was_written() {
    for fixture in fixtures::all() {
        let config = fs::read(fixture.repo.join("config.toml")).unwrap();
        assert_eq!(RepoConfig::decode(&config).unwrap().encode().as_bytes(), config);
        for path in files_below(&fixture.repo.join("indexes"), ".mvidx") {
            let bytes = fs::read(&path).unwrap();
            assert_eq!(index::encode(&index::decode(&bytes).unwrap()), bytes, "{}", path.display());
        }
        for path in files_below(&fixture.repo.join("packs"), ".mvpack") {
            footer_comes_back(&path);
        }
        let repository = open(&fixture);
        let blob = |id: &BlobId| repository.blob(id, u64::MAX).unwrap();
        for manifest in manifests(&fixture) {
            let map = blob(&manifest.db.page_map.unwrap());
            let (kind, decoded) = page_map::decode(&map).unwrap();
            assert_eq!(decoded.encode(kind), map);
            let hashes = blob(&manifest.db.page_hash_map.unwrap());
            let encoded = match page_hash::decode(&hashes).unwrap() {
                PageHashObject::Keyframe(keyframe) => keyframe.encode(),
                PageHashObject::Delta(delta) => delta.encode(),
            };
            assert_eq!(encoded, hashes);
            for list in manifest.lists() {
                let list = blob(list);
                assert_eq!(attachment_list::encode(&attachment_list::decode(&list).unwrap()), list);
            }
            if let Some(tree) = manifest.extras.tree {
                let tree = blob(&tree);
                assert_eq!(extras::encode(&extras::decode(&tree).unwrap()), tree);
            }
        }
    }
}

fn footer_comes_back(path: &Path) {
    let bytes = fs::read(path).unwrap();
    let (_, trailer) = bytes.split_last_chunk::<40>().unwrap();
    let trailer = pack::decode_trailer(bytes.len() as u64, trailer).unwrap();
    let start = usize::try_from(trailer.footer_offset).unwrap();
    let footer = &bytes[start..bytes.len() - 40];
    let entries = pack::decode_footer(&trailer, footer).unwrap();
    assert_eq!(pack::encode_footer(&entries), &bytes[start..], "{}", path.display());
}

#[test]
fn packs_of_the_go_program_open() {
    for fixture in fixtures::all() {
        let repository = open(&fixture);
        for pack in repository.index().packs() {
            let file = repository.pack(*pack).unwrap();
            for entry in file.entries() {
                assert_eq!(BlobId::of(&file.read(entry, u64::MAX).unwrap()), entry.id);
            }
        }
    }
}

#[test]
fn both_programs_verify_every_snapshot_whatever_the_jobs() {
    for fixture in fixtures::all() {
        let folder = tempfile::tempdir().unwrap();
        let repo = folder.path().join("repo");
        fixture.copy_to(&repo);
        let mut documents = Vec::new();
        for jobs in [&["--jobs", "1"][..], &[]] {
            documents.push(backup(&repo, [&["verify", "--all", "--json"], jobs].concat()).done().json());
            documents.push(verify(&repo, [&["--all", "--json"], jobs].concat()).done().json());
        }
        assert_eq!(documents[0]["verdict"], "intact", "{}", fixture.name);
        assert_eq!(documents[0]["snapshots"].as_array().unwrap().len(), fixture.snapshots().len());
        assert!(documents.iter().all(|document| *document == documents[0]), "{}", fixture.name);
        for snapshot in fixture.snapshots() {
            assert!(verify(&repo, [&snapshot]).done().stdout.contains("Intact"), "{snapshot}");
        }
    }
}

#[test]
fn list_shows_what_the_go_program_shows() {
    for fixture in fixtures::all() {
        let expected: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(fixture.expected.join("list.json")).unwrap()).unwrap();
        let listed = backup(&fixture.repo, ["list", "--json"]).done().json();
        for (expected, listed) in
            expected.as_array().unwrap().iter().zip(listed["snapshots"].as_array().unwrap())
        {
            for (key, value) in expected.as_object().unwrap() {
                assert_eq!(&listed[key], value, "{} {key}", fixture.name);
            }
        }
        assert_eq!(expected.as_array().unwrap().len(), listed["snapshots"].as_array().unwrap().len());
    }
}

#[test]
fn every_snapshot_restores_exactly_as_the_go_program_restores_it() {
    for fixture in fixtures::all() {
        let folder = tempfile::tempdir().unwrap();
        let repo = folder.path().join("repo");
        fixture.copy_to(&repo);
        for (number, snapshot) in fixture.snapshots().iter().enumerate() {
            let target = folder.path().join("restored");
            let jobs = if number % 2 == 0 { "1" } else { "0" };
            let text = target.to_string_lossy();
            let _ =
                backup(&repo, ["restore", snapshot, "--target", &text, "--jobs", jobs, "--integrity-check"])
                    .done();
            let [files, modes] = hashes_and_modes(&target).unwrap();
            let [expected_files, expected_modes] = fixture.restored(snapshot);
            assert_eq!(files, expected_files, "{} {snapshot}", fixture.name);
            assert_eq!(modes, expected_modes, "{} {snapshot}", fixture.name);
            fs::remove_dir_all(target).unwrap();
        }
        let _ = backup(&repo, ["verify", "--all", "--restore-check"]).done();
    }
    // Written past the test harness, which hides the output of a passing test: a run says what it tested
    // with.
    let (own, others) = (fixtures::own().len(), fixtures::others().len());
    let line = format!(
        "programs tested with {own} repositories of the project, {others} of {}\n",
        fixtures::VARIABLE
    );
    io::stderr().write_all(line.as_bytes()).unwrap();
}

#[test]
fn a_repository_of_the_go_program_is_continued() {
    for fixture in fixtures::all() {
        let folder = tempfile::tempdir().unwrap();
        let (repo, home) = (folder.path().join("repo"), folder.path().join("home"));
        fixture.copy_to(&repo);
        let text = home.to_string_lossy();
        let _ = backup(&repo, ["restore", "--target", &text]).done();
        let before = backup(&repo, ["list", "--json"]).done().json()["snapshots"].as_array().unwrap().clone();
        let _ = backup(&repo, ["create", "--home", &text, "--tag", "continued"]).done();
        let after = backup(&repo, ["list", "--json"]).done().json()["snapshots"].as_array().unwrap().clone();
        let (last, new) = (before.last().unwrap(), after.last().unwrap());
        assert_eq!(after[..before.len()], before[..]);
        assert_eq!(new["parent_id"], last["snapshot_id"]);
        for key in ["stats", "attachments", "page_count", "page_size"] {
            assert_eq!(new[key], last[key], "{} {key}", fixture.name);
        }
        let report = verify(&repo, ["--all", "--json"]).done().json();
        assert_eq!(report["verdict"], "intact", "{}", fixture.name);
        let again = folder.path().join("again");
        let _ = backup(&repo, ["restore", "--target", &again.to_string_lossy()]).done();
        let restored = |root: &Path| {
            hashes_and_modes(root).unwrap()[0].iter().find(|(path, _)| path == "msgvault.db").cloned()
        };
        assert_eq!(restored(&again), restored(&home), "{}", fixture.name);
    }
}
