//! A build that is killed takes its compilers along. The build is this test's own binary, started again.

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use shoal_tools::run::run;

/// Tells the started binary which pipe the compiler's child writes to; without it, its part does nothing.
const PIPE: &str = "SHOAL_TOOLS_TEST_PIPE";

/// Longest wait for something that happens at once unless the code under test is broken.
const LIMIT: Duration = Duration::from_secs(60);

/// A compiler with a child that hears no polite signal, and that alone holds the pipe.
const COMPILER: &str = r#"sh -c 'trap "" HUP INT TERM; exec >"$1" 2>/dev/null; echo compiling; exec tail -f /dev/null' sh "$1" & wait"#;

#[test]
fn part_compile() {
    if let Some(pipe) = env::var_os(PIPE) {
        run(Command::new("/bin/sh").args(["-c", COMPILER, "sh"]).arg(pipe), &mut |_| ()).unwrap();
    }
}

#[test]
fn what_a_compiler_started_ends_with_a_build_that_is_killed() {
    let place = tempfile::tempdir().unwrap();
    let pipe = place.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "part_compile"]).env(PIPE, &pipe).env("TMPDIR", place.path());
    let mut build = command.stdout(Stdio::null()).spawn().unwrap();

    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || read_to_the_end(&pipe, &sender));
    assert_eq!(receiver.recv_timeout(LIMIT).as_deref(), Ok("compiling\n"));
    build.kill().unwrap();
    build.wait().unwrap();
    assert_eq!(receiver.recv_timeout(LIMIT).as_deref(), Ok(""), "the compiler's child lives on");
}

/// Sends the first line, and what follows it when the last writer is gone.
fn read_to_the_end(pipe: &Path, lines: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(File::open(pipe).unwrap());
    let (mut line, mut rest) = (String::new(), String::new());
    reader.read_line(&mut line).unwrap();
    lines.send(line).unwrap();
    reader.read_to_string(&mut rest).unwrap();
    lines.send(rest).unwrap();
}
