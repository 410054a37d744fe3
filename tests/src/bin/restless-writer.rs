//! Changes an archive all the time, as other programs do, until its standard input ends.
//!
//! `restless-writer HOME SEED`: transfers between the accounts of the ledger, whose sum stays the same, and
//! adds attachments. It knows nothing of locks or freezes, keeps its WAL small, and checkpoints all the time.
//! It prints `ready` when it begins and the number of its transactions when it ends.

use std::error::Error;
use std::io::{Read, stdin};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use msgvault_verifier::format::id::BlobId;
use rusqlite::{Connection, TransactionBehavior};

/// The number of transactions from one attachment to the next, so that the archive does not grow without
/// bound.
const ATTACHMENT_EVERY: u64 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(home), Some(seed)) = (arguments.next(), arguments.next()) else {
        return Err("usage: restless-writer HOME SEED".into());
    };
    let seed: u64 = seed.parse()?;
    let ended = Arc::new(AtomicBool::new(false));
    let watched = Arc::clone(&ended);
    std::thread::spawn(move || {
        let _ = stdin().read_to_end(&mut Vec::new());
        watched.store(true, Ordering::Relaxed);
    });
    let mut connection = Connection::open(Path::new(&home).join("msgvault.db"))?;
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.pragma_update(None, "wal_autocheckpoint", 20)?;
    connection.pragma_update(None, "synchronous", "off")?;
    println!("ready");
    let mut number = 0;
    while !ended.load(Ordering::Relaxed) {
        number += 1;
        change(&mut connection, Path::new(&home), seed, number)?;
    }
    println!("{number}");
    Ok(())
}

fn change(connection: &mut Connection, home: &Path, seed: u64, number: u64) -> Result<(), Box<dyn Error>> {
    let mixed = (seed << 32 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15).cast_signed();
    let (from, to, amount) = (mixed & 0x7f, mixed >> 14 & 0x3f, mixed >> 24 & 0x1f);
    let content = format!("attachment {number} of writer {seed}\n").repeat(20);
    let id = BlobId::of(content.as_bytes()).to_string();
    let path = format!("{}/{id}", &id[..2]);
    if number.is_multiple_of(ATTACHMENT_EVERY) {
        // The file comes before the row that names it.
        let file = home.join("attachments").join(&path);
        std::fs::create_dir_all(file.parent().ok_or("no folder")?)?;
        std::fs::write(file, &content)?;
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let accounts: i64 = transaction.query_row("SELECT count(*) FROM ledger", [], |row| row.get(0))?;
    let transfer = "UPDATE ledger SET balance = balance + ?2 WHERE account =
        (SELECT account FROM ledger ORDER BY account LIMIT 1 OFFSET ?1)";
    transaction.execute(transfer, (from % accounts, -amount))?;
    transaction.execute(transfer, (to % accounts, amount))?;
    if number.is_multiple_of(ATTACHMENT_EVERY) {
        transaction.execute(
            "INSERT INTO attachments (message_id, content_hash, storage_path, size)
             SELECT min(id), ?1, ?2, ?3 FROM messages",
            (&id, &path, i64::try_from(content.len())?),
        )?;
    }
    transaction.commit()?;
    Ok(())
}
