//! `msgvault backup list`.

use msgvault_cli::{Exit, print_overview};
use msgvault_verifier::inspect::overview;
use msgvault_verifier::repository::SelectError;

use crate::cli::Invocation;
use crate::cli::failure::Failure;

pub(super) fn run(invocation: &Invocation<'_>) -> Result<Exit, Failure> {
    let repository = invocation.open()?;
    let overview = overview(&repository).map_err(SelectError::from)?;
    Ok(print_overview(&invocation.output, &overview)?)
}
