//! `msgvault backup sums`.

use msgvault_cli::Exit;
use msgvault_verifier::text::{count, human_bytes};

use super::LockArgs;
use crate::cli::Invocation;
use crate::cli::failure::Failure;
use crate::repo::sums::{self, SumsReport};

#[derive(clap::Args)]
pub(in crate::cli) struct SumsArgs {
    #[command(flatten)]
    lock: LockArgs,
}

pub(super) fn run(invocation: &Invocation<'_>, args: &SumsArgs) -> Result<Exit, Failure> {
    let report = invocation.exclusively("sums", &args.lock, |context, root, lock| {
        Ok(sums::complete(context, root, &invocation.open()?, lock)?)
    })?;
    invocation.output.result(&report, || text(&report))?;
    Ok(Exit::Done)
}

fn text(report: &SumsReport) -> String {
    if report.files == 0 {
        return "every file has its sum already".to_owned();
    }
    let (files, bytes) = (count(report.files, "file"), human_bytes(report.bytes));
    let snapshots = count(report.snapshots.len(), "snapshot");
    format!(
        "stated the sums of {files}, {bytes}, and of {snapshots} that had none; from now on \
         `msgvault backup verify --sums` compares them"
    )
}
