//! Which tables and columns a database has.

use rusqlite::Connection;

use super::schema::SchemaError;

/// Whether there is a table.
pub(super) fn has_table(connection: &Connection, table: &str) -> Result<bool, SchemaError> {
    let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND lower(name) = ?1";
    Ok(connection.prepare_cached(sql)?.exists([table])?)
}

/// Whether a table has a column.
///
/// Fails when it is computed: reading such a column runs what the schema says, which can take for ever.
pub(super) fn has_column(connection: &Connection, table: &str, column: &str) -> Result<bool, SchemaError> {
    let computed = "SELECT 1 FROM pragma_table_xinfo(?1) WHERE lower(name) = ?2 AND hidden IN (2, 3)";
    if connection.prepare_cached(computed)?.exists([table, column])? {
        return Err(SchemaError::Computed { column: format!("{table}.{column}") });
    }
    let sql = "SELECT 1 FROM pragma_table_xinfo(?1) WHERE lower(name) = ?2";
    Ok(connection.prepare_cached(sql)?.exists([table, column])?)
}
