//! `msgvault backup repair`.

use std::fmt::Write;

use msgvault_cli::Exit;
use msgvault_verifier::text::{count, escape};

use super::LockArgs;
use crate::cli::Invocation;
use crate::cli::failure::Failure;
use crate::repo::rebuild_index::{RebuildReport, rebuild_indexes};
use crate::retention::condemned_packs;

#[derive(clap::Args)]
pub(in crate::cli) struct RepairArgs {
    /// Make lost and damaged index files anew from the footers of the packs
    #[arg(long, required = true)]
    rebuild_index: bool,
    #[command(flatten)]
    lock: LockArgs,
}

pub(super) fn run(invocation: &Invocation<'_>, args: &RepairArgs) -> Result<Exit, Failure> {
    let report = invocation.exclusively("repair", &args.lock, |context, root, lock| {
        let condemned = condemned_packs(root)?;
        Ok(rebuild_indexes(context, root, &invocation.open()?, &condemned, lock)?)
    })?;
    if report.unreadable.is_empty() && report.left.is_empty() {
        invocation.output.result(&report, || text(&report))?;
        return Ok(Exit::Done);
    }
    invocation.output.problems(&report, || text(&report), || wrong(&report))?;
    Ok(Exit::Problems)
}

fn wrong(report: &RebuildReport) -> Vec<String> {
    let packs = report.unreadable.iter().map(|pack| format!("left out {}: {}", pack.file, pack.detail));
    let left = report.left.iter().map(|file| format!("left as it is, since it cannot be read: {file}"));
    let sentence = "not everything could be put into an index".to_owned();
    [sentence].into_iter().chain(packs).chain(left).collect()
}

fn text(report: &RebuildReport) -> String {
    let mut out = String::new();
    for index in &report.rebuilt {
        let (blobs, packs) = (count(index.blobs, "blob"), count(index.packs, "pack"));
        let _ = writeln!(out, "rebuilt {}: {blobs} in {packs}", index.file);
    }
    for pack in &report.unreadable {
        let _ = writeln!(out, "left out {}: {}", escape(&pack.file), escape(&pack.detail));
    }
    for file in &report.left {
        let _ = writeln!(out, "left as it is, since it cannot be read from its medium: {}", escape(file));
    }
    out += if report.rebuilt.is_empty() {
        "No index file had to be rebuilt."
    } else {
        "Now check the repository with `msgvault backup verify --all`."
    };
    out
}
