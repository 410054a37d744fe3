//! Measures what dense keyframes cost and save: an archive without attachments, a share of whose pages changes every
//! day, and a snapshot on each. The days are those of a clock of its own, so that months pass.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser;
use msgvault::create::CreateReport;
use msgvault::home::Dense;
use msgvault_cli::check_all;
use msgvault_tests::passing_days::{Measured, PassingDays};
use msgvault_verifier::Ruzstd;
use msgvault_verifier::format::id::{BlobId, SnapshotId};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::density::RawLengths;
use msgvault_verifier::snapshot::{ChainReader, chain_objects};
use msgvault_verifier::store::DirectoryStore;
use msgvault_verifier::text::parse_bytes;
use msgvault_verifier::verify::{Depth, Scope, Verdict};

/// Back up an archive day after day, and print what its snapshots took and what the newest needs.
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
    /// When pages are stored again
    dense: Dense,
    /// Where archive and repository are made
    #[arg(long, default_value = "/tmp")]
    folder: PathBuf,
}

/// What a run found, day by day.
#[derive(Default)]
struct Found {
    changed: f64,
    seconds: Vec<f64>,
    peak_kib: Vec<u64>,
    again_pages: u64,
    again_bytes: u64,
    keyframes: u32,
    dense: u32,
    widest: f64,
    last: Option<CreateReport>,
}

fn main() -> Measured<()> {
    let cli = Cli::parse();
    let days = PassingDays::new(&cli.folder, cli.size)?;
    let (home, repo) = (days.beside("home"), days.beside("repo"));
    days.init(&repo)?;
    let mut found = Found::default();
    for day in 0..cli.days {
        days.go_to(day);
        if day > 0 {
            days.change(cli.marked)?;
        }
        // From here on the system notes the peak anew.
        fs::write("/proc/self/clear_refs", "5")?;
        let began = Instant::now();
        let report = days.snapshot(&home, &repo, cli.dense)?;
        found.add((report, began.elapsed().as_secs_f64(), peak_kib()?), day);
    }
    found.tell(&cli, &repo)
}

fn peak_kib() -> Measured<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Pages held and needed by the newest snapshot of every month and those that it builds upon, and how many these are.
fn monthly_set(repository: &Repository) -> Measured<(u64, u64, usize)> {
    let all = repository.listing()?.snapshots;
    let month = |id: &SnapshotId| id.as_str()[..6].to_owned();
    let newest: BTreeMap<String, &SnapshotId> = all.iter().map(|id| (month(id), id)).collect();
    let mut kept = BTreeSet::new();
    for id in newest.into_values() {
        let chain = chain_objects(repository, &repository.manifest(id)?)?;
        kept.extend(chain.into_iter().map(|(id, _, _)| id));
    }
    let (mut chains, mut lens) = (ChainReader::default(), RawLengths::default());
    let mut pages: HashMap<BlobId, HashSet<u64>> = HashMap::new();
    for id in &kept {
        let maps = chains.load_shared(repository, &repository.manifest(id)?, &())?;
        lens.learn(repository, &maps.pages.blobs);
        for run in &maps.pages.runs {
            let first = run.blob_offset / maps.pages.page_size.bytes();
            let blob = *maps.pages.blob(run).ok_or("a run without a blob")?;
            pages.entry(blob).or_default().extend(first..first + u64::from(run.page_count));
        }
    }
    let held: u64 = pages.keys().filter_map(|blob| lens.of(blob)).map(|len| len / 4096).sum();
    Ok((held, pages.values().map(|pages| pages.len() as u64).sum(), kept.len()))
}

#[expect(clippy::cast_precision_loss, reason = "shares of thousands of pages")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

impl Found {
    fn add(&mut self, (report, seconds, peak_kib): (CreateReport, f64, u64), day: u32) {
        let pages = &report.pages;
        if day > 0 {
            self.changed += share(pages.changed, pages.total);
            self.seconds.push(seconds);
            self.peak_kib.push(peak_kib);
            self.keyframes += u32::from(pages.map_chain_depth == 0);
            self.dense += u32::from(pages.stored_again > 0);
        }
        self.again_pages += pages.stored_again;
        self.again_bytes += pages.bytes_stored_again;
        self.widest = self.widest.max(share(pages.held, pages.total));
        self.last = Some(report);
    }

    fn tell(mut self, cli: &Cli, repo: &Path) -> Measured<()> {
        let last = self.last.take().ok_or("no day")?;
        let repository = Repository::open(DirectoryStore::new(repo), Ruzstd)?;
        let written: u64 = repository.pack_files()?.iter().map(|(_, len)| len).sum();
        let id = last.snapshot_id.clone().ok_or("no snapshot")?;
        let began = Instant::now();
        let report = check_all(&repository, &Scope::One(id), Depth::Full, &());
        let verifying = began.elapsed().as_secs_f64();
        assert_eq!(report.verdict, Verdict::Intact, "{}", report.to_text());
        let (set_held, set_needed, set) = monthly_set(&repository)?;
        self.seconds.sort_by(f64::total_cmp);
        let median = self.seconds.get(self.seconds.len() / 2).copied().unwrap_or_default();
        println!(
            "{:?}: {} days, {:.1} % of {} pages a day; packs {:.1} MB, of which stored again {:.1} MB ({} pages); \
             {} keyframes, {} of them dense; create {median:.3} s, at most {:.3} s, {} MiB; held/needed of the \
             newest {:.2}, at most {:.2}, of the newest of every month with what they build upon {:.2} ({set} \
             snapshots, {set_held} pages held); newest verified in {verifying:.3} s, {} bytes read",
            cli.dense,
            cli.days,
            self.changed * 100.0 / f64::from(cli.days.saturating_sub(1).max(1)),
            last.pages.total,
            share(written, 1_000_000),
            share(self.again_bytes, 1_000_000),
            self.again_pages,
            self.keyframes,
            self.dense,
            self.seconds.last().copied().unwrap_or_default(),
            self.peak_kib.iter().max().copied().unwrap_or_default() / 1024,
            share(last.pages.held, last.pages.total),
            self.widest,
            share(set_held, set_needed),
            report.totals.bytes_read,
        );
        Ok(())
    }
}
