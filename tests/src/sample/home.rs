//! The directory around the database: its layout, and the small files next to it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::rng::Rng;
use super::{Result, SampleError};

/// Where the parts of a home are.
#[derive(Debug, Clone)]
pub(super) struct Home(PathBuf);

impl Home {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn database(&self) -> PathBuf {
        self.0.join("msgvault.db")
    }

    pub(super) fn attachments(&self) -> PathBuf {
        self.0.join("attachments")
    }

    /// The directories of an empty home. The home itself is for its owner only.
    pub(super) fn create(&self) -> Result<()> {
        if self.database().exists() {
            return Err(SampleError::Exists(self.0.clone()));
        }
        for folder in ["attachments", "deletions"] {
            directory(&self.0.join(folder))?;
        }
        fs::set_permissions(&self.0, fs::Permissions::from_mode(0o700)).map_err(SampleError::io(&self.0))
    }

    /// A record of deleted messages, such as the program leaves for every batch.
    pub(super) fn record_deletion(&self, name: &str, messages: &[i64]) -> Result<()> {
        let ids: Vec<String> = messages.iter().map(ToString::to_string).collect();
        let json = format!(
            "{{\n  \"id\": \"{name}\",\n  \"status\": \"completed\",\n  \"message_ids\": [{}]\n}}\n",
            ids.join(", ")
        );
        self.small_file(&format!("deletions/completed/{name}.json"), 0o644, &json)
    }

    /// A batch that waits for its user.
    pub(super) fn record_pending_deletion(&self) -> Result<()> {
        let json = "{\n  \"id\": \"big-newsletters\",\n  \"status\": \"pending\",\n  \"query\": \"larger:5M <list>\"\n}\n";
        self.small_file("deletions/pending/big-newsletters.json", 0o600, json)
    }

    /// The configuration, a client secret and tokens. Nothing in them is secret.
    pub(super) fn write_secrets(&self, rng: &mut Rng) -> Result<()> {
        self.small_file("config.toml", 0o600, "[server]\nbind_addr = \"127.0.0.1\"\napi_port = 0\n")?;
        let client = format!(
            "{{\"installed\":{{\"client_id\":\"sample\",\"client_secret\":\"{:016x}\"}}}}\n",
            rng.next()
        );
        self.small_file("client_secret_x.json", 0o600, &client)?;
        for account in ["ada@example.org", "choir@example.net"] {
            let token = format!("{{\"access_token\":\"{:016x}\",\"token_type\":\"Bearer\"}}\n", rng.next());
            self.small_file(&format!("tokens/{account}.json"), 0o600, &token)?;
        }
        Ok(())
    }

    /// Files that a backup leaves out because they can be made again.
    pub(super) fn write_derived_state(&self) -> Result<()> {
        for path in [
            "vectors.db",
            "analytics/messages.parquet",
            "logs/daemon.log",
            "imports/takeout.mbox",
            "tmp/upload.part",
        ] {
            self.small_file(path, 0o644, "can be made again\n")?;
        }
        Ok(())
    }

    /// Modes are captured, so they must not depend on the umask.
    fn small_file(&self, relative: &str, mode: u32, text: &str) -> Result<()> {
        let path = self.0.join(relative);
        if let Some(parent) = path.parent() {
            directory(parent)?;
        }
        fs::write(&path, text).map_err(SampleError::io(&path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(SampleError::io(&path))
    }
}

fn directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(SampleError::io(path))
}
