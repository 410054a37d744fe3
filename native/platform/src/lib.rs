//! Everything that differs between operating systems, so that nothing else has to.
//!
//! On Unix a [`Dir`] is an open descriptor and every name is looked up from it without following a symbolic
//! link; elsewhere the same promises are kept by checking each component before it is used.

#[cfg(unix)]
mod calls_unix;
pub mod context;
#[cfg(any(not(unix), test))]
#[cfg_attr(unix, allow(dead_code, unreachable_pub, reason = "compiled on Unix only to be tested"))]
mod dir_portable;
#[cfg(unix)]
mod dir_unix;
mod durable;
mod file_error;
mod owner;
mod positioned;
mod process;

use std::ffi::OsString;
use std::io;
use std::time::SystemTime;

#[cfg(not(unix))]
pub use dir_portable::Dir;
#[cfg(unix)]
pub use dir_unix::Dir;
pub use durable::{
    create_folder, create_new, may_write, publish_new, same_object, set_mode, still_names, sync_folder, touch,
};
pub use file_error::FileError;
pub use owner::foreign_owner;
pub use positioned::{read_exact_at, write_all_at};
pub use process::{
    ProcessState, boot_id, hang_up, host_name, pid_namespace, process_lives, process_scope, process_state,
    shows_own_processes,
};

/// What a name stands for; a symbolic link stands for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, never followed.
    Link,
    /// A pipe, a socket, a device.
    Other,
}

/// What the file system says about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Bytes of a file.
    pub len: u64,
    /// Permission bits; where there are none, what comes closest.
    pub mode: u32,
    /// When its content last changed.
    pub modified: SystemTime,
}

/// What keeps a rename to a free name from replacing a file that is there by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenameGuard {
    /// The system, whoever is faster.
    System,
    /// Only a look beforehand.
    Look,
    /// Nothing: a file was replaced.
    None,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The name, which need not be UTF-8.
    pub name: OsString,
    /// The name as text, when it is text.
    pub text: Option<String>,
}

impl Name {
    fn of(name: OsString) -> Self {
        let text = name.to_str().map(str::to_owned);
        Self { name, text }
    }
}

/// Bytes as a name of the file system; none where they cannot be one.
#[cfg(unix)]
pub fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(bytes))
}

/// Bytes as a name of the file system; none where they cannot be one.
#[cfg(not(unix))]
pub fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    String::from_utf8(bytes).ok().map(OsString::from)
}

fn is_link() -> io::Error {
    io::Error::other("a symbolic link stands there, and none is followed")
}

fn not_a_file() -> io::Error {
    io::Error::other("it is not a regular file")
}

#[cfg(test)]
mod tests;
