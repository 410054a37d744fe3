use std::fs;
use std::path::PathBuf;

use msgvault_verifier::format::pack;
use msgvault_verifier::length::to_u64;
use tempfile::TempDir;

use super::super::samples::{attach, database};
use super::*;

/// An archive home with one row for `content`, recorded at `path`, and nothing stored yet.
struct ContentArchive {
    home: TempDir,
    db: Connection,
    content: Vec<u8>,
    recorded: RecordedContent,
}

impl ContentArchive {
    fn new(content: &[u8], path: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let db = database(&home.path().join("msgvault.db"), "wal");
        let id = BlobId::of(content);
        let path = path.replace("{canonical}", &content_table::canonical_path(&id));
        attach(&db, 7, (&id.to_string(), &path), None);
        attach(&db, 9, (&id.to_string(), &path), None);
        fs::create_dir(home.path().join("attachments")).unwrap();
        let recorded = RecordedContent { id, path, size_hint: None };
        Self { home, db, content: content.to_owned(), recorded }
    }

    fn open(&self) -> Contents {
        let database = Place::live(&self.home.path().join("msgvault.db"));
        Contents::open(&self.home.path().join("attachments"), &database).unwrap()
    }

    fn read(&self) -> Result<Vec<u8>, ContentError> {
        let mut content = self.open().read(&self.recorded)?;
        let mut bytes = Vec::new();
        content.reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(content.len, to_u64(bytes.len()));
        Ok(bytes)
    }

    fn fault(&self) -> ContentFault {
        let error = self.read().unwrap_err();
        assert!(error.to_string().contains("used by rows 7, 9"), "{error}");
        assert!(error.to_string().contains(&self.recorded.id.to_string()), "{error}");
        error.fault
    }

    fn file(&self, path: &str) -> PathBuf {
        let file = self.home.path().join("attachments").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        file
    }

    fn create_tables(&self) {
        self.db
            .execute_batch(
                "CREATE TABLE attachment_pack_index (blob_hash TEXT PRIMARY KEY, pack_id TEXT,
                    pack_offset INTEGER, stored_len INTEGER, raw_len INTEGER, flags INTEGER, crc32c INTEGER);
                 CREATE TABLE attachment_packs (pack_id TEXT PRIMARY KEY, entry_count INTEGER,
                    stored_bytes INTEGER, created_at TEXT);",
            )
            .unwrap();
    }

    /// Packs the content behind another one and enters it into the tables. Returns the pack's file.
    fn pack(&self, encoding: Encoding) -> PathBuf {
        let id = PackId::from_parts(1_700_000_000_000, 5);
        let stored = match encoding {
            Encoding::Raw => self.content.clone(),
            Encoding::Zstd => zstd::bulk::compress(&self.content, 3).unwrap(),
        };
        let other = PackEntry {
            id: BlobId::of(b"other"),
            offset: pack::HEADER_LEN,
            stored_len: 5,
            raw_len: 5,
            encoding: Encoding::Raw,
            crc32c: crc32c::crc32c(b"other"),
        };
        let entry = PackEntry {
            id: self.recorded.id,
            offset: pack::HEADER_LEN + 5,
            stored_len: to_u64(stored.len()),
            raw_len: to_u64(self.content.len()),
            encoding,
            crc32c: crc32c::crc32c(&stored),
        };
        let file = self.file(&id.path());
        let bytes = [&pack::HEADER[..], b"other", &stored, &pack::encode_footer(&[other, entry])].concat();
        fs::write(&file, bytes).unwrap();
        let sql = "INSERT INTO attachment_pack_index VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let number = |number: u64| i64::try_from(number).unwrap();
        let row = (
            entry.id.to_string(),
            id.to_string(),
            number(entry.offset),
            number(entry.stored_len),
            number(entry.raw_len),
            entry.encoding.flags(),
            entry.crc32c,
        );
        self.db.execute(sql, row).unwrap();
        file
    }
}

#[test]
fn a_loose_file_is_read_at_its_canonical_place_first() {
    let archive = ContentArchive::new(b"hello", "mail/one.bin");
    fs::write(archive.file("mail/one.bin"), "recorded").unwrap();
    assert_eq!(archive.read().unwrap(), b"recorded");
    fs::write(archive.file(&content_table::canonical_path(&archive.recorded.id)), "canonical").unwrap();
    assert_eq!(archive.read().unwrap(), b"canonical");
}

#[test]
fn a_compressed_loose_file_is_read_in_place_of_a_plain_one() {
    let content = b"words that compress well ".repeat(400);
    let archive = ContentArchive::new(&content, "mail/one.bin");
    let canonical = content_table::canonical_path(&archive.recorded.id);
    let packed = |len: usize| {
        let header = [&b"KPLZ\x01\0\0\0"[..], &to_u64(len).to_le_bytes()].concat();
        [header, zstd::bulk::compress(&content, 3).unwrap()].concat()
    };
    for path in ["mail/one.bin.zst".to_owned(), format!("{canonical}.zst")] {
        fs::write(archive.file(&path), packed(content.len())).unwrap();
        assert_eq!(archive.read().unwrap(), content, "{path}");
        fs::write(archive.file(&path), b"KPLZ\x02").unwrap();
        assert!(archive.fault().to_string().contains("not a compressed attachment"), "{path}");
        fs::remove_file(archive.file(&path)).unwrap();
    }
    fs::write(archive.file(&format!("{canonical}.zst")), "older").unwrap();
    fs::write(archive.file(&canonical), "plain").unwrap();
    assert_eq!(archive.read().unwrap(), b"plain");
}

