//! Which tables and columns a database has.

use rusqlite::{Connection, Result};

/// What a table has of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Missing,
    /// Its values are in the rows.
    Stored,
    /// Reading it runs what the schema says, which can take for ever.
    Computed,
}

/// Whether there is a table.
pub(super) fn has_table(connection: &Connection, table: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND lower(name) = ?1";
    connection.prepare_cached(sql)?.exists([table])
}

/// What a table, if it is there, has of a column.
pub(super) fn column(connection: &Connection, table: &str, column: &str) -> Result<Column> {
    let sql = "SELECT MAX(hidden IN (2, 3)) FROM pragma_table_xinfo(?1) WHERE lower(name) = ?2";
    let computed: Option<bool> =
        connection.prepare_cached(sql)?.query_row([table, column], |row| row.get(0))?;
    Ok(match computed {
        None => Column::Missing,
        Some(false) => Column::Stored,
        Some(true) => Column::Computed,
    })
}
