use std::io;
use std::path::PathBuf;

/// Why the home could not be resolved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// Nothing says where the home is.
    #[error("no archive home is known: name one with --home or MSGVAULT_HOME")]
    Unknown,
    /// A path is relative and there is no working directory.
    #[error(
        "{} is relative, and this program's working directory is gone: give the whole path, or change to a folder that exists",
        path.display()
    )]
    NoWorkingDirectory {
        /// The path.
        path: PathBuf,
    },
    /// The configuration cannot be read.
    #[error("the configuration {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The configuration.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration is not what it should be.
    #[error("{}:{line}:{column}: {reason}", path.display())]
    Malformed {
        /// The configuration.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The character in the line, from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A path begins with `~` and there is no home directory of the user.
    #[error("{setting} {value:?} begins with ~, but the user's home directory is not known: write it out")]
    NoUserHome {
        /// The key in the configuration.
        setting: &'static str,
        /// Its value.
        value: String,
    },
    /// The database is no SQLite file.
    #[error(
        "[data] database_url is a {scheme} address: only SQLite archives can be backed up here, back this one up with its own server's tools"
    )]
    NotSqlite {
        /// What stands before `://`; the rest can hold a password.
        scheme: String,
    },
    /// The repository would be captured.
    #[error(
        "the repository {} lies in {}, which is captured: name a folder outside of the archive",
        repo.display(),
        folder.display()
    )]
    RepoInside {
        /// The repository.
        repo: PathBuf,
        /// The captured folder.
        folder: PathBuf,
    },
    /// A `file:` URI that names no file.
    #[error("[data] database_url {url:?} {reason}")]
    BadUri {
        /// The URI.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}
