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

/// The signal that tells of a terminal or a connection that is gone; none where there is no such signal, and none
/// for who was started to outlive it, as by `nohup`.
///
/// Whether a signal is ignored is asked of Linux only. Elsewhere it stays as it is.
pub fn hang_up() -> Option<i32> {
    #[cfg(unix)]
    {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let signal = rustix::process::Signal::HUP.as_raw();
        (!ignores(&status, signal)?).then_some(signal)
    }
    #[cfg(not(unix))]
    None
}

/// Whether a process of this `/proc/…/status` ignores a signal.
#[cfg(unix)]
fn ignores(status: &str, signal: i32) -> Option<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u128::from_str_radix(mask.trim(), 16).ok()?;
    let bit = u32::try_from(signal).ok()?.checked_sub(1)?;
    Some(mask.checked_shr(bit)? & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_mask_tells_which_signals_are_ignored() {
        let status = |mask| format!("Name:\tmsgvault\nSigBlk:\t0000000000000000\nSigIgn:\t{mask}\n");
        for (mask, first, fifteenth) in [
            ("0000000000000001", true, false),
            ("0000000000004000", false, true),
            ("00000000ffffbfff", true, false),
        ] {
            let found = [1, 15].map(|signal| ignores(&status(mask), signal));
            assert_eq!(found, [Some(first), Some(fifteenth)], "{mask}");
        }
        assert_eq!(ignores("Name:\tx\n", 1), None);
        assert_eq!(ignores(&status("no mask"), 1), None);
        assert_eq!(ignores(&status("1"), 0), None);
    }

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
