//! Ctrl-C, a closed terminal and kill(1) end a build at once, with all that it started, and nothing half-made is left.

mod archive;
mod loopback;
mod place;

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use archive::deb_path;
use place::{Place, said};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use shoal::events::{Reporter, Style};
use shoal::interrupt;
use shoal::step::{Key, step};
use shoal_cache::Cache;
use shoal_tools::run::run;

/// Longest wait for something that happens at once unless the code under test is broken.
const LIMIT: Duration = Duration::from_secs(60);

/// Tells this test's binary, started again, what to do in the middle of a step and where; without it, the part for it does nothing.
const WORK: &str = "SHOAL_INTERRUPT_TEST_WORK";
const PLACE: &str = "SHOAL_INTERRUPT_TEST_PLACE";

/// A compiler with a child that hears no polite signal, and that alone holds the pipe.
const COMPILER: &str = r#"sh -c 'trap "" HUP INT TERM; exec >"$1" 2>/dev/null; echo; exec tail -f /dev/null' sh "$1" & wait"#;

fn send(process: &Child, signal: Signal) {
    kill_process(Pid::from_child(process), signal).expect("it has not been reaped");
}

/// The same command with the signals as a terminal's shell leaves them. Whoever starts these tests in the background may have SIGINT ignored, which is
/// handed down, and which `shoal` respects.
fn hearing(command: &Command) -> Command {
    let mut hearing = Command::new("env");
    hearing.arg("--default-signal=HUP,INT,TERM").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => hearing.env(name, value),
            None => hearing.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        hearing.current_dir(directory);
    }
    hearing
}

/// Waits for the end of a process.
#[track_caller]
fn end_of(process: Child) -> Output {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(process.wait_with_output()));
    receiver.recv_timeout(LIMIT).expect("it ends").expect("it can be waited for")
}

/// A build that has come to the middle of a download.
fn downloading(place: &Place, command: &mut Command) -> Child {
    const BYTES: usize = 1000;
    let stalled = place.server.stall(&deb_path("crun", "amd64"), BYTES);
    let build = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("shoal can be started");
    stalled.recv_timeout(LIMIT).expect("the package is asked for");
    build
}

#[test]
fn a_signal_in_a_download_ends_the_build_and_leaves_everything_as_it_was() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let place = Place::locked();
        let before = place.everything();
        let build = downloading(&place, &mut hearing(&place.command(&["build", "tiny.toml", "--arch", "amd64", "--out", "new/deep"])));
        assert!(place.path("new/deep").is_dir(), "it is made before anything is fetched");
        send(&build, signal);
        let output = end_of(build);
        assert_eq!(output.status.signal(), Some(signal.as_raw()), "{}", said(&output));
        let text = said(&output);
        assert!(text.contains("interrupted; what was done so far is kept") && !text.contains("error"), "{text}");
        assert!(place.everything() == before, "something is left outside the cache");
        assert_eq!(names(&place.path("cache/sessions")), Vec::<String>::new());
    }
}

#[test]
fn a_signal_that_nohup_has_it_ignore_is_ignored() {
    let place = Place::locked();
    let shoal = place.command(&["build", "tiny.toml", "--arch", "amd64"]);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(shoal.get_program()).args(shoal.get_args());
    command.envs(shoal.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let build = downloading(&place, command.current_dir(place.path(".")));
    // The first does nothing, so the second is what it ends by.
    send(&build, Signal::HUP);
    send(&build, Signal::TERM);
    assert_eq!(end_of(build).status.signal(), Some(Signal::TERM.as_raw()));
}

#[test]
fn part_be_in_the_middle_of_a_step() {
    let (Some(work), Some(place)) = (env::var_os(WORK), env::var_os(PLACE).map(PathBuf::from)) else { return };
    interrupt::watch().expect("signals can be listened for");
    let cache = Cache::open(&place.join("cache")).expect("it can be made");
    let outcome = step(&cache, &Reporter::new(Style::Plain), "work", Key::new("work", 1), |directory| {
        fs::write(directory.join("half"), "x")?;
        let pipe = place.join("pipe");
        if work == "compile" {
            run(Command::new("/bin/sh").args(["-c", COMPILER, "sh"]).arg(pipe), &mut |_| ())?;
        } else {
            writeln!(File::create(pipe)?)?;
            // Work of our own, which looks at no signal.
            for number in 0_u64.. {
                fs::write(directory.join((number % 100).to_string()), "x")?;
            }
        }
        Ok(())
    });
    panic!("the step ended: {outcome:?}");
}

#[test]
fn a_signal_in_a_step_ends_its_programs_and_its_own_work_and_leaves_nothing_of_it() {
    for work in ["compile", "write"] {
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let pipe = place.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a pipe can be made");
        let temporary = place.path().join("temporary");
        fs::create_dir(&temporary).expect("it is empty");
        let mut command = Command::new(env::current_exe().expect("it runs"));
        command.args(["--exact", "part_be_in_the_middle_of_a_step", "--nocapture"]).env(WORK, work).env(PLACE, place.path());
        command.env("TMPDIR", &temporary);
        let build = hearing(&command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be started");

        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || read_to_the_end(&pipe, &sender));
        receiver.recv_timeout(LIMIT).expect("the step is at work").expect("the pipe can be read");
        send(&build, Signal::INT);
        let output = end_of(build);
        assert_eq!(output.status.signal(), Some(Signal::INT.as_raw()), "{}", said(&output));
        assert!(!said(&output).contains("the step ended"), "{}", said(&output));
        receiver.recv_timeout(LIMIT).expect("the compiler's child ends, too").expect("the pipe can be read");
        assert_eq!(names(&place.path().join("cache/steps")), Vec::<String>::new());
        assert_eq!(names(&temporary), Vec::<String>::new());
    }
}

/// Sends a word when a byte has come, and another one when the last writer is gone.
fn read_to_the_end(pipe: &Path, words: &mpsc::Sender<io::Result<()>>) {
    let mut file = File::open(pipe);
    let mut read = |bytes: &mut [u8]| file.as_mut().map_err(|error| error.kind().into()).and_then(|file| file.read(bytes));
    drop(words.send(read(&mut [0]).map(drop)));
    drop(words.send(loop {
        match read(&mut [0]) {
            Ok(0) => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    }));
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it can be listed");
    entries.map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned()).collect()
}
