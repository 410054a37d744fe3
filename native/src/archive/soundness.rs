//! Whether SQLite finds a database sound.

use rusqlite::{Connection, ErrorCode};

/// How many findings are told.
const FINDINGS: usize = 3;

/// How deep SQLite looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Every page, and what is in it.
    Quick,
    /// Also whether every index agrees with its table.
    Full,
}

/// What is wrong with a database, the first few findings; nothing when it is sound.
pub fn findings(database: &Connection, check: Check) -> rusqlite::Result<Vec<String>> {
    let pragma = match check {
        Check::Quick => "quick_check",
        Check::Full => "integrity_check",
    };
    let mut statement = database.prepare(&format!("PRAGMA {pragma}({FINDINGS})"))?;
    let mut found = Vec::new();
    for finding in statement.query_map([], |row| row.get::<_, String>(0))? {
        match finding {
            Ok(sound) if sound == "ok" => {}
            Ok(finding) => found.push(finding),
            // Damage that ends the check is a finding too.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                found.push(error.to_string());
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
