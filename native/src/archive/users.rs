//! Who uses an attachment, in words that lead a person to the message.

use msgvault_verifier::format::id::BlobId;
use rusqlite::{Connection, Row};
use serde::Serialize;

use super::schema::{self, SchemaError};
use super::sql_text;

/// How many are told of one attachment.
const MOST: usize = 10;

/// A row of `attachments`, and the message that it belongs to as far as the archive tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttachmentUser {
    /// Its `id`.
    pub row: i64,
    /// The `id` of the message.
    pub message: Option<i64>,
    /// The message's subject.
    pub subject: Option<String>,
    /// When it was sent, as the archive writes it.
    pub date: Option<String>,
    /// The account that it came from.
    pub account: Option<String>,
}

/// The first rows that use a content.
pub fn of(connection: &Connection, id: &BlobId) -> Result<Vec<AttachmentUser>, SchemaError> {
    let rows = schema::rows_of(connection, id, MOST)?;
    Ok(rows.into_iter().map(|row| user(connection, row)).collect())
}

/// The texts for a message: `row 7` or `rows 7, 9`, and the first message that is known.
pub fn text(users: &[AttachmentUser]) -> String {
    let names: Vec<String> = users.iter().map(|user| user.row.to_string()).collect();
    let rows = match names.as_slice() {
        [] => return "no row any more".to_owned(),
        [one] => format!("row {one}"),
        several => format!("rows {}", several.join(", ")),
    };
    users.iter().find_map(message_text).map_or_else(|| rows.clone(), |message| format!("{rows} ({message})"))
}

fn message_text(user: &AttachmentUser) -> Option<String> {
    let known = |text: &Option<String>| {
        let text = text.as_deref().filter(|text| !text.is_empty())?;
        Some(text.chars().take(80).collect::<String>())
    };
    let words = [
        Some(format!("message {}", user.message?)),
        known(&user.subject).map(|subject| format!("{subject:?}")),
        known(&user.date).map(|date| format!("of {date}")),
        known(&user.account).map(|account| format!("in {account}")),
    ];
    Some(words.into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// Not every archive has these columns; without them the row is still worth having.
fn user(connection: &Connection, row: i64) -> AttachmentUser {
    let sql = "SELECT m.id, m.subject, m.sent_at, s.identifier FROM attachments AS a
               JOIN messages AS m ON m.id = a.message_id LEFT JOIN sources AS s ON s.id = m.source_id
               WHERE a.id = ?1";
    let read = |found: &Row<'_>| {
        let text = |column: usize| found.get_ref(column).map(sql_text::of);
        Ok(AttachmentUser {
            row,
            message: found.get(0)?,
            subject: Some(text(1)?),
            date: Some(text(2)?),
            account: Some(text(3)?),
        })
    };
    let nothing = AttachmentUser { row, message: None, subject: None, date: None, account: None };
    connection.query_row(sql, [row], read).unwrap_or(nothing)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{attach, database, hash};
    use super::*;

    #[test]
    fn a_user_is_told_with_its_message_where_the_archive_knows_it() {
        let folder = tempfile::tempdir().unwrap();
        let db = database(&folder.path().join("msgvault.db"), "wal");
        let id: BlobId = hash("ab").parse().unwrap();
        for row in [7, 9] {
            attach(&db, row, (&hash("ab"), "x/y"), None);
        }
        assert_eq!(text(&of(&db, &id).unwrap()), "rows 7, 9");
        db.execute_batch(
            "ALTER TABLE attachments ADD COLUMN message_id INTEGER; ALTER TABLE messages ADD COLUMN subject TEXT;
             ALTER TABLE messages ADD COLUMN source_id INTEGER; ALTER TABLE sources ADD COLUMN identifier TEXT;
             INSERT INTO sources (id, identifier) VALUES (1, 'me@example.org');
             INSERT INTO messages (id, sent_at, subject, source_id) VALUES (3, '2026-01-02', 'An \"old\" one', 1);
             UPDATE attachments SET message_id = 3 WHERE id = 9;",
        )
        .unwrap();
        let users = of(&db, &id).unwrap();
        assert_eq!((users[0].message, users[1].message), (None, Some(3)));
        let told = "rows 7, 9 (message 3 \"An \\\"old\\\" one\" of 2026-01-02 in me@example.org)";
        assert_eq!(text(&users), told);
    }
}
