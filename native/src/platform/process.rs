//! The machine's name and its processes.

/// The machine's name, as it is written into locks and records.
pub fn host_name() -> String {
    #[cfg(unix)]
    return rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "unknown".to_owned())
}

/// Whether a process of this number lives on this machine; `true` where that cannot be asked for.
pub fn process_lives(pid: u64) -> bool {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, test_kill_process};
        let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 0).and_then(Pid::from_raw) else {
            return false;
        };
        !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH))
    }
    #[cfg(not(unix))]
    {
        let _ = pid;
        true
    }
}

/// Asks a process to end in order; fails where that cannot be done.
pub fn terminate(pid: u32) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process};
        let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        Ok(kill_process(pid, Signal::TERM)?)
    }
    #[cfg(not(unix))]
    {
        let _ = pid;
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_on_a_named_machine() {
        assert!(!host_name().is_empty());
        assert!(process_lives(u64::from(std::process::id())));
        #[cfg(unix)]
        for none in [0, u64::from(u32::MAX), u64::MAX] {
            assert!(!process_lives(none), "{none}");
        }
    }
}
