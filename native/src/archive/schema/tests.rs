use super::super::samples::{attach, database, hash, thumbnail};
use super::*;

fn archive() -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let connection = database(&dir.path().join("msgvault.db"), "delete");
    (dir, connection)
}

fn canonical(digits: &str) -> String {
    format!("{digits}/{}", hash(digits))
}

fn contents(recorded: &RecordedContents) -> Vec<RecordedContent> {
    recorded.contents.page(0).unwrap()
}

#[test]
fn contents_come_in_the_order_of_the_lists() {
    let (_dir, db) = archive();
    attach(&db, 1, (&hash("cc"), &canonical("cc")), Some(5));
    attach(&db, 2, (&hash("aa"), "z/last"), None);
    attach(&db, 3, (&hash("aa"), "a/first"), None);
    attach(&db, 4, (&hash("cc"), &canonical("cc")), Some(9));
    attach(&db, 5, (&hash("bb"), &canonical("bb")), Some(-3));
    thumbnail(&db, 5, (&hash("02"), &canonical("02")));
    thumbnail(&db, 1, (&hash("03"), &canonical("03")));
    thumbnail(&db, 2, (&hash("bb"), "thumbnail/of/b"));

    let found = recorded_contents(&db).unwrap();
    let told: Vec<_> = contents(&found)
        .iter()
        .map(|one| (one.id.to_string()[..2].to_owned(), one.path.clone(), one.size_hint))
        .collect();
    let expected = [
        ("cc", canonical("cc"), Some(9)),
        ("aa", "a/first".to_owned(), None),
        ("bb", canonical("bb"), None),
        ("03", canonical("03"), None),
        ("02", canonical("02"), None),
    ];
    assert_eq!(told, expected.map(|(id, path, size)| (id.to_owned(), path, size)));
    assert_eq!((found.rows, found.canonical), (5, false));
    assert_eq!(rows_of(&db, &contents(&found)[2].id).unwrap(), [2, 5]);
}

#[test]
fn only_rows_with_hash_and_local_path_hold_content() {
    let (_dir, db) = archive();
    for (id, (hash, path)) in
        [("no hash", ""), ("", "x"), ("web", "http://host/x"), ("web", "HtTpS://host/x"), ("web", "https://")]
            .into_iter()
            .enumerate()
    {
        attach(&db, i64::try_from(id).unwrap(), (hash, path), None);
    }
    db.execute_batch("INSERT INTO attachments (id) VALUES (50)").unwrap();
    let found = recorded_contents(&db).unwrap();
    assert_eq!((contents(&found), found.rows, found.canonical), (vec![], 6, true));
    assert_eq!(stats(&db).unwrap().attachment_blobs, 0);

    attach(&db, 60, (&hash("aa"), "http:/local"), None);
    let found = recorded_contents(&db).unwrap();
    assert_eq!((found.contents.len(), found.canonical), (1, false));
}

#[test]
fn one_thumbnail_elsewhere_is_not_canonical() {
    let (_dir, db) = archive();
    attach(&db, 1, (&hash("aa"), &canonical("aa")), None);
    thumbnail(&db, 1, (&hash("bb"), &canonical("bb")));
    assert!(recorded_contents(&db).unwrap().canonical);
    attach(&db, 2, (&hash("cc"), &canonical("cc")), None);
    thumbnail(&db, 2, (&hash("bb"), "t/b"));
    assert!(!recorded_contents(&db).unwrap().canonical);
}

#[test]
fn a_hash_that_is_none_names_its_row() {
    for bad in [hash("AA"), "ab".to_owned(), hash("zz"), format!("{} ", hash("aa"))] {
        let (_dir, db) = archive();
        attach(&db, 7, (&bad, "some/path"), None);
        let error = recorded_contents(&db).unwrap_err();
        assert!(matches!(error, SchemaError::BadHash { row: 7, .. }), "{error}");
    }
}

