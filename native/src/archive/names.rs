//! What attachments are called.

use std::collections::BTreeMap;

use msgvault_verifier::format::id::BlobId;

use super::place::Place;
use super::schema::SchemaError;
use super::sql_text;
use super::tables::{Column, column};

/// How many names are told of one attachment.
const MOST: u32 = 3;

/// The first names of these contents, as the messages that bring them say; a content without a name is left out.
pub fn names_of<'a>(
    database: &Place,
    contents: impl IntoIterator<Item = &'a BlobId>,
) -> Result<BTreeMap<BlobId, Vec<String>>, SchemaError> {
    let connection = database.connect()?;
    let mut names = BTreeMap::new();
    if column(&connection, "attachments", "filename")? != Column::Stored {
        return Ok(names);
    }
    let mut statement = connection.prepare(
        "SELECT DISTINCT filename FROM attachments WHERE content_hash = ?1 AND filename <> '' ORDER BY id LIMIT ?2",
    )?;
    for id in contents {
        let found = statement
            .query_map((id.to_string(), MOST), |row| row.get_ref(0).map(sql_text::of))?
            .collect::<Result<Vec<String>, _>>()?;
        if !found.is_empty() {
            names.insert(*id, found);
        }
    }
    Ok(names)
}
