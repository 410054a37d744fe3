//! `msgvault backup init`.

use msgvault_cli::Exit;
use serde::Serialize;

use crate::cli::Session;
use crate::cli::failure::Failure;
use crate::repo::init::init;

#[derive(Serialize)]
struct Made {
    repo: String,
    repo_id: String,
    created_at: String,
}

pub(super) fn run(session: &Session<'_>) -> Result<Exit, Failure> {
    let root = session.repo()?;
    // A repository can be made where no archive is.
    if let Ok(home) = session.home() {
        home.refuse_inside(&root)?;
    }
    let config = session.machine.with_context(&session.output, |context| init(&root, context))??;
    let made = Made {
        repo: root.display().to_string(),
        repo_id: config.repo_id.to_string(),
        created_at: config.created_at,
    };
    session.output.result(&made, || format!("made repository {} in {}", made.repo_id, made.repo))?;
    Ok(Exit::Done)
}
