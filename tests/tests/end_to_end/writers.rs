//! Backups of an archive that other programs change all the time.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use msgvault_tests::programs::program;
use msgvault_tests::sample::Options;
use msgvault_tests::scene::Scene;

struct Writer {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Writer {
    /// Starts a writer and returns once it is writing.
    fn start(home: &Path, seed: u64) -> Self {
        let mut child = Command::new(program("restless-writer"))
            .arg(home)
            .arg(seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { child, output }
    }

    /// Stops the writer and returns the number of its transactions.
    fn end(mut self) -> u64 {
        drop(self.child.stdin.take());
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(self.child.wait().unwrap().success());
        line.trim().parse().unwrap()
    }
}

#[test]
fn a_create_leaves_no_log_next_to_an_unused_database() {
    let scene = Scene::new(&Options { size: 300 << 10, ..Options::default() });
    let log_files = || ["-wal", "-shm"].map(|end| scene.home().join(format!("msgvault.db{end}")).exists());
    let connection = rusqlite::Connection::open(scene.database()).unwrap();
    connection.execute_batch("UPDATE messages SET sent_at = sent_at").unwrap();
    assert_eq!(log_files(), [true, true], "it keeps a log");
    scene.create(&[]);
    assert_eq!(log_files(), [true, true], "somebody has it open");
    drop(connection);
    scene.create(&[]);
    assert_eq!(log_files(), [false, false]);
}

fn sum_and_soundness(database: &Path) -> (i64, String) {
    let connection = rusqlite::Connection::open(database).unwrap();
    let sum = connection.query_row("SELECT sum(balance) FROM ledger", [], |row| row.get(0)).unwrap();
    let sound = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    (sum, sound)
}

#[test]
fn every_snapshot_keeps_the_sum_that_every_transaction_keeps() {
    let scene = Scene::new(&Options { ledger: true, size: 2 << 20, ..Options::default() });
    let (sum, _) = sum_and_soundness(&scene.database());
    let writers: Vec<Writer> = (1..=3).map(|seed| Writer::start(&scene.home(), seed)).collect();
    let snapshots: Vec<String> = (0..20).map(|_| scene.create(&[])).collect();
    let transactions: Vec<u64> = writers.into_iter().map(Writer::end).collect();
    // SQLite does not take turns: one writer can have done nearly all the work.
    assert!(transactions.iter().sum::<u64>() > 60, "{transactions:?}");
    let mut attachments = Vec::new();
    for (number, snapshot) in snapshots.iter().enumerate() {
        let restored = scene.restore(snapshot, &format!("restored-{number}"));
        assert_eq!(sum_and_soundness(&restored.join("msgvault.db")), (sum, "ok".to_owned()), "{snapshot}");
        attachments.push(std::fs::read_dir(restored.join("attachments")).unwrap().count());
    }
    let report = scene.backup(&["verify", "--all", "--json"]).done().json();
    assert_eq!(report["verdict"], "intact");
    assert!(attachments.is_sorted(), "{attachments:?}");
}
