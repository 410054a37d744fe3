//! `msgvault backup list`.

use msgvault_cli::{Exit, print_overview};
use msgvault_verifier::inspect::overview;
use msgvault_verifier::repository::SelectError;

use crate::cli::Session;
use crate::cli::failure::Failure;

pub(super) fn run(session: &Session<'_>) -> Result<Exit, Failure> {
    let repository = session.open()?;
    let overview = overview(&repository).map_err(SelectError::from)?;
    Ok(print_overview(&session.output, &overview)?)
}
