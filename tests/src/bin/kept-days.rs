//! Measures a repository that forgets: a snapshot every day, of which 7 daily, 8 weekly, 24 monthly and 10 yearly ones
//! stay, and a prune every week. At the end it is compared with a repository that was made of nothing but the snapshots
//! that stayed, and with one that holds the newest alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser;
use jiff::SignedDuration;
use msgvault::decompress::Zstd;
use msgvault::home::Dense;
use msgvault::prune::{MaxUnused, PruneRequest, prune};
use msgvault::retention::rules::KeepRules;
use msgvault::retention::{ForgetRequest, What, forget};
use msgvault_cli::check_all;
use msgvault_tests::passing_days::{Measured, PassingDays};
use msgvault_tests::sample::file_digest;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::inspect::{PageUse, overview_with_space};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::DirectoryStore;
use msgvault_verifier::text::parse_bytes;
use msgvault_verifier::verify::{Depth, Scope, Verdict};

/// So often each time is taken; the median counts.
const TIMES: usize = 9;
/// Days after the last snapshot on which everything that waits may go.
const AFTERWARDS: u32 = 10;

/// Let days pass in the life of a repository, and compare what is left with a new one.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Approximate bytes of the database
    #[arg(value_parser = parse_bytes)]
    size: u64,
    /// Number of days
    days: u32,
    /// Messages marked as read or unread every day, in a thousand; 0 lets mail come and go instead
    marked: u64,
    /// Where archive and repositories are made
    #[arg(long, default_value = "/tmp")]
    folder: PathBuf,
}

fn main() -> Measured<()> {
    let cli = Cli::parse();
    let days = PassingDays::new(&cli.folder, cli.size)?;
    let (home, repo) = (days.beside("home"), days.beside("repo"));
    days.init(&repo)?;
    let mut lived: BTreeMap<SnapshotId, (u32, String)> = BTreeMap::new();
    let mut changed = 0.0;
    for day in 0..cli.days {
        days.go_to(day);
        if day > 0 {
            days.change(cli.marked)?;
        }
        let report = days.snapshot(&home, &repo, Dense::default())?;
        if day > 0 {
            changed += share(report.pages.changed, report.pages.total);
        }
        let id = report.snapshot_id.ok_or("no snapshot")?;
        lived.insert(id, (day, file_digest(&home.join("msgvault.db"))?));
        let_go(&days, &repo, day % 7 == 6)?;
    }
    for after in [0, AFTERWARDS] {
        days.go_to(cli.days + after);
        let_go(&days, &repo, true)?;
    }
    let kept = open(&repo)?.listing()?.snapshots;
    let (of_kept, alone) = (days.beside("of-kept"), days.beside("alone"));
    days.init(&of_kept)?;
    days.init(&alone)?;
    for id in &kept {
        let (day, digest) = lived.get(id).ok_or("a snapshot that nobody made")?;
        let restored = days.beside("restored");
        days.restore(&repo, id, &restored)?;
        assert_eq!(file_digest(&restored.join("msgvault.db"))?, *digest, "{id}");
        days.go_to(*day);
        days.snapshot(&restored, &of_kept, Dense::default())?;
        if Some(id) == kept.last() {
            days.snapshot(&restored, &alone, Dense::default())?;
        }
        fs::remove_dir_all(restored)?;
    }
    let changed = changed * 100.0 / f64::from(cli.days.saturating_sub(1).max(1));
    tell(&days, changed, &kept)
}

/// Forgets, and prunes too where that is due.
fn let_go(days: &PassingDays, repo: &Path, prunes: bool) -> Measured<()> {
    let rules = KeepRules { daily: 7, weekly: 8, monthly: 24, yearly: 10, ..KeepRules::default() };
    let forgets = ForgetRequest { root: repo, what: What::Unkept(rules), by: "bench" };
    let grace = SignedDuration::from_hours(7 * 24);
    let prune_request =
        PruneRequest { root: repo, by: "bench", max_unused: MaxUnused::Percent(10), max_repack: None, grace };
    days.locked(repo, |context, lock| {
        forget(context, &forgets, &open(repo)?, Some(lock))?;
        if prunes {
            prune(context, &prune_request, &open(repo)?, Some(lock))?;
        }
        Ok(())
    })
}

fn open(repo: &Path) -> Measured<Repository> {
    Ok(Repository::open(DirectoryStore::new(repo), Zstd)?)
}

fn tell(days: &PassingDays, changed: f64, kept: &[SnapshotId]) -> Measured<()> {
    let [repo, of_kept, alone] = ["repo", "of-kept", "alone"].map(|name| days.beside(name));
    let bytes =
        |repo: &Path| -> Measured<u64> { Ok(open(repo)?.pack_files()?.iter().map(|(_, len)| len).sum()) };
    let widest = overview_with_space(&open(&repo)?)?
        .snapshots
        .iter()
        .filter_map(|snapshot| snapshot.page_use)
        .map(|PageUse { needed, held }| share(held, needed))
        .fold(0.0, f64::max);
    let newest = kept.last().ok_or("no snapshot")?;
    let only = open(&alone)?.listing()?.snapshots.pop().ok_or("no snapshot")?;
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..TIMES {
        for (n, (repo, id)) in [(&repo, newest), (&alone, &only)].into_iter().enumerate() {
            times[n].push(timed(|| {
                let report = check_all(&open(repo)?, &Scope::One(id.clone()), Depth::Full, &());
                assert_eq!(report.verdict, Verdict::Intact, "{}", report.to_text());
                Ok(())
            })?);
            let target = days.beside("target");
            times[n + 2].push(timed(|| days.restore(repo, id, &target))?);
            fs::remove_dir_all(target)?;
        }
    }
    let [verify, verify_alone, restore, restore_alone] = times.map(median);
    println!(
        "{changed:.1} % of the pages a day: {} snapshots stay, all came back; {} bytes, of only these {} ({:.2}); \
         held/needed at most {widest:.2}; newest verified in {verify:.3} s, alone {verify_alone:.3} s ({:.2}); restored \
         in {restore:.3} s, alone {restore_alone:.3} s ({:.2})",
        kept.len(),
        bytes(&repo)?,
        bytes(&of_kept)?,
        share(bytes(&repo)?, bytes(&of_kept)?),
        verify / verify_alone,
        restore / restore_alone,
    );
    Ok(())
}

fn timed(work: impl FnOnce() -> Measured<()>) -> Measured<f64> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed().as_secs_f64())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "shares of bytes and pages that fit")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
