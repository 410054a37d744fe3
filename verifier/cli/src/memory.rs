//! How much memory what a repository asks for may take.

use std::fs;
use std::path::Path;

use clap::Args;
use msgvault_verifier::Memory;
use msgvault_verifier::text::parse_bytes;

/// What is said where there is not enough.
const ADVICE: &str = "allow more with --memory, or use a machine that has more";
/// What is taken for the memory of a machine that does not tell it.
const UNKNOWN: u64 = 8 << 30;
/// Every machine can spare as much.
const LEAST: u64 = 128 << 20;

/// The option on memory that every command has that reads the objects of a repository.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct MemoryArgs {
    /// Memory that one object of the repository may take, such as `512M` or `4G` [default: a quarter of what this
    /// machine has]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    memory: Option<u64>,
}

impl MemoryArgs {
    /// The limit.
    pub fn memory(&self) -> Memory {
        Memory::new(self.memory.unwrap_or_else(|| (of_this_machine() / 4).max(LEAST)), ADVICE)
    }
}

/// What this process may have: the machine's memory, or less where a container or a limit says so.
fn of_this_machine() -> u64 {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let machine = total(&read(Path::new("/proc/meminfo")));
    let process = address_space(&read(Path::new("/proc/self/limits")));
    let groups = groups(&read(Path::new("/proc/self/cgroup")));
    let limits = groups.iter().filter_map(|file| read(Path::new(file)).trim().parse().ok());
    limits.chain(machine).chain(process).min().unwrap_or(UNKNOWN)
}

/// The memory that `/proc/meminfo` tells of.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The limit that `/proc/self/limits` tells of, unless there is none.
fn address_space(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The files that hold the limits of the control groups in `/proc/self/cgroup`, and of those above them.
fn groups(cgroup: &str) -> Vec<String> {
    let mut files = vec!["/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned()];
    for line in cgroup.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        for group in Path::new(path).ancestors() {
            files.push(format!("{root}{}/{name}", group.display().to_string().trim_end_matches('/')));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_what_the_system_tells_is_the_memory() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       16 kB\n"), Some(16 << 10));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax address space  4096  unlimited  bytes\n";
        assert_eq!(address_space(limits), Some(4096));
        assert_eq!(address_space("Max address space  unlimited  unlimited  bytes\n"), None);
        let files = groups("4:cpu:/x\n3:memory,hugetlb:/box\n0::/user.slice/one\n");
        let expected = [
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/box/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/user.slice/one/memory.max",
            "/sys/fs/cgroup/user.slice/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(files, expected);
        assert!(of_this_machine() > 0);
    }
}
