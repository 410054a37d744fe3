//! `msgvault backup init`.

use msgvault_cli::Exit;
use serde::Serialize;

use crate::cli::Invocation;
use crate::cli::failure::Failure;
use crate::repo::init::init;

#[derive(Serialize)]
struct InitReport {
    repo: String,
    repo_id: String,
    created_at: String,
}

pub(super) fn run(invocation: &Invocation<'_>) -> Result<Exit, Failure> {
    let root = invocation.repo()?;
    // A repository can be made where no archive is.
    if let Ok(home) = invocation.home() {
        home.refuse_inside(&root)?;
    }
    let config = invocation.machine.with_context(&invocation.output, |context| init(&root, context))??;
    let made = InitReport {
        repo: crate::path_text::exact(&root),
        repo_id: config.repo_id.to_string(),
        created_at: config.created_at,
    };
    invocation.output.result(&made, || format!("made repository {} in {}", made.repo_id, made.repo))?;
    Ok(Exit::Done)
}
