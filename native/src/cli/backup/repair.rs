//! `msgvault backup repair`.

use std::fmt::Write;

use msgvault_cli::Exit;
use msgvault_platform as platform;
use msgvault_platform::context::Context;
use msgvault_verifier::repository::read_config;
use msgvault_verifier::store::DirectoryStore;
use msgvault_verifier::text::{count, escape};

use super::LockArgs;
use crate::cli::Invocation;
use crate::cli::failure::Failure;
use crate::repo::lock;
use crate::repo::rebuild_index::{RebuildReport, rebuild_indexes};

#[derive(clap::Args)]
pub(in crate::cli) struct RepairArgs {
    /// Make lost and damaged index files anew from the footers of the packs
    #[arg(long, required = true)]
    rebuild_index: bool,
    #[command(flatten)]
    lock: LockArgs,
}

pub(super) fn run(invocation: &Invocation<'_>, args: &RepairArgs) -> Result<Exit, Failure> {
    let root = invocation.repo()?;
    read_config(&DirectoryStore::new(&root)).map_err(Failure::from)?;
    let host = platform::host_name();
    let repair = |context: &Context<'_>| -> Result<RebuildReport, Failure> {
        let lock = lock::exclusive(context, &super::lock_request(&root, "repair", &host, &args.lock))?;
        let report = rebuild_indexes(context, &root, &invocation.open()?, &lock)?;
        if let Err(error) = lock.release() {
            context.observer.warn(&error.to_string());
        }
        Ok(report)
    };
    let repaired = invocation.machine.with_context(&invocation.output, repair)?;
    let report = repaired.map_err(|error| invocation.machine.failure(error))?;
    invocation.output.result(&report, || text(&report))?;
    let whole = report.unreadable.is_empty() && report.left.is_empty();
    Ok(if whole { Exit::Done } else { Exit::Problems })
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
