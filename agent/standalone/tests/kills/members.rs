//! The processes: three members of one cluster, which are killed, stopped and started again.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{program, reserve};

/// How many there are.
pub(crate) const SIZE: usize = 3;

/// Flags of each: a checkpoint is written often, so that kills fall into one, and a restart begins with one.
const FLAGS: [&str; 1] = ["--snapshot-count=300"];

/// All members, by number; they are killed with the test.
pub(crate) struct Members {
    folder: PathBuf,
    addresses: [(SocketAddr, SocketAddr); SIZE],
    children: [Option<Child>; SIZE],
    /// Those that were sent SIGSTOP.
    stopped: [bool; SIZE],
    /// SIGKILLs that were sent.
    pub(crate) kills: usize,
    /// SIGSTOPs that were sent.
    pub(crate) pauses: usize,
}

impl Members {
    /// Starts all of them with their data directories and logs in `folder`.
    pub(crate) fn start(folder: &Path) -> Self {
        let addresses = std::array::from_fn(|_| (reserve(), reserve()));
        let mut members =
            Self { folder: folder.to_owned(), addresses, children: [const { None }; SIZE], stopped: [false; SIZE], kills: 0, pauses: 0 };
        (0..SIZE).for_each(|member| members.restart(member));
        members
    }

    /// Where clients reach them.
    pub(crate) fn client_urls(&self) -> [String; SIZE] {
        self.addresses.map(|(_, client)| format!("http://{client}"))
    }

    /// Those that run, and are not stopped.
    pub(crate) fn awake(&self) -> Vec<usize> {
        (0..SIZE).filter(|&member| self.is_running(member) && !self.stopped[member]).collect()
    }

    fn is_running(&self, member: usize) -> bool {
        self.children[member].is_some()
    }

    /// Starts a member that is down, and does not wait for anything.
    pub(crate) fn restart(&mut self, member: usize) {
        if self.is_running(member) {
            return;
        }
        let log = File::options().create(true).append(true).open(self.log(member)).expect("the folder is there");
        let mut command = self.command(member);
        self.children[member] = Some(command.stdout(Stdio::null()).stderr(log).spawn().expect("it was built"));
    }

    fn log(&self, member: usize) -> PathBuf {
        self.folder.join(format!("n{member}.log"))
    }

    fn command(&self, member: usize) -> Command {
        let (peer, client) = self.addresses[member];
        let list: Vec<String> = self.addresses.iter().enumerate().map(|(number, (peer, _))| format!("n{number}=http://{peer}")).collect();
        let mut command = program();
        command.current_dir(&self.folder).args(FLAGS).args([
            format!("--name=n{member}"),
            format!("--data-dir={}", self.folder.join(format!("n{member}")).display()),
            format!("--listen-client-urls=http://{client}"),
            format!("--listen-peer-urls=http://{peer}"),
            format!("--initial-advertise-peer-urls=http://{peer}"),
            format!("--initial-cluster={}", list.join(",")),
        ]);
        command
    }

    /// SIGKILL to all of these at once, also to those that are stopped. Returns when the processes are gone.
    pub(crate) fn kill(&mut self, members: &[usize]) {
        for &member in members {
            self.kills += usize::from(self.signal(member, Signal::KILL));
            self.stopped[member] = false;
        }
        for &member in members {
            if let Some(mut child) = self.children[member].take() {
                child.wait().expect("it is ours");
            }
        }
    }

    /// SIGSTOP.
    pub(crate) fn stop(&mut self, member: usize) {
        if self.signal(member, Signal::STOP) {
            self.pauses += 1;
            self.stopped[member] = true;
        }
    }

    /// SIGCONT.
    pub(crate) fn resume(&mut self, member: usize) {
        self.signal(member, Signal::CONT);
        self.stopped[member] = false;
    }

    fn signal(&self, member: usize, signal: Signal) -> bool {
        let Some(child) = &self.children[member] else { return false };
        kill_process(Pid::from_child(child), signal).expect("it is ours, and we have not waited for it");
        true
    }

    /// A member that has ended by itself has found a bug.
    #[track_caller]
    pub(crate) fn assert_none_has_ended(&mut self) {
        for member in 0..SIZE {
            let ended = self.children[member].as_mut().and_then(|child| child.try_wait().expect("it is ours"));
            if let Some(status) = ended {
                panic!("n{member} has ended by itself with {status}:\n{}", self.last_lines(member));
            }
        }
    }

    fn last_lines(&self, member: usize) -> String {
        /// Lines that mostly say why.
        const LINES: usize = 30;
        let log = std::fs::read_to_string(self.log(member)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for child in self.children.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
