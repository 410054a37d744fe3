//! `msgvault backup verify`.

use msgvault_verifier::cli::{Exit, VerifyArgs, check_all, print_report, resolve_scope, with_jobs};
use msgvault_verifier::verify::Report;

use crate::cli::Session;
use crate::cli::failure::Failure;
use crate::context::Context;

pub(super) fn run(session: &Session<'_>, args: &VerifyArgs) -> Result<Exit, Failure> {
    let work = |context: &Context<'_>| with_jobs(args.jobs, || verify(session, args, context));
    let report = session.machine.with_context(&session.output, work)???;
    let exit = print_report(&session.output, &report)?;
    Ok(session.machine.interrupted().unwrap_or(exit))
}

fn verify(session: &Session<'_>, args: &VerifyArgs, context: &Context<'_>) -> Result<Report, Failure> {
    let repository = session.open()?;
    let scope = resolve_scope(&repository, args)?;
    let _lock = super::lock_shared(context, &repository, "verify")?;
    Ok(check_all(&repository, &scope, args.depth(), context.observer))
}
