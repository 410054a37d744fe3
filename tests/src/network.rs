//! Separate hosts on this machine, with cables between them: network namespaces, which root can create.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A host that has only its loopback interface at first, and disappears when this is dropped.
#[derive(Debug)]
pub struct Host {
    /// A process that does nothing on the host, and ends when its standard input does.
    keeper: Child,
}

impl Host {
    /// Creates a host; where that is not possible, says so and returns `None`.
    ///
    /// # Panics
    ///
    /// If it is possible but fails.
    pub fn new() -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && echo up && read end"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut said = String::new();
        if let Ok(mut keeper) = command.spawn() {
            let mut stdout = BufReader::new(keeper.stdout.take().expect("its standard output"));
            stdout.read_line(&mut said).expect("a line");
            let host = Self { keeper };
            if said == "up\n" {
                return Some(host);
            }
        }
        let _ = writeln!(std::io::stderr(), "NOT RUN: this user cannot make network namespaces");
        None
    }

    /// Runs `ip` on the host with these arguments.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn ip(&self, arguments: &str) {
        let status = self.run(|| Command::new("ip").args(arguments.split(' ')).status());
        assert!(status.expect("ip").success(), "ip {arguments}");
    }

    /// Lays a cable to another host; `here` and `there` are the addresses of its ends, with the lengths of
    /// their networks.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub fn connect(&self, here: &str, other: &Self, there: &str) {
        self.ip(&format!("link add cable type veth peer name cable netns {}", other.keeper.id()));
        for (host, own, peer) in [(self, here, there), (other, there, here)] {
            host.ip(&format!("addr add {own} dev cable"));
            host.ip("link set cable up");
            let peer = peer.split('/').next().unwrap_or_default();
            host.ip(&format!("route replace {peer} dev cable"));
        }
    }

    /// Does something on the host: sockets and programs started meanwhile belong to it.
    ///
    /// # Panics
    ///
    /// If the host cannot be entered, or if `work` panics.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let network = File::open(format!("/proc/{}/ns/net", self.keeper.id())).expect("a network");
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let entered = move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network));
                entered.expect("another network");
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
