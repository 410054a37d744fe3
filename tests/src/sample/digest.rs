//! One hash over all rows of a database, one over all files of a directory: for comparing two archives.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rusqlite::{Connection, OpenFlags, types::ValueRef};
use sha2::{Digest, Sha256};

use super::{Result, SampleError};

/// SHA-256 in hex over every row of every table, including the tables behind the full-text index.
///
/// Two databases with equal digests have the same content, however their pages are arranged.
pub fn row_digest(database: &Path) -> Result<String> {
    let conn = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut tables = conn.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
         ORDER BY name",
    )?;
    let names = tables.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut hash = Sha256::new();
    for name in names {
        hash.update(name.as_bytes());
        // With a covering index, SQLite would read the rows in the order of that index.
        let mut statement = conn.prepare(&format!("SELECT * FROM \"{name}\" NOT INDEXED"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                hash_value(&mut hash, row.get_ref(column)?);
            }
        }
    }
    Ok(HEXLOWER.encode(&hash.finalize()))
}

/// SHA-256 in hex over the paths and contents of all files below a directory.
pub fn tree_digest(folder: &Path) -> Result<String> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    for path in files {
        let relative = path.strip_prefix(folder).unwrap_or(&path);
        hash.update(relative.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update(file_hash(&path)?);
    }
    Ok(HEXLOWER.encode(&hash.finalize()))
}

/// SHA-256 in hex over the bytes of a file.
pub fn file_digest(path: &Path) -> Result<String> {
    Ok(HEXLOWER.encode(&file_hash(path)?))
}

fn file_hash(path: &Path) -> Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut file = fs::File::open(path).map_err(SampleError::io(path))?;
    io::copy(&mut file, &mut HashWriter(&mut hash)).map_err(SampleError::io(path))?;
    Ok(hash.finalize().into())
}

fn hash_value(hash: &mut Sha256, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => hash.update([0]),
        ValueRef::Integer(n) => {
            hash.update([1]);
            hash.update(n.to_le_bytes());
        }
        ValueRef::Real(x) => {
            hash.update([2]);
            hash.update(x.to_le_bytes());
        }
        ValueRef::Text(bytes) => hash_bytes(hash, 3, bytes),
        ValueRef::Blob(bytes) => hash_bytes(hash, 4, bytes),
    }
}

fn hash_bytes(hash: &mut Sha256, kind: u8, bytes: &[u8]) {
    hash.update([kind]);
    hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
    hash.update(bytes);
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(SampleError::io(folder))? {
        let path = entry.map_err(SampleError::io(folder))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
