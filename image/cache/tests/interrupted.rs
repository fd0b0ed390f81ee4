//! A process that is killed at any moment leaves nothing that counts. The processes are this test's own binary, started again.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use shoal_cache::{Cache, Digest, PrunePolicy};

/// Tells a started test binary which cache to use; without it, the parts for started processes do nothing.
const CACHE: &str = "SHOAL_CACHE_TEST_DIRECTORY";

/// What a started process writes when it has come to the place where it waits.
const REACHED: &str = "reached";

fn key() -> Digest {
    Digest::of(b"key")
}

fn start(part: &str, cache: &Path) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", part, "--nocapture"]).env(CACHE, cache);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// Waits until the process says that it reached its place.
fn wait_until_reached(child: &mut Child) {
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains(REACHED)), "the process ended early");
}

/// In a started process: says that the place is reached, and waits until standard input is closed.
fn reach() {
    println!("\n{REACHED}");
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn started_for() -> Option<Cache> {
    env::var_os(CACHE).map(|directory| Cache::open(Path::new(&directory)).unwrap())
}

#[test]
fn part_stop_in_the_middle_of_a_step() {
    let Some(cache) = started_for() else { return };
    let _ = cache.step(&key(), "test", |dir| {
        fs::write(dir.join("half"), "x")?;
        reach();
        fs::write(dir.join("whole"), "x")
    });
}

#[test]
fn part_stop_in_the_middle_of_a_download() {
    let Some(cache) = started_for() else { return };
    let mut partial = cache.partial(&Digest::of(b"abcdef")).unwrap();
    partial.write_all(b"abc").unwrap();
    reach();
}

#[test]
fn part_stop_while_something_is_in_use() {
    let Some(cache) = started_for() else { return };
    cache.object(&Digest::of(b"object")).unwrap();
    reach();
}

#[test]
fn part_do_a_step_that_leaves_a_trace() {
    let Some(cache) = started_for() else { return };
    let traces = cache.root().join("traces");
    cache
        .step(&key(), "test", |dir| {
            fs::write(dir.join("whole"), "x")?;
            fs::write(traces.join(std::process::id().to_string()), "")
        })
        .unwrap();
}

#[test]
fn a_step_killed_in_the_middle_leaves_nothing_that_counts_and_runs_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = start("part_stop_in_the_middle_of_a_step", directory.path());
    wait_until_reached(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();

    let cache = Cache::open(directory.path()).unwrap();
    assert!(!cache.has_step(&key()));
    let step = cache.step(&key(), "test", |dir| fs::write(dir.join("whole"), "x")).unwrap();
    assert!(step.ran && step.dir.join("whole").exists());
    assert!(!step.dir.join("half").exists(), "what the killed process left was taken over");
}

#[test]
fn pruning_removes_what_a_killed_build_left_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).unwrap();
    let (_, object) = cache.insert_bytes(b"object").unwrap();
    let mut child = start("part_stop_in_the_middle_of_a_step", directory.path());
    wait_until_reached(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();

    assert_eq!(cache.usage().unwrap().running.count, 1);
    let pruned = cache.prune(&PrunePolicy::Leftovers).unwrap();
    assert_eq!(pruned.removed.count, 2, "the step's directory and the session");
    assert_eq!(cache.usage().unwrap().running.count, 0);
    assert!(object.exists());
}

#[test]
fn a_killed_download_is_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = start("part_stop_in_the_middle_of_a_download", directory.path());
    wait_until_reached(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();

    let cache = Cache::open(directory.path()).unwrap();
    let mut partial = cache.partial(&Digest::of(b"abcdef")).unwrap();
    assert_eq!(partial.len(), 3);
    partial.write_all(b"def").unwrap();
    partial.finish().unwrap();
}

#[test]
fn what_another_living_process_uses_is_not_pruned_until_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let object = Cache::open(directory.path()).unwrap().insert_bytes(b"object").unwrap().1;
    let mut child = start("part_stop_while_something_is_in_use", directory.path());
    wait_until_reached(&mut child);
    let cache = Cache::open(directory.path()).unwrap();
    assert_eq!(cache.prune(&PrunePolicy::Everything).unwrap().in_use, 1);
    assert!(object.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    cache.prune(&PrunePolicy::Everything).unwrap();
    assert!(!object.exists());
}

#[test]
fn processes_that_want_one_step_do_it_once() {
    let directory = tempfile::tempdir().unwrap();
    let traces = directory.path().join("traces");
    fs::create_dir(&traces).unwrap();
    let children: Vec<_> = (0..4).map(|_| start("part_do_a_step_that_leaves_a_trace", directory.path())).collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    assert_eq!(fs::read_dir(&traces).unwrap().count(), 1);
}