#[test]
fn stats_count_rows_distinct_hashes_and_dates() {
    let (_dir, db) = archive();
    assert_eq!(stats(&db).unwrap().date_range, ["", ""]);
    attach(&db, 1, (&hash("aa"), &canonical("aa")), None);
    attach(&db, 2, (&hash("aa"), &canonical("aa")), None);
    thumbnail(&db, 2, (&hash("aa"), &canonical("aa")));
    thumbnail(&db, 1, (&hash("bb"), &canonical("bb")));
    db.execute_batch(
        "INSERT INTO messages (sent_at) VALUES ('2026-01-02'), (NULL), ('2025-12-31T00:00:00Z');
         INSERT INTO conversations DEFAULT VALUES;
         INSERT INTO sources DEFAULT VALUES; INSERT INTO sources DEFAULT VALUES;
         INSERT INTO labels DEFAULT VALUES;",
    )
    .unwrap();
    let expected = ArchiveStats {
        messages: 3,
        conversations: 1,
        sources: 2,
        accounts: 0,
        attachment_rows: 2,
        attachment_blobs: 2,
        labels: 1,
        date_range: ["2025-12-31T00:00:00Z".to_owned(), "2026-01-02".to_owned()],
    };
    assert_eq!(stats(&db).unwrap(), expected);
}

#[test]
fn dates_of_every_type_are_spelled_as_text() {
    // Numbers sort before texts, and texts before bytes.
    let table = [
        ("NULL", ["", ""]),
        ("'2026-01-02', 1700000000, 99, NULL", ["99", "2026-01-02"]),
        ("1700000000.25, 99.0, -1.5", ["-1.5", "1700000000.25"]),
        ("1e300, 9e999", ["1.0e+300", "Inf"]),
        ("9223372036854775807, -9223372036854775808", ["-9223372036854775808", "9223372036854775807"]),
        ("'', '\u{fffd}'", ["", "\u{fffd}"]),
        ("'a', x'62'", ["a", "b"]),
        ("CAST(x'61ff' AS TEXT), x'ff62'", ["a\u{fffd}", "\u{fffd}b"]),
    ];
    for (dates, expected) in table {
        let (_dir, db) = archive();
        let rows = format!("INSERT INTO messages (sent_at) VALUES ({})", dates.replace(", ", "), ("));
        db.execute_batch(&rows).unwrap();
        assert_eq!(stats(&db).unwrap().date_range, expected, "{dates}");
    }
}

#[test]
fn hashes_and_paths_that_are_no_text_name_their_row() {
    let good = format!("'{}'", hash("aa"));
    let table = [
        ("CAST(x'ff' AS TEXT)", "'p'", "row 8 of attachments has the hash \"\u{fffd}\""),
        ("12345", "'p'", "row 8 of attachments has the hash \"12345\""),
        ("x'aa'", "'p'", "row 8 of attachments has the hash \"a value of type Blob\""),
        (&good, "CAST(x'61ff' AS TEXT)", "row 8 of attachments has the path \"a\u{fffd}\""),
        (&good, "x'61'", "row 8 of attachments has the path \"a value of type Blob\""),
    ];
    for (hash, path, expected) in table {
        for (hash_column, path_column) in
            [("content_hash", "storage_path"), ("thumbnail_hash", "thumbnail_path")]
        {
            let (_dir, db) = archive();
            let columns = format!("id, {hash_column}, {path_column}");
            db.execute_batch(&format!("INSERT INTO attachments ({columns}) VALUES (8, {hash}, {path})"))
                .unwrap();
            let captured = recorded_contents(&db).unwrap_err().to_string();
            assert!(captured.starts_with(expected), "{hash}, {path}: {captured}");
            let restored = recorded_paths::<SchemaError>(&db, |_, _| panic!("visited")).unwrap_err();
            assert_eq!(restored.to_string(), captured);
        }
    }
}

