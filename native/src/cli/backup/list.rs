//! `msgvault backup list`.

use jiff::Timestamp;
use msgvault_cli::{Exit, print_overview};
use msgvault_verifier::inspect::{overview, overview_with_space};
use msgvault_verifier::repository::SelectError;
use msgvault_verifier::verify::rolling::last_verified;

use crate::cli::Invocation;
use crate::cli::failure::Failure;

pub(super) fn run(invocation: &Invocation<'_>) -> Result<Exit, Failure> {
    let repository = invocation.open()?;
    // A person who looks what there is should not wait for it.
    let told = if invocation.output.args().json { overview_with_space } else { overview };
    let mut overview = told(&repository).map_err(SelectError::from)?;
    overview.tell_verified(&last_verified(repository.store(), Timestamp::now()));
    Ok(print_overview(&invocation.output, &overview)?)
}
