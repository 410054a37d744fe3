//! Snapshots disclose that the database holds texts derived from documents.

use msgvault_verifier::format::manifest::{DOCUMENT_DERIVATIVES, DocumentDerivatives};
use msgvault_verifier::inspect::{details, overview};

use super::archive::Archive;

#[test]
fn texts_of_documents_make_version_4_and_are_disclosed() {
    let archive = Archive::new();
    archive.write_messages(0..20);
    archive.attach_at(b"elsewhere", "synctech-sms/1/part.bin");
    archive.sql("CREATE TABLE document_chunks (id INTEGER PRIMARY KEY, text TEXT, char_count INTEGER)");
    let none = archive.create();
    assert_eq!((none.format_version, none.documents), (2, None));
    archive.sql("INSERT INTO document_chunks (text, char_count) VALUES ('a text', 6), ('more', 4)");
    let report = archive.create();
    let manifest = archive.check(&report).manifest;
    assert_eq!((report.format_version, manifest.format_version, manifest.min_reader_version), (4, 4, 4));
    assert_eq!(report.documents.map(|counts| (counts.chunks, counts.characters)), Some((2, 10)));

    let repository = archive.repository();
    let [item] = manifest.auxiliary() else { panic!("{manifest:?}") };
    let text = repository.blob(&item.blob, item.bytes).unwrap();
    let disclosure = DocumentDerivatives::parse(&text).unwrap();
    assert_eq!((&*item.name, item.bytes), (DOCUMENT_DERIVATIVES, text.len() as u64));
    assert_eq!((disclosure.counts["chunks"], disclosure.counts["profiles"]), (2, 0));
    let listed: Vec<bool> =
        overview(&repository).unwrap().snapshots.iter().map(|snapshot| snapshot.document_texts).collect();
    assert_eq!(listed, [false, true]);
    assert!(details(&repository, &manifest.snapshot_id).unwrap().summary.document_texts);

    archive.sql("DELETE FROM document_chunks");
    let gone = archive.create();
    assert_eq!(archive.check(&gone).manifest.format_version, 2);
}