#[test]
fn recorded_paths_are_all_paths_of_all_rows() {
    let (_dir, db) = archive();
    attach(&db, 1, (&hash("bb"), &canonical("bb")), None);
    attach(&db, 2, (&hash("aa"), "x/./y"), None);
    attach(&db, 3, (&hash("aa"), &canonical("aa")), None);
    thumbnail(&db, 3, (&hash("bb"), "t"));
    attach(&db, 4, (&hash("aa"), "x/y"), None);
    let mut paths = Vec::new();
    recorded_paths::<SchemaError>(&db, |id, path| {
        paths.push((id.to_string()[..2].to_owned(), path.to_string()));
        Ok(())
    })
    .unwrap();
    let expected =
        [("aa", &*canonical("aa")), ("aa", "x/y"), ("aa", "x/y"), ("bb", &*canonical("bb")), ("bb", "t")];
    assert_eq!(paths, expected.map(|(id, path)| (id.to_owned(), path.to_owned())));
}

#[test]
fn unsafe_paths_are_refused_before_the_first_visit() {
    let table: [&[(&str, &str)]; 11] = [
        &[("aa", "../x")],
        &[("aa", "/x")],
        &[("aa", "x/É"), ("bb", "X/e\u{301}")],
        &[("aa", "aa/../x"), ("bb", "x")],
        // Another content's canonical place, in other letters.
        &[("aa", "AA/{bb}"), ("aa", "BB/{bb}"), ("bb", "bb/{bb}")],
        // A file and what is below it; "x y" and "x-y" sort between "x" and "x/y".
        &[("aa", "x/y"), ("aa", "x y"), ("aa", "x-y"), ("bb", "x")],
        &[("aa", "x/y/z"), ("aa", "x")],
        &[("aa", "x/y/z"), ("bb", "x/./y")],
        // Compared without case, too, whatever lies between the two when case counts.
        &[("aa", "É/y"), ("bb", "e\u{301}")],
        &[("aa", "XY"), ("bb", "xy/z")],
        &[("aa", "ns/a"), ("bb", "ns/A/b"), ("cc", "ns/a/c")],
    ];
    for rows in table {
        let (_dir, db) = archive();
        attach(&db, 100, (&hash("00"), &canonical("00")), None);
        for (id, (digits, path)) in rows.iter().enumerate() {
            let path = path.replace("{bb}", &hash("bb"));
            attach(&db, i64::try_from(id).unwrap(), (&hash(digits), &path), None);
        }
        let visited = recorded_paths::<SchemaError>(&db, |_, _| panic!("visited"));
        assert!(visited.is_err(), "{rows:?}");
    }
}

#[test]
fn paths_that_only_begin_alike_are_no_clash() {
    let (_dir, db) = archive();
    let rows = [("aa", "x/y"), ("aa", "X/y"), ("bb", "x/y2"), ("cc", "x/y-/z"), ("00", "x-"), ("01", "xy/z")];
    for (id, (digits, path)) in (0..).zip(rows) {
        attach(&db, id, (&hash(digits), path), None);
    }
    let mut visits = 0;
    recorded_paths::<SchemaError>(&db, |_, _| {
        visits += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(visits, rows.len());
}

#[test]
fn a_database_without_the_tables_is_no_archive() {
    let (_dir, db) = archive();
    check_tables(&db).unwrap();
    db.execute_batch("DROP TABLE labels; DROP TABLE sources").unwrap();
    let error = check_tables(&db).unwrap_err().to_string();
    assert!(error.contains("sources, labels"), "{error}");
}

#[test]
fn a_missing_column_is_named() {
    let (_dir, db) = archive();
    check_tables(&db).unwrap();
    db.execute_batch(
        "ALTER TABLE attachments DROP COLUMN thumbnail_path; ALTER TABLE messages RENAME COLUMN sent_at TO x",
    )
    .unwrap();
    let refused = check_tables(&db).unwrap_err().to_string();
    assert!(refused.contains("messages.sent_at, attachments.thumbnail_path"), "{refused}");
}
