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

/// What can be told of a process number from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessState {
    /// No process has it, or one that has ended.
    Gone,
    /// A process has it that began at this time, in ticks of the system.
    Began(u64),
    /// It cannot be told.
    Unknown,
}

/// Who has a process number now. It says nothing of numbers from another [`process_scope`].
pub fn process_state(pid: u64) -> ProcessState {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => state_of(&stat).unwrap_or(ProcessState::Unknown),
        Err(_) if process_lives(pid) => ProcessState::Unknown,
        Err(_) => ProcessState::Gone,
    }
}

/// Reads a `/proc/…/stat`: the state stands behind the name in parentheses, the time of the start 19 fields
/// later.
fn state_of(stat: &str) -> Option<ProcessState> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    // A zombie has a number and does nothing any more.
    if matches!(fields.next()?, "Z" | "X" | "x") {
        return Some(ProcessState::Gone);
    }
    fields.nth(18)?.parse().ok().map(ProcessState::Began)
}

/// Names the boot and the namespaces in which process numbers and start times mean what they mean here;
/// `None` where that cannot be told, as on systems other than Linux.
pub fn process_scope() -> Option<String> {
    if !shows_own_processes() {
        return None;
    }
    let (boot, processes) = (boot_id()?, pid_namespace()?);
    // Start times are told in the clock of the reader's namespace; old kernels have only one.
    let clocks = match std::fs::read_link("/proc/self/ns/time") {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => std::path::PathBuf::new(),
        clocks => clocks.ok()?,
    };
    Some(format!("{boot} {processes} {}", clocks.display()))
}

/// The boot of the machine; `None` where that cannot be told, as on systems other than Linux.
pub fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The PID namespace that this process's number counts in; `None` where that cannot be told.
pub fn pid_namespace() -> Option<String> {
    std::fs::read_link("/proc/self/ns/pid").ok()?.into_os_string().into_string().ok()
}

/// Whether `/proc` shows the processes that this one's numbers mean, so that [`process_state`] can be believed.
pub fn shows_own_processes() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| is_own_view(&status, std::process::id()))
}

/// Whether `/proc` shows the namespace of process numbers that this process lives in, and not one around it.
fn is_own_view(status: &str, pid: u32) -> bool {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    numbers.is_some_and(|numbers| numbers.trim() == pid.to_string())
}

/// The signal that tells of a terminal or a connection that is gone; none where there is no such signal, and
/// none for who was started to outlive it, as by `nohup`.
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
    fn a_process_is_told_from_a_later_one_of_its_number() {
        let stat = |state| {
            format!("7 (a) b ) {state} 1 7 7 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 454507 3133440 385 18\n")
        };
        assert_eq!(state_of(&stat("S")), Some(ProcessState::Began(454_507)));
        assert_eq!(state_of(&stat("Z")), Some(ProcessState::Gone));
        for short in ["", "7 (a", "7 (a) S 1 7", "7 (a)"] {
            assert_eq!(state_of(short), None, "{short}");
        }
        #[cfg(target_os = "linux")]
        {
            let own = u64::from(std::process::id());
            assert!(matches!(process_state(own), ProcessState::Began(_)));
            assert_eq!(process_state(own), process_state(own));
            assert_eq!(process_state(u64::from(u32::MAX)), ProcessState::Gone);
        }
    }

    #[test]
    fn numbers_are_valid_only_in_the_namespace_that_proc_shows() {
        assert!(is_own_view("Name:\tx\nNSpid:\t18327\n", 18327));
        for other in ["Name:\tx\n", "NSpid:\t4711\t18327\n", "NSpid:\t4711\n", "NSpid:\n"] {
            assert!(!is_own_view(other, 18327), "{other}");
        }
        assert_eq!(process_scope(), process_scope());
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
