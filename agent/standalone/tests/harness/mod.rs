//! Members as processes, for the tests of this folder.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod client;
pub(crate) mod cluster;

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything may take before it has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Lines of a member's log that are kept for whoever looks into a failure.
const LINES_KEPT: usize = 200;

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shoal-store"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A loopback address of this process's own, with a port that is free there: nobody else listens on it, nor connects from it, so that it stays
/// free when a member that has it is down.
pub(crate) fn reserve() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    // 127.0.0.x, where everybody else is, is never one of them.
    let number =
        NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |number| number.checked_add(1)).expect("a test needs few addresses");
    let address = Ipv4Addr::new(127, high | 0x80, low, number);
    let listener = TcpListener::bind((address, 0)).expect("all of 127.0.0.0/8 is this machine's");
    listener.local_addr().expect("it is bound")
}

/// A member; it is killed with the test.
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// Ends when all that the member has said is in `log`.
    reader: JoinHandle<()>,
    /// Where it serves clients: an address and a port.
    pub(crate) address: String,
}

impl Process {
    /// Starts a member on ports that the system chooses.
    pub(crate) fn start(folder: &Path, flags: &[&str]) -> Self {
        let ports = ["--listen-client-urls=http://127.0.0.1:0", "--listen-peer-urls=http://127.0.0.1:0"];
        let mut process = Self::spawn(program().current_dir(folder).args(ports).args(flags));
        process.wait_ready();
        process
    }

    /// Starts a member and does not wait for anything.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let keep = log.clone();
        // Whoever stops reading stops the writer, sooner or later.
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = keep.lock().expect("nobody panics while holding lines");
                if log.len() >= LINES_KEPT {
                    log.remove(0);
                }
                log.push(line);
            }
        });
        Self { child, log, reader, address: String::new() }
    }

    /// Waits until it says that it is ready.
    pub(crate) fn wait_ready(&mut self) {
        self.wait_line("ready to serve client requests");
        let line = self.wait_line("serving clients address=");
        let (_, address) = line.split_once("://").expect("it is a URL");
        self.address = address.trim_end_matches('"').to_owned();
    }

    /// Waits for a line of its log with this in it.
    pub(crate) fn wait_line(&mut self, text: &str) -> String {
        wait_for(text, || {
            // Asked first: what was said last has come by then.
            let has_ended = self.reader.is_finished();
            let found = self.log.lock().expect("nobody panics while holding lines").iter().find(|line| line.contains(text)).cloned();
            assert!(found.is_some() || !has_ended, "it has ended without {text:?}:\n{}", self.log());
            found
        })
    }

    /// The process's number, for what the system says of it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("nobody panics while holding lines").join("\n")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is ours, and we have not waited for it");
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for("end", || self.child.try_wait().expect("it is ours"))
    }

    pub(crate) fn end(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the member at {:?} said last:\n{}\n", self.address, self.log());
        }
    }
}

/// Waits until there is something, but not for ever.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "no {what:?} within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
