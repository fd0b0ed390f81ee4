//! Real processes on a real disk: killed at any moment, they lose nothing that they acknowledged.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;

use bytes::Bytes;
use shoal_store_files::disk::RealDisk;
use shoal_store_files::disk::sim::Rng;
use shoal_store_files::log::{Entry, Log, LogId, LogOptions};

/// Processes that are killed, one after the other, on one log.
const KILLS: usize = 25;

/// Names the directory of the log to a process that shall append until it is killed.
const DIRECTORY: &str = "SHOAL_TEST_LOG_DIRECTORY";

fn options() -> LogOptions {
    LogOptions { segment_bytes: 128 << 10, ..LogOptions::default() }
}

fn entry(index: u64) -> Entry {
    Entry { id: LogId { term: 1, index }, payload: Bytes::from(vec![index as u8; (index * 37 % 3000) as usize]) }
}

fn open(directory: &Path) -> Log {
    Log::open(Arc::new(RealDisk), directory, options(), Arc::default()).unwrap().0
}

/// Not a test: what the processes do that the test below starts.
#[test]
#[ignore = "appends until it is killed; started by another test"]
fn append_until_killed() {
    let directory = std::env::var_os(DIRECTORY).unwrap();
    let log = open(Path::new(&directory));
    let mut next = log.state().last.map_or(0, |last| last.index + 1);
    loop {
        // Several at once, so that some wait while others are written.
        let (sender, receiver) = channel();
        for _ in 0..4 {
            let sender = sender.clone();
            let index = next;
            log.append(vec![entry(index)], Box::new(move |result| _ = sender.send(result.map(|()| index)))).unwrap();
            next += 1;
        }
        if next.is_multiple_of(64) {
            log.purge(LogId { term: 1, index: next - 60 }, Box::new(|_| {})).unwrap();
        }
        for _ in 0..4 {
            let acknowledged = receiver.recv().unwrap().unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "acknowledged {acknowledged}").unwrap();
            out.flush().unwrap();
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("log");
    Log::create(Arc::new(RealDisk), &directory, options(), Arc::default()).unwrap().close().unwrap();
    let mut rng = Rng::new(1);
    let mut total = 0;
    for _ in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "append_until_killed", "--ignored", "--nocapture"])
            .env(DIRECTORY, &directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut acknowledged = lines.by_ref().filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
        let mut last = acknowledged.by_ref().nth(rng.below(60)).unwrap();
        child.kill().unwrap();
        // What it said before it died counts, too.
        last = acknowledged.last().unwrap_or(last);
        child.wait().unwrap();

        let log = open(&directory);
        let state = log.state();
        let found = state.last.unwrap().index;
        assert!(found >= last, "entry {last} was acknowledged, and the log ends with {found}");
        let first = state.purged.map_or(0, |purged| purged.index + 1);
        let expected: Vec<Entry> = (first..=found).map(entry).collect();
        assert_eq!(log.read(first..found + 1, usize::MAX).unwrap(), expected);
        total = last;
        log.close().unwrap();
    }
    println!("{KILLS} kills, {total} entries acknowledged, none lost");
}
