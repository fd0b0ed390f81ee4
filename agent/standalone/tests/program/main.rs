//! `shoal-store` as a process: what it says, what it keeps, and how it ends.

#[path = "../harness/mod.rs"]
mod harness;

mod backups;
mod certificates;
mod members;
mod restarts;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use harness::{Process, folder, program, text};
use rustix::process::Signal;

#[test]
fn its_version_begins_like_etcds() {
    let output = program().arg("--version").output().expect("it runs");
    assert!(output.status.success() && text(&output).starts_with("etcd Version: 3.7."), "{}", text(&output));
}

#[test]
fn it_serves_when_it_says_so_and_ends_when_told() {
    let folder = folder();
    for signal in [Signal::TERM, Signal::INT] {
        let member = Process::start(folder.path(), &[]);
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
    let address = taken.local_addr().expect("it is bound");
    let (taken, taken_by_peers) = (format!("--listen-client-urls=http://{address}"), format!("--listen-peer-urls=http://{address}"));
    for (flags, says) in [
        (&["--heartbeat-interval=500"][..], "must be at least 5 times --heartbeat-interval"),
        (&[&taken], "cannot listen on http://127.0.0.1"),
        (&[&taken_by_peers], "cannot listen on http://127.0.0.1"),
        (&["--cert-file=missing", "--key-file=missing"], "cannot read missing as PEM"),
        (&["--data-dir=/dev/null/data"], "cannot make the directory /dev/null/data"),
        (&["snapshot", "save", "file", "--endpoints=http://127.0.0.1:1"], "is a member serving clients there?"),
    ] {
        let folder = folder();
        let ports = ["--listen-client-urls=http://127.0.0.1:0", "--listen-peer-urls=http://127.0.0.1:0"];
        let flags: Vec<&str> = if flags[0] == "snapshot" { flags.to_vec() } else { ports.iter().chain(flags).copied().collect() };
        let output = program().current_dir(folder.path()).args(&flags).output().expect("it runs");
        let said = text(&output);
        assert!(!output.status.success() && said.contains(says) && said.contains("shoal-store: "), "{flags:?}: {said}");
    }
}
