//! How a daemon is ended: through its own API, wherever its process runs.
//!
//! The number in its record counts only where the record was written, and is never sent a signal.

use std::path::Path;

use super::{Daemon, DaemonError, END_TIMEOUT, PROBE_TIMEOUT};
use crate::identity::{SHUTDOWN_PATH, TOKEN_HEADER};
use crate::{ownership, record};

impl Daemon<'_> {
    /// Tells the daemon to end in order; it may take its time.
    pub fn shut_down(&self) -> Result<(), DaemonError> {
        // The token is sent only to who has it already.
        self.check_identity(PROBE_TIMEOUT)?;
        let token = self.record.shutdown_token.clone().unwrap_or_default();
        let headers = [("x-msgvault-client", "cli".to_owned()), (TOKEN_HEADER, token)];
        let answer = self.http.send("POST", SHUTDOWN_PATH, &headers, None, END_TIMEOUT);
        let answer = answer.map_err(|reason| self.unreachable(reason))?;
        match answer.status {
            200 | 202 | 204 => Ok(()),
            401 | 403 | 404 | 405 => Err(DaemonError::NoShutdown { pid: self.record.pid }),
            _ => Err(self.refusal(&answer)),
        }
    }

    /// Whether the daemon has ended: it does not answer, and its record is gone, or nobody holds its lock.
    pub fn has_ended(&self, data_dir: &Path) -> bool {
        let record = data_dir.join(record::file_name(self.record.pid));
        self.check_ping().is_err() && (!record.exists() || ownership::is_free(data_dir))
    }
}
