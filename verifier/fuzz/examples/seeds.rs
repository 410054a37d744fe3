//! Writes what the fixtures are made of, as the inputs that every target begins with: `seeds FIXTURES
//! CORPUS`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use msgvault_verifier::format::blob::MAX_RAW_LEN;
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::lock::LockRecord;
use msgvault_verifier::format::pack::{self, Encoding};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::{DirectoryStore, MemoryStore};
use msgvault_verifier::{Pack, Ruzstd, store::Store};

/// Longer inputs only slow a fuzzer down.
const MAX_LEN: usize = 64 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [fixtures, corpus] = folders.as_slice() else { return Err("usage: seeds FIXTURES CORPUS".into()) };
    for fixture in fs::read_dir(fixtures)? {
        // Beside the fixtures lie files that tell of them.
        let folder = fixture?.path().join("repo");
        if !folder.is_dir() {
            continue;
        }
        let mut store = MemoryStore::default();
        store.copy_from(&DirectoryStore::new(folder), "")?;
        write_files(corpus, &store)?;
        write_objects(corpus, &Repository::open(store, Ruzstd)?)?;
    }
    let (hostname, operation) = ("host".to_owned(), "create".to_owned());
    let record = LockRecord { hostname, pid: 7, operation, acquired_at: "2026-11-23T13:35:58Z".to_owned() };
    write(corpus, "lock", record.encode().as_bytes())?;
    write(corpus, "lock", b"exclusive.json")?;
    let hint = r#"{"version":1,"packs":{"01m849xq5xmd1argfq15a966cj":"2026-11-23T13:35:58.012Z"},"failed":{},
        "snapshots":{},"runs":[{"at":"2026-11-23T13:35:58Z","packs":1,"bytes":16114}]}"#;
    write(corpus, "verified", hint.as_bytes())?;
    // No change, and one of each kind.
    write(corpus, "repository", b"")?;
    (0..6).try_for_each(|kind| write(corpus, "repository", &[kind, 3, 5, 9, 0, 1, 1, 0]))?;
    write(corpus, "forged", b"")?;
    (0..8).try_for_each(|object| write(corpus, "forged", &[object, 0, 3, 2, 1, 0, 0, 0]))?;
    // A fuzzer begins with inputs as long as the longest.
    write(corpus, "forged", &[7; 64])
}

fn write_files(corpus: &Path, store: &MemoryStore) -> Result<(), Box<dyn Error>> {
    for path in store.paths() {
        let bytes = store.file(path).unwrap_or_default();
        match Path::new(path).extension().and_then(|extension| extension.to_str()) {
            Some("toml") => write(corpus, "config", bytes)?,
            Some("mvmanifest") => write(corpus, "manifest", bytes)?,
            Some("mvidx") => write_sealed(corpus, "index", bytes)?,
            Some("mvpack") => write_pack(corpus, store, path)?,
            _ => {}
        }
    }
    Ok(())
}

fn write_pack(corpus: &Path, store: &MemoryStore, path: &str) -> Result<(), Box<dyn Error>> {
    let bytes = store.file(path).unwrap_or_default();
    write(corpus, "pack", bytes)?;
    let pack = Pack::new(store.open(path)?, &Ruzstd)?;
    let footer = pack::encode_footer(pack.entries());
    write(corpus, "pack_footer", footer.split_last_chunk::<40>().ok_or("a footer without a trailer")?.0)?;
    for entry in pack.entries().iter().filter(|entry| entry.encoding == Encoding::Zstd) {
        let (start, len) = (usize::try_from(entry.offset)?, usize::try_from(entry.stored_len)?);
        let frame = bytes.get(start..start + len).ok_or("a frame outside of its pack")?;
        let input = [&u32::try_from(entry.raw_len)?.to_le_bytes(), frame].concat();
        write(corpus, "zstd_frame", &input)?;
        write(corpus, "decoders", &input)?;
    }
    Ok(())
}

fn write_objects(corpus: &Path, repository: &Repository) -> Result<(), Box<dyn Error>> {
    let read = |blob: &BlobId| repository.blob(blob, MAX_RAW_LEN);
    for id in repository.listing()?.snapshots {
        let manifest = repository.manifest(&id)?;
        if let Some(blob) = &manifest.db.page_map {
            write_sealed(corpus, "page_map", &read(blob)?)?;
        }
        if let Some(blob) = &manifest.db.page_hash_map {
            write_sealed(corpus, "page_hash", &read(blob)?)?;
        }
        for blob in manifest.lists() {
            write_sealed(corpus, "attachment_list", &read(blob)?)?;
        }
        if let Some(blob) = &manifest.extras.tree {
            write(corpus, "extras", &read(blob)?)?;
        }
    }
    Ok(())
}

/// An object as it is, and without its checksum, which the target puts back.
fn write_sealed(corpus: &Path, target: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    write(corpus, target, bytes)?;
    write(corpus, target, bytes.split_last_chunk::<32>().ok_or("an object without a checksum")?.0)
}

fn write(corpus: &Path, target: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    if bytes.len() > MAX_LEN {
        return Ok(());
    }
    let folder = corpus.join(target);
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(BlobId::of(bytes).to_string()), bytes)?)
}
