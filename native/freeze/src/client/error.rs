//! Why a daemon cannot be used, in sentences.

/// Why the daemon of an archive cannot be made to keep writers waiting.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// It is not ready.
    #[error("the daemon (process {pid}) is still starting ({phase}): try again when it is ready")]
    Starting {
        /// Its process.
        pid: u32,
        /// What it does.
        phase: String,
    },
    /// It does not answer.
    #[error(
        "process {pid} serves this archive by its record, and {address} does not answer: {reason}; restart the daemon, or remove daemon.{pid}.json if that process is not msgvault"
    )]
    Unreachable {
        /// The process of the record.
        pid: u32,
        /// Its address.
        address: String,
        /// What happened.
        reason: String,
    },
    /// Something answers that is not the daemon of the record.
    #[error(
        "process {pid} serves this archive at {address} by its record, but {reason}; restart the daemon, or remove daemon.{pid}.json if that process is not msgvault"
    )]
    Stranger {
        /// The process of the record.
        pid: u32,
        /// Its address.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// It speaks another protocol.
    #[error(
        "the daemon (process {pid}, msgvault {version}) speaks API {api}, and this program API 1, schema 2: use programs of one age"
    )]
    Incompatible {
        /// Its process.
        pid: u32,
        /// Its version.
        version: String,
        /// What it speaks.
        api: String,
    },
    /// It needs a key and none is configured.
    #[error(
        "the daemon (process {pid}) needs an API key: write it as api_key under [server] in the configuration"
    )]
    KeyNeeded {
        /// Its process.
        pid: u32,
    },
    /// It was started with another key.
    #[error(
        "the daemon (process {pid}) was started with another API key than the one configured now, which was not sent to it: restart the daemon"
    )]
    OtherKey {
        /// Its process.
        pid: u32,
    },
    /// It does not take the key although its record says so.
    #[error("the daemon (process {pid}) refuses the configured API key: restart the daemon")]
    KeyRefused {
        /// Its process.
        pid: u32,
    },
    /// It cannot freeze, or not for this machine.
    #[error(
        "the daemon (process {pid}) offers no backup freeze to this machine: update it if it is old; if its address leads through another host, let it listen on one of this machine"
    )]
    NoFreeze {
        /// Its process.
        pid: u32,
    },
    /// It does not end on request.
    #[error(
        "the daemon (process {pid}) does not let itself be ended by a request: end it where it runs, with its service manager or by SIGTERM"
    )]
    NoShutdown {
        /// Its process, as it is counted where it runs.
        pid: u32,
    },
    /// Another backup is in its window.
    #[error("another backup has frozen the archive (daemon process {pid}): try again when it is done")]
    Active {
        /// The daemon's process.
        pid: u32,
    },
    /// The gate stayed busy.
    #[error("gave up waiting for the daemon (process {pid}): {holder}; try again later, or allow more time")]
    Busy {
        /// Its process.
        pid: u32,
        /// What holds the gate.
        holder: String,
    },
    /// It is shutting down.
    #[error("the daemon (process {pid}) is shutting down: try again when it has ended")]
    Stopping {
        /// Its process.
        pid: u32,
    },
    /// It says no for another reason.
    #[error("the daemon (process {pid}) refused with {status}: {message}")]
    Refused {
        /// Its process.
        pid: u32,
        /// The HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The run was cancelled while it waited.
    #[error("the backup was cancelled while it waited for the daemon")]
    Cancelled,
    /// The window was ended by the daemon.
    #[error(
        "the daemon (process {pid}) ended the freeze before the backup did, and writers may have gone on: nothing was kept, run the backup again"
    )]
    Late {
        /// Its process.
        pid: u32,
    },
    /// Nobody knows whether the window lasted.
    #[error(
        "the daemon (process {pid}) was lost while the archive was frozen, and writers may have gone on: {reason}; nothing was kept, run the backup again"
    )]
    Lost {
        /// Its process.
        pid: u32,
        /// What happened.
        reason: String,
    },
}

impl DaemonError {
    /// What happened, without the sentence around it.
    pub(super) fn reason(self) -> String {
        match self {
            Self::Unreachable { reason, .. } => reason,
            other => other.to_string(),
        }
    }
}