#[test]
fn a_packed_content_is_found_first() {
    let large = b"words that compress well ".repeat(400_000);
    assert!(to_u64(large.len()) > IN_MEMORY);
    for content in [&b"small"[..], b"", &large] {
        for encoding in [Encoding::Raw, Encoding::Zstd] {
            let archive = ContentArchive::new(content, "{canonical}");
            archive.create_tables();
            archive.pack(encoding);
            fs::write(archive.file(&archive.recorded.path), "older").unwrap();
            assert!(archive.read().unwrap() == content, "{} bytes, {encoding:?}", content.len());
        }
    }
}

#[test]
fn what_maintenance_moves_meanwhile_is_found_at_the_second_look() {
    let archive = ContentArchive::new(b"hello", "{canonical}");
    let contents = archive.open();
    // Neither packed nor loose at the first look: it is packed in between.
    assert!(contents.search(&archive.recorded).unwrap().is_none());
    archive.create_tables();
    let pack = archive.pack(Encoding::Raw);
    assert_eq!(contents.read(&archive.recorded).unwrap().len, 5);
    // And taken out again, with the row of the tables still there.
    fs::remove_file(pack).unwrap();
    fs::write(archive.file(&archive.recorded.path), "hello").unwrap();
    assert_eq!(contents.read(&archive.recorded).unwrap().len, 5);
}

#[test]
fn what_is_gone_names_hash_path_and_rows() {
    let archive = ContentArchive::new(b"hello", "mail/one.bin");
    assert!(matches!(archive.fault(), ContentFault::Missing));
    fs::remove_dir(archive.home.path().join("attachments")).unwrap();
    assert!(matches!(archive.fault(), ContentFault::Missing));

    let changed = archive.open().changed(&archive.recorded, BlobId::of(b"x"));
    assert!(matches!(changed.fault, ContentFault::Changed { .. }));
    assert_eq!(changed.users.iter().map(|user| user.row).collect::<Vec<_>>(), [7, 9]);
}

#[test]
fn a_pack_that_is_gone_is_named() {
    let archive = ContentArchive::new(b"hello", "{canonical}");
    archive.create_tables();
    fs::remove_file(archive.pack(Encoding::Raw)).unwrap();
    let ContentFault::MissingPack { pack } = archive.fault() else { panic!("its pack is gone") };
    assert_eq!(pack, PackId::from_parts(1_700_000_000_000, 5));
}

#[test]
fn a_path_never_leads_out_of_the_attachments() {
    for path in ["../secret", "/etc/passwd", "a/../../secret"] {
        let archive = ContentArchive::new(b"hello", path);
        assert!(matches!(archive.fault(), ContentFault::UnsafePath(_)), "{path}");
    }
    let archive = ContentArchive::new(b"hello", "mail/one.bin");
    fs::write(archive.home.path().join("secret"), "x").unwrap();
    std::os::unix::fs::symlink(archive.home.path().join("secret"), archive.file("mail/one.bin")).unwrap();
    assert!(matches!(archive.fault(), ContentFault::Unreadable(_)));
    fs::remove_file(archive.file("mail/one.bin")).unwrap();
    fs::create_dir(archive.file("mail/one.bin")).unwrap();
    assert!(matches!(archive.fault(), ContentFault::Unreadable(_)));
}

#[test]
fn every_flipped_bit_of_a_packed_content_is_noticed() {
    let archive = ContentArchive::new(b"hello", "{canonical}");
    archive.create_tables();
    let file = archive.pack(Encoding::Raw);
    let good = fs::read(&file).unwrap();
    for byte in (0..good.len()).filter(|byte| !(6..11).contains(byte)) {
        let mut bad = good.clone();
        bad[byte] ^= 0x10;
        fs::write(&file, bad).unwrap();
        let fault = archive.fault();
        assert!(
            matches!(fault, ContentFault::Pack { .. } | ContentFault::Frame { .. }),
            "byte {byte}: {fault}"
        );
    }
}

#[test]
fn tables_that_disagree_with_the_pack_are_not_believed() {
    let table = [
        ("UPDATE attachment_pack_index SET pack_offset = 6", "Disagrees"),
        ("UPDATE attachment_pack_index SET stored_len = 4", "Disagrees"),
        ("UPDATE attachment_pack_index SET raw_len = 6", "Disagrees"),
        ("UPDATE attachment_pack_index SET flags = 1", "Disagrees"),
        ("UPDATE attachment_pack_index SET crc32c = 1", "Disagrees"),
        ("UPDATE attachment_pack_index SET crc32c = -1", "Index"),
        ("UPDATE attachment_pack_index SET pack_id = '../x'", "Index"),
        ("UPDATE attachment_pack_index SET pack_offset = NULL", "Index"),
        ("DROP TABLE attachment_packs", "Index"),
    ];
    for (damage, expected) in table {
        let archive = ContentArchive::new(b"hello", "{canonical}");
        archive.create_tables();
        archive.pack(Encoding::Raw);
        archive.db.execute_batch(damage).unwrap();
        let fault = archive.fault();
        let matches = match expected {
            "Disagrees" => matches!(fault, ContentFault::Disagrees { .. }),
            _ => matches!(fault, ContentFault::Index(_)),
        };
        assert!(matches, "{damage}: {fault}");
    }
}

#[test]
fn emptied_tables_name_no_pack() {
    let mut archive = ContentArchive::new(b"hello", "{canonical}");
    assert!(!pack_index::names_packs(&archive.db).unwrap());
    archive.create_tables();
    assert!(!pack_index::names_packs(&archive.db).unwrap());
    archive.pack(Encoding::Raw);
    assert!(pack_index::names_packs(&archive.db).unwrap());
    pack_index::empty(&mut archive.db).unwrap();
    assert!(!pack_index::names_packs(&archive.db).unwrap());
    assert!(matches!(archive.fault(), ContentFault::Missing));
}
