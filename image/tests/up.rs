//! `shoal up`, `down` and `list`, as people type them, with boxes that are clusters without Kubernetes: what comes, and that it goes away again, however it is ended.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The boxes form clusters, and there is no API that would be ready.
const RECIPE: &str = "bare";
/// How long something may take that comes by itself. Emulated boxes on a busy machine take minutes; this only ends what hangs.
const LIMIT: Duration = Duration::from_secs(600);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// A user with no clusters.
struct User(TempDir);

impl User {
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary directory can be made"))
    }

    fn clusters(&self) -> PathBuf {
        self.0.path().join("shoal/clusters")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shoal"));
        command.env("XDG_STATE_HOME", self.0.path()).args(arguments);
        command
    }

    fn shoal(&self, arguments: &[&str]) -> (bool, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("shoal can be started");
        (status.success(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
    }

    /// Does what has to go well.
    fn does(&self, arguments: &[&str]) -> String {
        let (went_well, said) = self.shoal(arguments);
        assert!(went_well, "shoal {arguments:?}: {said}");
        said
    }

    /// What `shoal list --json` says.
    fn list(&self) -> serde_json::Value {
        let output = self.command(&["list", "--json"]).output().expect("shoal can be started");
        serde_json::from_slice(&output.stdout).expect("it is JSON")
    }

    /// Starts `shoal up`, and waits until it has said of the first box that it is switched on.
    fn starts(&self, name: &str) -> Child {
        let mut up = self.command(&["up", RECIPE, "--name", name, "--nodes", "1", "--memory", "1024"]);
        let mut up = up.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("shoal can be started");
        let mut lines = BufReader::new(up.stderr.take().expect("it is piped"));
        let mut said = String::new();
        while !said.contains("box1: switched on") {
            assert_ne!(lines.read_line(&mut said).expect("it is text"), 0, "{said}");
        }
        // Whoever writes to a pipe that nobody reads is ended.
        thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        up
    }

    /// Nothing of a cluster is there, and no process that has to do with one.
    fn has_nothing(&self) -> bool {
        let names = fs::read_dir(self.clusters()).into_iter().flatten().flatten().map(|entry| entry.file_name());
        // The lock over all, and what is known of the machine.
        let clusters = names.filter(|name| name != ".lock" && name != ".host").count();
        clusters == 0 && processes(self.0.path()).is_empty()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // Of a test that has failed nothing is to be left, either.
        for process in processes(self.0.path()) {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// Processes whose command line or working input names the directory: QEMUs by their disks, keepers by their log.
fn processes(directory: &Path) -> Vec<Pid> {
    let directory = directory.to_string_lossy().into_owned();
    let names = |process: &Path| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let log = fs::read_link(process.join("fd/2")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&directory) || log.to_string_lossy().contains(&directory)
    };
    let entries = fs::read_dir("/proc").expect("there is a /proc").flatten().map(|entry| entry.path());
    let numbers = entries.filter(|path| names(path)).filter_map(|path| path.file_name()?.to_str()?.parse().ok());
    numbers.filter_map(Pid::from_raw).collect()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(LOOK);
    }
}

fn boxes(list: &serde_json::Value) -> Vec<&str> {
    list[0]["boxes"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect()
}

#[test]
fn boxes_come_up_as_one_cluster_and_go_down_without_a_trace() {
    let user = User::new();
    assert!(user.does(&["list"]).contains("shoal up"));
    let said = user.does(&["up", RECIPE, "--name", "ci-1", "--nodes", "2", "--memory", "1024", "--no-wait"]);
    assert!(said.contains("2 boxes") && said.contains("shoal down ci-1"), "{said}");
    let (went_well, said) = user.shoal(&["up", RECIPE, "--name", "ci-1", "--no-wait"]);
    assert!(!went_well && said.contains("shoal down ci-1") && said.contains("--name"), "{said}");
    // They are on one switch, and each other's fleet: they say so themselves.
    wait_until("both are members of one cluster", || {
        let list = user.list();
        let boxes = boxes(&list);
        boxes.len() == 2 && boxes.iter().all(|stage| stage.contains(" of 2 members"))
    });
    let said = user.does(&["list"]);
    assert!(said.contains("ci-1: up, 2 boxes (amd64, 1024 MiB each)"), "{said}");
    let said = user.does(&["down", "ci-1"]);
    assert!(said.contains("ci-1 is gone") && user.has_nothing(), "{said}");
    let (went_well, said) = user.shoal(&["down", "ci-1"]);
    assert!(!went_well && said.contains("no cluster named ci-1"), "{said}");
}

#[test]
fn one_that_is_not_up_in_time_says_what_its_boxes_were_at_and_is_gone() {
    let user = User::new();
    let (went_well, said) = user.shoal(&["up", RECIPE, "--nodes", "1", "--memory", "1024", "--wait", "1s"]);
    assert!(!went_well && said.contains("--wait") && said.contains("box1: "), "{said}");
    assert!(user.has_nothing(), "{said}");
}

#[test]
fn nothing_is_left_when_the_command_or_the_keeper_is_killed() {
    let user = User::new();
    let mut up = user.starts("killed");
    assert!(!user.has_nothing());
    up.kill().expect("it runs");
    up.wait().expect("it can be waited for");
    wait_until("a killed command leaves nothing", || user.has_nothing());

    let mut up = user.starts("keeper");
    let keeper = processes(user.0.path()).into_iter().find(|process| {
        let line = fs::read(format!("/proc/{}/cmdline", process.as_raw_pid())).unwrap_or_default();
        line.split(|byte| *byte == 0).nth(1) == Some(b"keep")
    });
    kill_process(keeper.expect("it has a keeper"), Signal::KILL).expect("it runs");
    assert!(!up.wait().expect("it can be waited for").success());
    wait_until("boxes end with their keeper", || processes(user.0.path()).is_empty());
    assert!(user.does(&["list"]).contains("no clusters") && user.has_nothing());
}

#[test]
fn disks_that_are_to_be_kept_outlive_the_boxes() {
    let user = User::new();
    let up = ["up", RECIPE, "--name", "kept", "--nodes", "1", "--memory", "1024", "--keep", "--no-wait"];
    user.does(&up);
    let cluster = |user: &User| {
        let mut cluster = None;
        wait_until("it is a cluster", || {
            let list = user.list();
            let stage = boxes(&list).first().copied().unwrap_or_default().to_owned();
            cluster = stage.split_once("cluster ").and_then(|(_, rest)| Some(rest.split_once(',')?.0.to_owned()));
            cluster.is_some()
        });
        cluster
    };
    let first = cluster(&user);
    assert!(user.does(&["down", "kept"]).contains("is off"));
    assert!(processes(user.0.path()).is_empty());
    assert!(user.does(&["list"]).contains("kept: off, 1 box"));
    user.does(&up);
    assert_eq!(cluster(&user), first, "it goes on where it was");
    assert!(user.does(&["down", "kept", "--delete"]).contains("is gone") && user.has_nothing());
}

#[test]
fn what_no_box_boots_and_what_is_no_name_is_refused() {
    let user = User::new();
    let iso = user.0.path().join("shoal.iso");
    fs::write(&iso, "").expect("it can be written");
    let (went_well, said) = user.shoal(&["up", iso.to_str().expect("it is text"), "--no-wait"]);
    assert!(!went_well && said.contains(".qcow2"), "{said}");
    let image = user.0.path().join("shoal.img");
    fs::write(&image, "no image").expect("it can be written");
    let (went_well, said) = user.shoal(&["up", image.to_str().expect("it is text"), "--no-wait"]);
    assert!(!went_well && said.contains("cannot stamp"), "{said}");
    let (went_well, said) = user.shoal(&["up", "--name", "My Cluster"]);
    assert!(!went_well && said.contains("a-z"), "{said}");
    assert!(user.has_nothing());
}
