//! Making, signalling and reaping processes.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, WaitOptions};
use shoal_contract::Service;
use shoal_init_core::service::{Exit, Signal};

use super::groups::Groups;
use super::launch::Preparation;

/// PATH of every service.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Processes of services.
#[derive(Debug)]
pub(crate) struct Processes {
    /// None: there is no cgroup v2; services run without limits.
    groups: Option<Groups>,
    /// PID 1's binary; none where it is not PID 1 that runs (tests): programs are then run directly, in process groups.
    launcher: Option<PathBuf>,
    /// Main processes made and not reaped yet.
    made: BTreeMap<u32, String>,
}

/// A process that was made.
#[derive(Debug)]
pub(crate) struct Made {
    /// Its id.
    pub(crate) pid: u32,
    /// The reading end of its standard output and error.
    pub(crate) output: OwnedFd,
}

/// What a look at the children gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reaped {
    /// One has ended; there may be more.
    One {
        /// Which.
        pid: u32,
        /// How.
        exit: Exit,
    },
    /// All there are run.
    NoneEnded,
    /// There are none.
    NoChildren,
}

impl Processes {
    pub(crate) fn new(groups: Option<Groups>, launcher: Option<PathBuf>) -> Self {
        Self { groups, launcher, made: BTreeMap::new() }
    }

    /// Makes the main process of a service. Never waits for the medium that the program lies on.
    ///
    /// # Errors
    /// In words: no process was made. (A program that cannot be run is an exit with status 127 instead.)
    pub(crate) fn spawn(&mut self, service: &Service, notify: Option<&Path>) -> Result<Made, anyhow::Error> {
        let group = self.groups.as_ref().map(|groups| groups.prepare(service)).transpose()?;
        let preparation = Preparation { group, oom_score_adjust: service.limits.oom_score_adjust };
        let mut command = match &self.launcher {
            Some(launcher) => preparation.command(launcher, &service.exec),
            None => {
                let mut command = std::process::Command::new(&service.exec[0]);
                command.args(&service.exec[1..]).process_group(0);
                command
            }
        };
        let (output, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        command.env_clear().env("PATH", PATH).envs(&service.environment).current_dir("/");
        if let Some(notify) = notify {
            command.env("NOTIFY_SOCKET", notify);
        }
        command.stdin(Stdio::null()).stdout(writing.try_clone()?).stderr(writing);
        // The child is not waited for through this handle: everything is reaped in one place.
        let pid = command.spawn()?.id();
        self.made.insert(pid, service.name.clone());
        Ok(Made { pid, output })
    }

    /// Signals one main process that has not been reaped.
    pub(crate) fn signal(&self, pid: u32, signal: Signal) -> io::Result<()> {
        match pid_of(pid) {
            Some(process) if self.made.contains_key(&pid) => Ok(rustix::process::kill_process(process, raw(signal))?),
            // It was reaped already: its number may be somebody else's.
            _ => Ok(()),
        }
    }

    /// Kills everything that a service has left.
    pub(crate) fn kill_group(&self, service: &Service) -> Result<(), anyhow::Error> {
        if let Some(groups) = &self.groups {
            groups.kill(service)?;
        } else {
            for pid in self.made.iter().filter(|(_, name)| **name == service.name).filter_map(|(pid, _)| pid_of(*pid)) {
                rustix::process::kill_process_group(pid, raw(Signal::Kill))?;
            }
        }
        Ok(())
    }

    /// Signals every process of the box, or, where we are not PID 1, every process group that we made.
    pub(crate) fn signal_all(&self, signal: Signal) {
        if rustix::process::getpid().is_init() {
            // Processes may end while we do this; an error only says that none was left.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(-1), nix_signal(signal));
        } else {
            for pid in self.made.keys().filter_map(|pid| pid_of(*pid)) {
                let _ = rustix::process::kill_process_group(pid, raw(signal));
            }
        }
    }

    /// Reaps one child, whoever made it: orphans of the whole box come to PID 1. Elsewhere only what was made here.
    pub(crate) fn reap(&mut self) -> Reaped {
        let waited = if rustix::process::getpid().is_init() {
            rustix::process::wait(WaitOptions::NOHANG)
        } else {
            let mut waited = Err(rustix::io::Errno::CHILD);
            for pid in self.made.keys().filter_map(|pid| pid_of(*pid)) {
                waited = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
                if matches!(waited, Ok(Some(_))) {
                    break;
                }
            }
            waited
        };
        match waited {
            Ok(Some((pid, status))) => {
                let pid = number(pid);
                self.made.remove(&pid);
                let exit = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Code(code),
                    (None, Some(signal)) => Exit::Signal(signal),
                    // Stopped or continued children are not asked for.
                    (None, None) => return Reaped::NoneEnded,
                };
                Reaped::One { pid, exit }
            }
            Ok(None) => Reaped::NoneEnded,
            Err(_) => Reaped::NoChildren,
        }
    }
}

/// Whether `socket` accepts a connection now. Never waits: the socket is non-blocking, and a full backlog counts as not ready.
pub(crate) fn accepts(socket: &str) -> bool {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

    let Ok(address) = SocketAddrUnix::new(socket) else { return false };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let Ok(client) = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None) else { return false };
    connect(client.as_fd(), &address).is_ok()
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().cast_unsigned()
}

fn pid_of(pid: u32) -> Option<Pid> {
    Pid::from_raw(pid.cast_signed())
}

fn raw(signal: Signal) -> rustix::process::Signal {
    match signal {
        Signal::Term => rustix::process::Signal::TERM,
        Signal::Int => rustix::process::Signal::INT,
        Signal::Kill => rustix::process::Signal::KILL,
    }
}

fn nix_signal(signal: Signal) -> nix::sys::signal::Signal {
    match signal {
        Signal::Term => nix::sys::signal::Signal::SIGTERM,
        Signal::Int => nix::sys::signal::Signal::SIGINT,
        Signal::Kill => nix::sys::signal::Signal::SIGKILL,
    }
}
