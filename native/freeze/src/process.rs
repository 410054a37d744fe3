//! Whether the process lives that a number in a file stands for.
//!
//! A number counts in one PID namespace, during one boot, until another process has it. A file can be read
//! where none of that holds: by the host of a container, by another container, by another machine.

use msgvault_platform as platform;

/// A process that began so much earlier or later than the record says is another one, in milliseconds.
const START_TOLERANCE: u64 = 2000;
/// The unit of `/proc` on every architecture that Linux still runs on.
const TICKS_PER_SECOND: u64 = 100;

/// What tells a process from all others that have its number, had it or will have it, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// The boot of the machine.
    pub boot_id: Option<String>,
    /// The PID namespace in which its number counts.
    pub pid_namespace: Option<String>,
    /// When it began, in ticks since that boot: no clock that is set changes it.
    pub start_ticks: Option<u64>,
    /// When it began, in milliseconds since 1970, by the clock as it is set now.
    pub create_time: Option<u64>,
}

/// Whether a process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It has ended.
    Dead,
    /// A process that can be the one lives.
    Alive,
    /// Its number counts elsewhere, and nobody here can tell.
    Unknown,
}

impl ProcessIdentity {
    /// The identity of this process, as far as the system tells.
    pub fn of_this_process() -> Self {
        let start = Start::of(std::process::id());
        Self {
            boot_id: platform::boot_id(),
            pid_namespace: platform::pid_namespace(),
            start_ticks: start.map(|start| start.ticks),
            create_time: start.and_then(|start| start.create_time),
        }
    }

    /// Whether the process of this number and identity lives, as seen from here.
    ///
    /// A record that does not tell where its number counts is taken for one of this machine and namespace, as
    /// the Go program takes it.
    pub fn life(&self, pid: u32) -> Life {
        let elsewhere = |told: &Option<String>, here: Option<String>| told.is_some() && *told != here;
        if elsewhere(&self.boot_id, platform::boot_id())
            || elsewhere(&self.pid_namespace, platform::pid_namespace())
        {
            return Life::Unknown;
        }
        if platform::process_lives(pid.into()) && !self.has_another_start(pid) {
            Life::Alive
        } else {
            Life::Dead
        }
    }

    /// Whether the process that has the number now began at another time.
    fn has_another_start(&self, pid: u32) -> bool {
        let Some(start) = Start::of(pid) else { return false };
        // Ticks count from a boot, and say nothing without it.
        match (self.boot_id.as_ref().and(self.start_ticks), self.create_time, start.create_time) {
            (Some(ticks), _, _) => ticks != start.ticks,
            (None, Some(told), Some(actual)) => told.abs_diff(actual) > START_TOLERANCE,
            _ => false,
        }
    }
}

/// When a process began.
#[derive(Debug, Clone, Copy)]
struct Start {
    ticks: u64,
    create_time: Option<u64>,
}

impl Start {
    /// None where `/proc` is that of another namespace, and numbers mean others in it.
    fn of(pid: u32) -> Option<Self> {
        if !platform::shows_own_processes() {
            return None;
        }
        let platform::ProcessState::Began(ticks) = platform::process_state(pid.into()) else { return None };
        let create_time = boot_time().and_then(|boot| {
            boot.checked_mul(1000)?.checked_add(ticks.checked_mul(1000)? / TICKS_PER_SECOND)
        });
        Some(Self { ticks, create_time })
    }
}

/// When the machine was booted, in seconds since 1970.
fn boot_time() -> Option<u64> {
    let system = std::fs::read_to_string("/proc/stat").ok()?;
    system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: u32 = 4_194_305;

    #[test]
    fn a_number_without_an_origin_is_one_of_this_machine() {
        let unknown = ProcessIdentity::default();
        assert_eq!(unknown.life(std::process::id()), Life::Alive);
        assert_eq!(unknown.life(NOBODY), Life::Dead);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_number_of_another_boot_or_namespace_tells_nothing_here() {
        let own = ProcessIdentity::of_this_process();
        assert_eq!((own.life(std::process::id()), own.life(NOBODY)), (Life::Alive, Life::Dead));
        let other_boot = ProcessIdentity { boot_id: Some("another".to_owned()), ..own.clone() };
        let other_namespace = ProcessIdentity { pid_namespace: Some("pid:[1]".to_owned()), ..own };
        for identity in [other_boot, other_namespace] {
            for pid in [1, std::process::id(), NOBODY] {
                assert_eq!(identity.life(pid), Life::Unknown, "{identity:?} {pid}");
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_took_over_a_number_is_another_one() {
        let own = ProcessIdentity::of_this_process();
        let life = |ticks: Option<u64>, time: Option<u64>| {
            let told = ProcessIdentity { start_ticks: ticks, create_time: time, ..own.clone() };
            told.life(std::process::id())
        };
        let (ticks, time) = (own.start_ticks.unwrap(), own.create_time.unwrap());
        assert_eq!(life(Some(ticks + 1), Some(time)), Life::Dead);
        assert_eq!(life(Some(ticks), Some(time + 3_600_000)), Life::Alive, "the clock was set");
        for (told, expected) in [(time, Life::Alive), (time + 2000, Life::Alive), (1, Life::Dead)] {
            assert_eq!(life(None, Some(told)), expected, "{told}");
        }
    }
}
