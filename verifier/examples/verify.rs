//! Verifies all snapshots of the repository in a folder: `cargo run --example verify -- FOLDER`.

use std::process::ExitCode;

use msgvault_verifier::Ruzstd;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::DirectoryStore;
use msgvault_verifier::verify::{Depth, Scope, Verdict, verify};

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("name the folder of a repository")?;
    let repository = Repository::open(DirectoryStore::new(folder), Ruzstd)?;
    let report = verify(&repository, &Scope::All, Depth::Full, &());
    println!("{}", report.to_text());
    Ok(if report.verdict == Verdict::Intact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
