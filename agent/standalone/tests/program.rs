//! `shoal-store` as a process: what it says, and how it ends.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything may take before it has failed.
const DEADLINE: Duration = Duration::from_secs(60);

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shoal-store"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A member on ports that the system chooses; it is killed with the test.
struct Member {
    process: Child,
    /// Where it serves clients: an address and a port.
    address: String,
}

impl Member {
    fn start(folder: &Path, flags: &[&str]) -> Self {
        let mut process = program()
            .current_dir(folder)
            .args(["--listen-client-urls=http://127.0.0.1:0", "--listen-peer-urls=http://127.0.0.1:0"])
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(process.stderr.take().expect("it is piped")).lines();
        let mut address = None;
        loop {
            let line = lines.next().expect("it says that it is ready before it ends").expect("it is text");
            if let Some((_, rest)) = line.split_once("serving clients address=\"http://") {
                address = rest.strip_suffix('"').map(str::to_owned);
            }
            if line.contains("ready to serve client requests") {
                break;
            }
        }
        // Whoever stops reading stops the writer, sooner or later.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address: address.expect("it has said where") }
    }

    fn end(mut self, signal: Signal) -> std::process::ExitStatus {
        kill_process(Pid::from_child(&self.process), signal).expect("it is there");
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("it is ours") {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn its_version_begins_like_etcds() {
    let output = program().arg("--version").output().expect("it runs");
    assert!(output.status.success() && text(&output).starts_with("etcd Version: 3.7."), "{}", text(&output));
}

#[test]
fn it_serves_when_it_says_so_and_ends_when_told() {
    let folder = folder();
    for signal in [Signal::TERM, Signal::INT] {
        let member = Member::start(folder.path(), &[]);
        let mut stream = TcpStream::connect(&member.address).expect("it listens");
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(r#"{"health":"true","reason":""}"#), "{answer}");
        assert!(member.end(signal).success());
    }
}

#[test]
fn what_is_wrong_is_told_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let taken = format!("--listen-client-urls=http://{}", taken.local_addr().expect("it is bound"));
    for (flags, says) in [
        (&["--heartbeat-interval=500"][..], "must be at least 5 times --heartbeat-interval"),
        (&[&taken], "cannot listen on http://127.0.0.1"),
        (&["--cert-file=missing", "--key-file=missing"], "cannot read missing as PEM"),
        (&["snapshot", "save", "file", "--endpoints=http://127.0.0.1:1"], "is a member serving clients there?"),
    ] {
        let folder = folder();
        let output = program().current_dir(folder.path()).args(flags).output().expect("it runs");
        let said = text(&output);
        assert!(!output.status.success() && said.contains(says) && said.contains("shoal-store: "), "{flags:?}: {said}");
    }
}

#[test]
fn a_backup_is_saved_whole_or_not_at_all() {
    let folder = folder();
    let member = Member::start(folder.path(), &[]);
    let endpoint = format!("--endpoints=http://{}", member.address);
    let output = program().current_dir(folder.path()).args(["snapshot", "save", "backup", &endpoint]).output().expect("it runs");
    assert!(output.status.success(), "{}", text(&output));
    let size = folder.path().join("backup").metadata().expect("it is there").len();
    assert_eq!(size % 512, 32, "as etcd's client wants it");
    assert!(!folder.path().join("backup.part").exists());
}
