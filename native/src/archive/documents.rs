//! What an archive discloses about the texts in it that are derived from documents.

use msgvault_verifier::format::manifest::DocumentCounts;
use msgvault_verifier::length::to_unsigned;
use rusqlite::Connection;

use super::schema::{SchemaError, has_column};
use super::tables::has_table;

/// The counts of the texts and of what they were made with; none when there are none.
pub(super) fn counts(connection: &Connection) -> Result<Option<DocumentCounts>, SchemaError> {
    let rows = |table: &str| {
        if !has_table(connection, table)? {
            return Ok(0);
        }
        count(connection, &format!("SELECT COUNT(*) FROM {table}"))
    };
    let chunks = rows("document_chunks")?;
    if chunks == 0 {
        return Ok(None);
    }
    let characters = if has_column(connection, "document_chunks", "char_count")? {
        // Unlike SUM, it does not fail where the sum is too large to be true.
        count(connection, "SELECT CAST(TOTAL(char_count) AS INTEGER) FROM document_chunks")?
    } else {
        0
    };
    let profiles = "document_extraction_profiles";
    let enabled_profiles =
        if has_column(connection, profiles, "enabled")? && has_column(connection, profiles, "retired_at")? {
            let enabled = "enabled = TRUE AND retired_at IS NULL";
            count(connection, &format!("SELECT COUNT(*) FROM {profiles} WHERE {enabled}"))?
        } else {
            0
        };
    let (profiles, extractions) = (rows(profiles)?, rows("document_extractions")?);
    Ok(Some(DocumentCounts {
        chunks,
        characters,
        profiles,
        enabled_profiles,
        // The Go program restores no snapshot whose counts contradict each other.
        consented_profiles: rows("document_provider_consents")?.min(profiles),
        extractions,
        current_heads: rows("document_extraction_heads")?.min(extractions),
    }))
}

/// A negative number is none.
fn count(connection: &Connection, sql: &str) -> Result<u64, SchemaError> {
    let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(to_unsigned(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: &str = "
        CREATE TABLE document_chunks (id INTEGER PRIMARY KEY, text TEXT, char_count INTEGER);
        CREATE TABLE document_extraction_profiles (id TEXT, enabled BOOLEAN, retired_at TEXT);
        CREATE TABLE document_provider_consents (profile_id TEXT);
        CREATE TABLE document_extractions (id TEXT);
        CREATE TABLE document_extraction_heads (extraction_id TEXT);";
    const ROWS: &str = "
        INSERT INTO document_chunks (text, char_count) VALUES ('four', 4), ('of', 2), ('?', NULL);
        INSERT INTO document_extraction_profiles VALUES ('a', TRUE, NULL), ('b', FALSE, NULL), ('c', 1, '2026');
        INSERT INTO document_provider_consents VALUES ('a');
        INSERT INTO document_extractions VALUES ('x'), ('y');
        INSERT INTO document_extraction_heads VALUES ('y');";

    fn counts_of(sql: &[&str]) -> Result<Option<DocumentCounts>, SchemaError> {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(&sql.concat()).unwrap();
        counts(&connection)
    }

    #[test]
    fn texts_of_documents_are_counted_with_what_made_them() {
        assert_eq!(counts_of(&[]).unwrap(), None);
        assert_eq!(counts_of(&[TABLES]).unwrap(), None);
        let all = DocumentCounts {
            chunks: 3,
            characters: 6,
            profiles: 3,
            enabled_profiles: 1,
            consented_profiles: 1,
            extractions: 2,
            current_heads: 1,
        };
        assert_eq!(counts_of(&[TABLES, ROWS]).unwrap(), Some(all));
        let alone = "CREATE TABLE Document_Chunks (body); INSERT INTO Document_Chunks VALUES (1), (2);";
        let chunks = DocumentCounts { chunks: 2, ..DocumentCounts::default() };
        assert_eq!(counts_of(&[alone]).unwrap(), Some(chunks));
    }

    #[test]
    fn odd_values_give_counts_that_every_reader_takes() {
        let odd = "
            UPDATE document_chunks SET char_count = 9223372036854775807;
            DELETE FROM document_extraction_profiles WHERE id <> 'a';
            INSERT INTO document_provider_consents VALUES ('a'), ('b');
            DELETE FROM document_extractions;";
        let found = counts_of(&[TABLES, ROWS, odd]).unwrap().unwrap();
        assert_eq!((found.characters, found.consented_profiles), (i64::MAX.unsigned_abs(), 1));
        assert_eq!((found.extractions, found.current_heads), (0, 0));
        let negative =
            counts_of(&[TABLES, ROWS, "UPDATE document_chunks SET char_count = -5"]).unwrap().unwrap();
        assert_eq!(negative.characters, 0);
    }

    #[test]
    fn a_computed_column_is_refused_and_not_read() {
        let endless = "CREATE TABLE document_chunks (a, char_count AS (length(zeroblob(a))));
            INSERT INTO document_chunks VALUES (1)";
        let refused = counts_of(&[endless]).unwrap_err();
        assert!(
            matches!(refused, SchemaError::Computed { column } if column == "document_chunks.char_count")
        );
    }
}
