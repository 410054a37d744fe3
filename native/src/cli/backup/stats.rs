//! `msgvault backup stats`.

use std::collections::BTreeMap;
use std::fmt::Write;

use msgvault_cli::Exit;
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::text::{count, escape, human_bytes};

use super::rules::RuleArgs;
use crate::archive::names::names_of;
use crate::archive::place::Place;
use crate::cli::Invocation;
use crate::cli::failure::Failure;
use crate::home::Home;
use crate::retention::{self, Forecast, SnapshotStats, Stats};

/// So many packs are shown; the document has all of them.
const PACKS: usize = 10;

#[derive(clap::Args)]
pub(in crate::cli) struct StatsArgs {
    #[command(flatten, next_help_heading = "What these rules would leave in a year")]
    rules: RuleArgs,
}

pub(super) fn run(invocation: &Invocation<'_>, args: &StatsArgs) -> Result<Exit, Failure> {
    let home = invocation.home()?;
    let mut rules = args.rules.rules();
    if rules.is_empty() {
        rules.clone_from(&home.keep);
    }
    let (root, repository) = (invocation.repo()?, invocation.open()?);
    let names = |hashes: &[BlobId]| names(&home, hashes);
    let stats = invocation.machine.with_context(&invocation.output, |context| {
        retention::stats(context, &root, &repository, &rules, names)
    })?;
    let stats = stats.map_err(|error| invocation.machine.failure(error))?;
    invocation.output.result(&stats, || text(&stats, !rules.is_empty()))?;
    Ok(Exit::Done)
}

/// Names are worth having, and nothing fails for want of them.
fn names(home: &Home, hashes: &[BlobId]) -> BTreeMap<BlobId, Vec<String>> {
    if !home.database.is_file() {
        return BTreeMap::new();
    }
    names_of(&Place::live(&home.database), hashes).unwrap_or_default()
}

fn text(stats: &Stats, has_rules: bool) -> String {
    let mut out = String::new();
    if !stats.is_complete {
        out += "Not everything can be read, so that the numbers are a guess; `msgvault backup verify --all` tells why.\n\n";
    }
    let _ = writeln!(out, "{:<49}  {:>10}  {:>10}  {:>10}", "snapshot", "own", "shared", "freed");
    for SnapshotStats { usage, freed_bytes, kept_by } in &stats.snapshots {
        let (own, shared) = (human_bytes(usage.own_bytes), human_bytes(usage.shared_bytes));
        let freed = freed_bytes.map_or_else(|| "-".to_owned(), human_bytes);
        let line =
            format!("{}  {own:>10}  {shared:>10}  {freed:>10}  {}", usage.snapshot_id, escape(kept_by));
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let _ = writeln!(out, "\n{:<49}  {:>10}", "kind", "bytes");
    for kind in &stats.kinds {
        let of =
            format!("{} ({})", kind.kind, count(usize::try_from(kind.blobs).unwrap_or(usize::MAX), "blob"));
        let _ = writeln!(out, "{of:<49}  {:>10}", human_bytes(kind.bytes));
    }
    let _ = writeln!(out, "{:<49}  {:>10}", "all packs", human_bytes(stats.pack_bytes));
    let wasteful: Vec<_> = stats.packs.iter().filter(|pack| pack.dead_bytes > 0).collect();
    if !wasteful.is_empty() {
        let _ = writeln!(out, "\n{:<49}  {:>10}  {:>10}", "packs with bytes of no use", "bytes", "of no use");
    }
    for pack in wasteful.iter().take(PACKS) {
        let (bytes, dead) = (human_bytes(pack.bytes), human_bytes(pack.dead_bytes));
        let _ = writeln!(out, "{:<49}  {bytes:>10}  {dead:>10}", pack.pack.to_string());
    }
    if wasteful.len() > PACKS {
        let _ = writeln!(out, "and {} more", wasteful.len() - PACKS);
    }
    if !stats.largest.is_empty() {
        let _ = writeln!(out, "\n{:<49}  {:>10}  {:>10}", "largest attachments", "bytes", "stored");
    }
    for named in &stats.largest {
        let (bytes, stored) =
            (human_bytes(named.attachment.bytes), human_bytes(named.attachment.stored_bytes));
        let hash = named.attachment.hash.to_string();
        let names: Vec<String> = named.names.iter().map(|name| escape(name)).collect();
        let line = format!("{:<49}  {bytes:>10}  {stored:>10}  {}", &hash[..49], names.join(", "));
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let _ = writeln!(out, "\n{:<49}  {:>10}", "month", "added");
    for month in &stats.months {
        let snapshots = count(usize::try_from(month.snapshots).unwrap_or(usize::MAX), "snapshot");
        let of = format!("{} ({snapshots})", escape(&month.month));
        let _ = writeln!(out, "{of:<49}  {:>10}", human_bytes(month.bytes_added));
    }
    out + "\n" + &forecast(stats.forecast.as_ref(), has_rules)
}

fn forecast(forecast: Option<&Forecast>, has_rules: bool) -> String {
    let Some(forecast) = forecast else {
        if has_rules {
            return "What the rules would leave in a year can be told from two snapshots on.".to_owned();
        }
        return "With rules, such as --keep-daily 7 --keep-monthly 12, this tells what they would leave in a year."
            .to_owned();
    };
    let snapshots = count(usize::try_from(forecast.snapshots).unwrap_or(usize::MAX), "snapshot");
    format!(
        "With a snapshot as often as lately, in a year the rules would leave {snapshots} in about {}.",
        human_bytes(forecast.bytes)
    )
}
