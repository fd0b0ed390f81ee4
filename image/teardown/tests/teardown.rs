//! A process that is killed takes along all that it started; one that does a teardown leaves nothing unfinished, either. The processes are this test's own
//! binary, started again.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use shoal_teardown::{ProcessTree, TemporaryDirectory, Unfinished};

/// Tells a started test binary where to work; without it, the parts for started processes do nothing.
const PLACE: &str = "SHOAL_TEARDOWN_TEST_PLACE";

/// Longest wait for something that happens at once unless the code under test is broken.
const LIMIT: Duration = Duration::from_secs(60);

/// A program that starts a program that starts a program. The last one hears no polite signal, says a word, and then does nothing.
const FAMILY: &str = "sh -c 'trap \"\" HUP INT TERM; echo child of child; exec tail -f /dev/null' & wait";

fn family(output: impl Into<Stdio>) -> ProcessTree {
    ProcessTree::spawn(Command::new("/bin/sh").args(["-c", FAMILY]).stdin(Stdio::null()).stdout(output)).unwrap()
}

/// Runs `wait` and fails if it does not end.
#[track_caller]
fn bounded<T: Send + 'static>(what: &str, wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(wait()));
    receiver.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("{what}: not within {} s", LIMIT.as_secs()))
}

/// A process whose standard output all its descendants share.
struct Victim {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Victim {
    fn start(part: &str, place: &Path) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", part, "--nocapture", "--quiet"]).env(PLACE, place).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    fn await_line(mut self, wanted: &'static str) -> Self {
        bounded(wanted, move || {
            let mut line = String::new();
            while line.trim() != wanted {
                line.clear();
                assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "it ended before it said {wanted:?}");
            }
            self
        })
    }

    /// The end of the output is the end of all who share it.
    fn await_the_end_of_all(mut self) {
        bounded("the end of all descendants", move || self.output.read_to_end(&mut Vec::new()).unwrap());
    }
}

fn place() -> Option<std::path::PathBuf> {
    env::var_os(PLACE).map(Into::into)
}

/// In a started process: waits to be killed.
fn idle() {
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn own_output() -> Stdio {
    std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned().unwrap().into()
}

#[test]
fn part_run_a_family() {
    if place().is_some() {
        let _family = family(own_output());
        idle();
    }
}

#[test]
fn part_do_a_teardown() {
    let Some(place) = place() else { return };
    let _family = family(own_output());
    let _outer = Unfinished::while_empty(&place.join("outer"));
    fs::create_dir(place.join("outer")).unwrap();
    let _others = Unfinished::while_empty(&place.join("others"));
    fs::create_dir(place.join("others")).unwrap();
    fs::write(place.join("others/file"), "x").unwrap();
    let finished = Unfinished::whole(&place.join("finished.new"));
    fs::write(place.join("finished.new"), "x").unwrap();
    finished.finish(|| fs::rename(place.join("finished.new"), place.join("finished"))).unwrap();
    let temporary = TemporaryDirectory::within(&place.join("outer"), "temporary-").unwrap();
    fs::write(temporary.path().join("half"), "x").unwrap();
    let mut line = String::new();
    io::stdin().read_line(&mut line).unwrap();

    let teardown = shoal_teardown::begin();
    // Other threads begin and finish nothing any more.
    let (started, half) = (place.join("started"), temporary.path().join("half"));
    thread::spawn(move || ProcessTree::spawn(Command::new("/bin/touch").arg(started)).unwrap());
    thread::spawn(move || temporary.finish(|_| fs::write(half, "published")));
    println!("\ntorn down");
    io::stdout().flush().unwrap();
    io::stdin().read_line(&mut line).unwrap();
    drop((line, teardown));
    std::process::abort();
}

#[test]
fn a_killed_process_takes_along_what_its_programs_started() {
    let place = tempfile::tempdir().unwrap();
    let mut victim = Victim::start("part_run_a_family", place.path()).await_line("child of child");
    victim.process.kill().unwrap();
    victim.process.wait().unwrap();
    victim.await_the_end_of_all();
}

#[test]
fn a_teardown_ends_all_programs_and_leaves_what_is_finished_and_what_is_others() {
    let place = tempfile::tempdir().unwrap();
    let mut victim = Victim::start("part_do_a_teardown", place.path()).await_line("child of child");
    let mut input = victim.process.stdin.take().unwrap();
    writeln!(input, "now").unwrap();
    let mut victim = victim.await_line("torn down");
    let mut left: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["finished", "others"]);
    victim.process.kill().unwrap();
    victim.process.wait().unwrap();
    victim.await_the_end_of_all();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
}

#[test]
fn a_tree_that_is_killed_or_dropped_is_gone_with_all_in_it() {
    for drops in [false, true] {
        let mut tree = family(Stdio::piped());
        let mut output = BufReader::new(tree.child().stdout.take().unwrap());
        let mut output = bounded("the family's word", move || {
            assert_ne!(output.read_line(&mut String::new()).unwrap(), 0);
            output
        });
        if drops {
            drop(tree);
        } else {
            assert_eq!(tree.kill().unwrap().code(), None);
            assert_eq!(tree.wait().unwrap().code(), None, "it can be asked again");
        }
        bounded("the end of all", move || output.read_to_end(&mut Vec::new()).unwrap());
    }
}

#[test]
fn what_a_program_leaves_behind_ends_with_it() {
    let script = "sh -c 'echo left; exec tail -f /dev/null' & exit 7";
    let mut tree = ProcessTree::spawn(Command::new("/bin/sh").args(["-c", script]).stdout(Stdio::piped())).unwrap();
    let mut output = tree.child().stdout.take().unwrap();
    assert_eq!(tree.wait().unwrap().code(), Some(7));
    bounded("the end of what was left", move || output.read_to_end(&mut Vec::new()).unwrap());
}

#[test]
fn a_program_that_does_not_exist_is_an_error_and_leaves_no_watcher() {
    let error = ProcessTree::spawn(&mut Command::new("/nonexistent/program")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let own = fs::read_to_string(format!("/proc/self/task/{}/children", rustix::thread::gettid().as_raw_nonzero())).unwrap();
    assert_eq!(own, "", "a child was left");
}

#[test]
fn what_is_dropped_is_removed_and_what_cannot_be_published_too() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    let unfinished = Unfinished::whole(&file);
    File::create(&file).unwrap();
    drop(unfinished);
    assert!(!file.exists());

    let unfinished = Unfinished::whole(&file);
    File::create(&file).unwrap();
    assert!(unfinished.finish(|| fs::rename(&file, place.path().join("no/such/directory"))).is_err());
    assert!(!file.exists());

    let unfinished = Unfinished::whole(&file);
    File::create(&file).unwrap();
    unfinished.keep();
    assert!(file.exists());
}
