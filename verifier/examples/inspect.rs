//! Lists the snapshots in a folder and the other files that each holds: `cargo run --example inspect --
//! FOLDER`.

use msgvault_verifier::Ruzstd;
use msgvault_verifier::inspect;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::DirectoryStore;
use msgvault_verifier::text::escape;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("name the folder of a repository")?;
    let repository = Repository::open(DirectoryStore::new(folder), Ruzstd)?;
    for id in repository.listing()?.snapshots {
        let details = inspect::details(&repository, &id)?;
        println!("{id}: {} pages of {} bytes", details.summary.page_count, details.summary.page_size);
        for file in &details.extras {
            // Paths come from the repository and could hold control characters.
            println!("  {} ({} bytes)", escape(&file.path), file.size);
        }
    }
    Ok(())
}
