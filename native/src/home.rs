//! The archive home: where the database, the attachments and the settings of an archive are.

mod error;
mod keys;
mod settings;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use msgvault_platform as platform;
use percent_encoding::percent_decode_str;

use crate::retention::rules::KeepRules;

pub use error::HomeError;
pub use settings::{BackupSettings, Dense, Server};

/// What the command line says about the home.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--home`.
    pub home: Option<PathBuf>,
    /// `--config`.
    pub config: Option<PathBuf>,
}

/// What the environment says about the home; an empty variable is taken for an unset one.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `MSGVAULT_HOME`.
    pub msgvault_home: Option<PathBuf>,
    /// The user's home directory, which `~` means.
    pub user_home: Option<PathBuf>,
}

/// An archive home, with every path resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The home itself.
    pub home: PathBuf,
    /// Where attachments, locks and runtime records are.
    pub data_dir: PathBuf,
    /// The SQLite database.
    pub database: PathBuf,
    /// The folder of attachments.
    pub attachments: PathBuf,
    /// The repository that the configuration names.
    pub repo: Option<PathBuf>,
    /// The compression level that the configuration names, 0 to 19; 0 means the default.
    pub zstd_level: Option<i32>,
    /// Whether SQLite checks every database that is captured.
    pub check: bool,
    /// When keyframes store pages again, if the configuration says so.
    pub dense: Option<Dense>,
    /// What the daemon, and `forget` without rules, keep.
    pub keep: KeepRules,
    /// The loss in hundredths that is alarming, where the configuration says.
    pub alarm_drop: Option<u8>,
    /// What a daemon listens on.
    pub server: Server,
    /// What a daemon does by itself.
    pub backup: BackupSettings,
    /// The configuration that was loaded.
    pub config_file: Option<PathBuf>,
    /// Where page-hash caches are kept.
    pub cache_dir: PathBuf,
}

impl Home {
    /// Finds the home and reads its configuration.
    ///
    /// `--home` comes first, then the folder of `--config`, then the environment. A configuration named by
    /// `--config` must exist; the one in the home need not. `cwd` is empty when there is no working directory.
    pub fn resolve(flags: &Flags, environment: &Environment, cwd: &Path) -> Result<Self, HomeError> {
        let given_config = given(flags.config.as_ref()).map(|path| cwd.join(path));
        let config_dir = given_config.as_deref().and_then(Path::parent);
        let home = match (given(flags.home.as_ref()), config_dir, given(environment.msgvault_home.as_ref())) {
            (Some(home), _, _) | (None, Some(home), _) | (None, None, Some(home)) => cwd.join(home),
            (None, None, None) => {
                let user_home = given(environment.user_home.as_ref()).ok_or(HomeError::Unknown)?;
                cwd.join(user_home).join(".msgvault")
            }
        };
        let (config, config_file) = settings::load(given_config.as_deref(), &home)?;
        let base = Base { dir: config_dir.unwrap_or(cwd), user_home: given(environment.user_home.as_ref()) };
        let data_dir = match config.data.data_dir.as_deref() {
            None => home.clone(),
            // Written down and empty, it is the folder that relative ones start from.
            Some("") => base.dir.to_owned(),
            Some(dir) => base.resolve("[data] data_dir", dir)?,
        };
        let database = match config.data.database_url.as_deref() {
            None | Some("") => data_dir.join("msgvault.db"),
            Some(url) => cwd.join(database_path(url)?),
        };
        let repo = match config.backup.repo.as_deref() {
            None | Some("") => None,
            Some(repo) => Some(base.resolve("[backup] repo", repo)?),
        };
        // Only a working directory that nobody knows leaves a path relative.
        if let Some(path) =
            [&home, &data_dir, &database].into_iter().chain(&repo).find(|path| path.is_relative())
        {
            return Err(HomeError::NoWorkingDirectory { path: path.clone() });
        }
        let mut server = config.server;
        if server.bind_addr.is_empty() {
            server.bind_addr = Server::default().bind_addr;
        }
        Ok(Self {
            attachments: data_dir.join("attachments"),
            cache_dir: home.join("backup-cache"),
            home,
            data_dir,
            database,
            repo,
            zstd_level: config.backup.zstd_level,
            check: config.backup.check,
            dense: config.backup.dense,
            alarm_drop: config.backup.alarm.drop,
            keep: config.backup.keep.clone(),
            server,
            backup: config.backup.settings(),
            config_file,
        })
    }

    /// Refuses a repository in a folder that is captured: it would be a part of its own snapshots.
    pub fn refuse_inside(&self, repo: &Path) -> Result<(), HomeError> {
        let captured = ["attachments", "deletions", "tokens"].map(|name| self.data_dir.join(name));
        let inside = captured.into_iter().find(|folder| {
            let same = |above: &Path| platform::same_object(above, folder).unwrap_or(false);
            repo.ancestors().any(same) || above_missing(repo).is_some_and(|real| real.ancestors().any(same))
        });
        match inside {
            Some(folder) => Err(HomeError::RepoInside { repo: repo.to_owned(), folder }),
            None => Ok(()),
        }
    }
}

/// The real path of the nearest folder above `path` that exists, so that links and `..` lead nowhere else.
fn above_missing(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    absolute.ancestors().find_map(|above| above.canonicalize().ok())
}

/// What relative paths and `~` in a configuration start from.
struct Base<'a> {
    dir: &'a Path,
    user_home: Option<&'a Path>,
}

impl Base<'_> {
    fn resolve(&self, setting: &'static str, value: &str) -> Result<PathBuf, HomeError> {
        let below_home = match value.strip_prefix('~') {
            Some("") => Some(""),
            Some(rest) => rest.strip_prefix('/'),
            None => None,
        };
        let Some(rest) = below_home else { return Ok(self.dir.join(value)) };
        let no_home = || HomeError::NoUserHome { setting, value: value.to_owned() };
        let user_home = self.user_home.ok_or_else(no_home)?;
        let rest = rest.trim_start_matches('/');
        Ok(if rest.is_empty() { user_home.to_owned() } else { user_home.join(rest) })
    }
}

fn given(path: Option<&PathBuf>) -> Option<&Path> {
    path.map(PathBuf::as_path).filter(|path| !path.as_os_str().is_empty())
}

/// The file that `database_url` names: a path, in which `~` means nothing, or a `file:` URI.
fn database_path(url: &str) -> Result<PathBuf, HomeError> {
    let Some(rest) = url.strip_prefix("file:") else {
        return match url.split_once("://") {
            Some((scheme, _)) => Err(HomeError::NotSqlite { scheme: scheme.to_owned() }),
            None => Ok(PathBuf::from(url)),
        };
    };
    let bad = |reason| HomeError::BadUri { url: url.to_owned(), reason };
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(after) => {
            let (authority, _) = after.split_once('/').ok_or_else(|| bad("names no file"))?;
            if !authority.is_empty() && authority != "localhost" {
                return Err(bad("names another machine"));
            }
            after.get(authority.len()..).unwrap_or_default()
        }
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if path.is_empty() {
        return Err(bad("names no file"));
    }
    percent_decoded(path).map(PathBuf::from).ok_or_else(|| bad("has an escape that is not the %XX of a path"))
}

/// None for a `%` that begins no escape, which decoders of URIs let stand, and for an escape of NUL.
fn percent_decoded(text: &str) -> Option<OsString> {
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits != b"00" && digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(is_escape) {
        return None;
    }
    platform::os_string(percent_decode_str(text).collect())
}

#[cfg(test)]
mod tests;
