//! Days of change in the life of an archive.

use super::*;

#[test]
fn the_same_days_make_the_same_change() {
    let days = [
        Churn { day: 1, ..Churn::default() },
        Churn { day: 2, shrink: 20, remove_attachments: 10, ..Churn::default() },
        Churn { day: 3, vacuum: true, ..Churn::default() },
    ];
    let mut one = Archive::make(&small());
    let mut same = Archive::make(&small());
    for day in &days {
        let before = one.digests();
        one.churn(day);
        same.churn(day);
        assert_eq!(one.digests(), same.digests());
        assert_ne!(one.digests(), before);
        one.assert_sound();
    }

    let mut other = Archive::make(&small());
    other.churn(&Churn { seed: 9, ..days[0].clone() });
    one = Archive::make(&small());
    one.churn(&days[0]);
    assert_ne!(one.digests().0, other.digests().0);
}

#[test]
fn deleted_mail_takes_its_files_and_vacuum_frees_the_pages() {
    let mut archive = Archive::make(&small());
    let before = archive.summary;
    archive.churn(&Churn { grow: 0, shrink: 60, ..Churn::default() });
    assert!(archive.summary.messages < before.messages / 2);
    assert!(archive.summary.attachment_files < before.attachment_files);
    assert!(archive.summary.page_count >= before.page_count, "deletions free pages inside the file only");
    assert!(archive.home().join("deletions/completed/day-00001.json").exists());
    archive.assert_sound();

    archive.churn(&Churn { day: 2, grow: 0, shrink: 0, vacuum: true, ..Churn::default() });
    assert!(archive.summary.page_count < before.page_count);
    archive.assert_sound();

    archive.churn(&Churn { day: 3, grow: 0, shrink: 0, remove_attachments: 100, ..Churn::default() });
    assert_eq!((archive.summary.attachment_rows, archive.summary.attachment_files), (0, 0));

    archive.churn(&Churn { day: 4, grow: 0, shrink: 100, ..Churn::default() });
    assert_eq!((archive.summary.messages, archive.summary.conversations), (0, 0));

    archive.churn(&Churn { day: 5, ..Churn::default() });
    assert_eq!(archive.summary.messages, 3);
    archive.assert_sound();
}

#[test]
fn a_rebuild_can_change_the_page_size() {
    let mut archive = Archive::make(&small());
    archive.churn(&Churn { page_size: Some(8192), ..Churn::default() });
    assert_eq!(archive.summary.page_size, 8192);
    archive.assert_sound();

    let error = churn(archive.home(), &Churn { page_size: Some(1000), ..Churn::default() }).unwrap_err();
    assert!(matches!(error, SampleError::PageSize(1000)));
}

#[test]
fn without_a_checkpoint_the_day_stays_in_the_wal() {
    let mut archive = Archive::make(&small());
    let before = archive.database_bytes();
    archive.churn(&Churn { checkpoint: false, ..Churn::default() });
    assert!(before == archive.database_bytes());
    assert!(fs::metadata(archive.home().join("msgvault.db-wal")).unwrap().len() > 0);

    let mut checkpointed = Archive::make(&small());
    checkpointed.churn(&Churn::default());
    assert_eq!(archive.summary, checkpointed.summary);
}

#[test]
fn churn_refuses_a_directory_without_an_archive() {
    let dir = TempDir::new().unwrap();
    assert!(matches!(churn(dir.path(), &Churn::default()).unwrap_err(), SampleError::NotAnArchive(_)));
}
