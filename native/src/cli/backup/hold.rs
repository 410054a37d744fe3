//! `msgvault backup hold` and `unhold`.

use msgvault_cli::Exit;
use msgvault_platform as platform;
use msgvault_verifier::format::id::SnapshotId;
use serde::Serialize;

use super::LockArgs;
use crate::cli::Invocation;
use crate::cli::failure::Failure;
use crate::retention;

#[derive(clap::Args)]
pub(in crate::cli) struct HoldArgs {
    /// The snapshot: its name, the beginning of it, or `latest`
    snapshot: String,
    /// Why, for whoever asks later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    lock: LockArgs,
}

#[derive(clap::Args)]
pub(in crate::cli) struct UnholdArgs {
    /// The snapshot: its name, the beginning of it, or `latest`
    snapshot: String,
    #[command(flatten)]
    lock: LockArgs,
}

#[derive(Serialize)]
struct HoldReport {
    snapshot_id: SnapshotId,
    held: bool,
    changed: bool,
}

pub(super) fn hold(invocation: &Invocation<'_>, args: &HoldArgs) -> Result<Exit, Failure> {
    let report = invocation.exclusively("hold", &args.lock, |context, root, lock| {
        let snapshot_id = invocation.open()?.select(&args.snapshot)?;
        let by = platform::host_name();
        let changed = retention::hold(context, root, &snapshot_id, &by, &args.reason, lock)?;
        Ok(HoldReport { snapshot_id, held: true, changed })
    })?;
    tell(invocation, &report)
}

pub(super) fn unhold(invocation: &Invocation<'_>, args: &UnholdArgs) -> Result<Exit, Failure> {
    let report = invocation.exclusively("unhold", &args.lock, |context, root, lock| {
        let snapshot_id = invocation.open()?.select(&args.snapshot)?;
        let changed = retention::unhold(context, root, &snapshot_id, lock)?;
        Ok(HoldReport { snapshot_id, held: false, changed })
    })?;
    tell(invocation, &report)
}

fn tell(invocation: &Invocation<'_>, report: &HoldReport) -> Result<Exit, Failure> {
    let text = || {
        let id = &report.snapshot_id;
        match (report.held, report.changed) {
            (true, true) => format!("held {id}: nothing forgets it"),
            (true, false) => format!("{id} is held already"),
            (false, true) => format!("let {id} go: it can be forgotten again"),
            (false, false) => format!("{id} is not held"),
        }
    };
    invocation.output.result(report, text)?;
    Ok(Exit::Done)
}
