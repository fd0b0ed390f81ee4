//! What a log does, on the real disk and on the simulated one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use bytes::Bytes;
use shoal_store_files::disk::sim::SimDisk;
use shoal_store_files::disk::{Disk, RealDisk};
use shoal_store_files::log::{Done, Entry, Log, LogFailed, LogId, LogOptions, LogState, OpenLogError, ReadLogError, SubmitError};
use shoal_store_files::wear::{Cause, Wear};

/// A place for a log that goes when the test is over.
struct Place {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    wear: Arc<Wear>,
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    fn real() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join("log");
        Self { disk: Arc::new(RealDisk), directory, wear: Arc::default(), _temporary: Some(temporary) }
    }

    fn simulated() -> Self {
        let disk = SimDisk::new(1);
        disk.set_short_writes(true);
        Self { disk: Arc::new(disk), directory: "/log".into(), wear: Arc::default(), _temporary: None }
    }

    fn create(&self, options: LogOptions) -> Log {
        Log::create(self.disk.clone(), &self.directory, options, self.wear.clone()).unwrap()
    }

    fn open(&self, options: LogOptions) -> (Log, LogState) {
        let (log, recovered) = self.try_open(options).unwrap();
        assert_eq!(recovered.torn, None);
        (log, recovered.state)
    }

    fn try_open(&self, options: LogOptions) -> Result<(Log, shoal_store_files::log::Recovered), OpenLogError> {
        Log::open(self.disk.clone(), &self.directory, options, self.wear.clone())
    }

    fn files(&self) -> Vec<String> {
        let mut names = self.disk.list(&self.directory).unwrap();
        names.retain(|name| name != "lock");
        names.sort();
        names
    }
}

/// Runs a test on both disks.
macro_rules! on_both_disks {
    ($($(#[$attribute:meta])* fn $name:ident($place:ident: &Place) $body:block)*) => {
        $(
            mod $name {
                use super::*;

                fn test($place: &Place) $body

                #[test]
                fn on_the_real_disk() {
                    test(&Place::real());
                }

                #[test]
                fn on_the_simulated_disk() {
                    test(&Place::simulated());
                }
            }
        )*
    };
}

fn small() -> LogOptions {
    LogOptions { segment_bytes: 64 << 10, ..LogOptions::default() }
}

fn id(term: u64, index: u64) -> LogId {
    LogId { term, index }
}

fn entry(term: u64, index: u64, size: usize) -> Entry {
    Entry { id: id(term, index), payload: Bytes::from(vec![index as u8; size]) }
}

fn entries(indices: std::ops::Range<u64>, size: usize) -> Vec<Entry> {
    indices.map(|index| entry(1, index, size)).collect()
}

fn callback() -> (Done, Receiver<Result<(), LogFailed>>) {
    let (sender, receiver) = channel();
    (Box::new(move |result| sender.send(result).unwrap()), receiver)
}

/// Submits something and waits until it is durable.
fn durable(submit: impl FnOnce(Done) -> Result<(), SubmitError>) {
    let (done, called) = callback();
    submit(done).unwrap();
    called.recv().unwrap().unwrap();
}

fn ignore() -> Done {
    Box::new(|_| {})
}

on_both_disks! {
    fn a_log_that_was_closed_is_found_again(place: &Place) {
        let log = place.create(small());
        durable(|done| log.append(entries(0..10, 100), done));
        durable(|done| log.truncate_from(8, done));
        durable(|done| log.append(vec![entry(2, 8, 7)], done));
        durable(|done| log.save_vote(Bytes::from_static(b"vote"), done));
        durable(|done| log.purge(id(1, 2), done));
        log.save_committed(Some(id(1, 5))).unwrap();
        let state = log.state();
        log.close().unwrap();
        let (log, found) = place.open(small());
        assert_eq!(found, state);
        assert_eq!(found, LogState {
            purged: Some(id(1, 2)),
            last: Some(id(2, 8)),
            vote: Some(Bytes::from_static(b"vote")),
            committed: Some(id(1, 5)),
        });
        let mut expected = entries(3..8, 100);
        expected.push(entry(2, 8, 7));
        assert_eq!(log.read(3..9, usize::MAX).unwrap(), expected);
    }

    fn entries_are_read_from_files_as_from_memory(place: &Place) {
        // Nothing is kept in memory; frames of one entry, of several, and over several segments.
        let log = place.create(LogOptions { cache_bytes: 0, ..small() });
        let mut all = Vec::new();
        for (start, size) in (0..100).step_by(5).zip((0..20_u64).map(|step| (step * 719 % 9000) as usize)) {
            let batch = entries(start..start + 5, size);
            all.extend_from_slice(&batch);
            durable(|done| log.append(batch, done));
        }
        assert_eq!(log.read(0..100, usize::MAX).unwrap(), all);
        for start in 0..100 {
            assert_eq!(log.read(start..start + 1, 0).unwrap(), all[start as usize..=start as usize], "one comes whatever its size");
        }
        let (log, _) = { log.close().unwrap(); place.open(LogOptions { cache_bytes: 5000, ..small() }) };
        assert_eq!(log.read(0..100, usize::MAX).unwrap(), all);
    }

    fn what_is_read_is_bounded(place: &Place) {
        for cache_bytes in [0, 500, 1 << 20] {
            let log = place.create(LogOptions { cache_bytes, ..small() });
            durable(|done| log.append(entries(0..10, 100), done));
            let count = |most| log.read(0..10, most).unwrap().len();
            assert_eq!([0, 99, 100, 199, 200, 999, 1000, 5000].map(count), [1, 1, 1, 1, 2, 9, 10, 10], "cache {cache_bytes}");
            log.close().unwrap();
            for file in place.files() {
                place.disk.remove(&place.directory.join(file)).unwrap();
            }
        }
    }

    fn what_is_not_there_is_missing(place: &Place) {
        let log = place.create(small());
        durable(|done| log.append(entries(0..10, 100), done));
        durable(|done| log.purge(id(1, 4), done));
        for (range, missing) in [(4..6, 4), (0..2, 0), (8..11, 10), (20..21, 20)] {
            assert!(matches!(log.read(range, 1000), Err(ReadLogError::Missing { index }) if index == missing));
        }
        assert_eq!(log.read(5..5, 1000).unwrap(), []);
        assert_eq!([3, 4, 5, 9, 10].map(|index| log.id_at(index)), [None, Some(id(1, 4)), Some(id(1, 5)), Some(id(1, 9)), None]);
    }

    fn what_does_not_follow_is_refused_and_changes_nothing(place: &Place) {
        let log = place.create(small());
        durable(|done| log.append(entries(3..6, 10), done));
        durable(|done| log.purge(id(1, 3), done));
        let state = log.state();
        assert!(matches!(log.append(entries(7..8, 1), ignore()), Err(SubmitError::Hole { expected: 6, got: 7 })));
        assert!(matches!(log.append(entries(5..6, 1), ignore()), Err(SubmitError::Hole { expected: 6, got: 5 })));
        assert!(matches!(log.append(vec![entry(1, 6, 1), entry(1, 8, 1)], ignore()), Err(SubmitError::Hole { expected: 7, got: 8 })));
        assert!(matches!(log.truncate_from(3, ignore()), Err(SubmitError::Purged { index: 3 })));
        assert!(matches!(log.purge(id(1, 2), ignore()), Err(SubmitError::Purged { index: 2 })));
        assert!(matches!(log.append(vec![entry(1, 6, 60_000)], ignore()), Err(SubmitError::TooLarge { got: 60_000, .. })));
        assert!(matches!(log.save_vote(Bytes::from(vec![0; 257]), ignore()), Err(SubmitError::TooLarge { got: 257, most: 256 })));
        assert_eq!(log.state(), state);
        durable(|done| log.append(entries(6..7, 1), done));
    }

    fn purged_segments_are_used_again(place: &Place) {
        let log = place.create(small());
        let mut files = 0;
        let mut zeros = 0;
        for round in 0..40_u64 {
            durable(|done| log.append(entries(round * 4..round * 4 + 4, 5000), done));
            durable(|done| log.purge(id(1, round * 4 + 3), done));
            files = files.max(place.files().len());
            if round == 10 {
                zeros = place.wear.of(Cause::Preallocation).bytes;
            }
        }
        assert!(files <= small().spares + 2, "one in use, the spares, and one being let go of: {files}");
        assert_eq!(place.wear.of(Cause::Preallocation).bytes, zeros, "no more zeros are written");
        log.close().unwrap();
        let (log, state) = place.open(small());
        assert_eq!(state.last, Some(id(1, 159)));
        durable(|done| log.append(entries(160..161, 5000), done));
        assert_eq!(log.read(160..161, 0).unwrap(), entries(160..161, 5000));
    }

    fn a_snapshot_beyond_the_end_lets_the_log_go_on_behind_it(place: &Place) {
        let log = place.create(small());
        durable(|done| log.append(entries(0..3, 10), done));
        durable(|done| log.purge(id(5, 100), done));
        durable(|done| log.append(vec![entry(5, 101, 10)], done));
        log.close().unwrap();
        let (log, state) = place.open(small());
        assert_eq!((state.purged, state.last), (Some(id(5, 100)), Some(id(5, 101))));
        assert_eq!(log.read(101..102, 0).unwrap(), [entry(5, 101, 10)]);
    }

    fn a_directory_belongs_to_one_log_at_a_time(place: &Place) {
        assert!(matches!(place.try_open(small()), Err(OpenLogError::Missing { .. })));
        let log = place.create(small());
        assert!(matches!(place.try_open(small()), Err(OpenLogError::Locked { .. })));
        let again = Log::create(place.disk.clone(), &place.directory, small(), place.wear.clone());
        assert!(matches!(again, Err(OpenLogError::Locked { .. })));
        let other = log.clone();
        log.close().unwrap();
        assert!(matches!(other.save_vote(Bytes::new(), ignore()), Err(SubmitError::Closed)));
        let again = Log::create(place.disk.clone(), &place.directory, small(), place.wear.clone());
        assert!(matches!(again, Err(OpenLogError::Exists { .. })));
        place.open(small());
    }

    fn segments_of_another_size_are_read_and_left_behind(place: &Place) {
        let log = place.create(small());
        durable(|done| log.append(entries(0..4, 9000), done));
        log.close().unwrap();
        let (log, _) = place.open(LogOptions { segment_bytes: 256 << 10, ..LogOptions::default() });
        durable(|done| log.append(entries(4..6, 100_000), done));
        log.close().unwrap();
        let (log, _) = place.open(small());
        let all: Vec<Entry> = entries(0..4, 9000).into_iter().chain(entries(4..6, 100_000)).collect();
        assert_eq!(log.read(0..6, usize::MAX).unwrap(), all);
    }

    fn the_last_handle_may_go_in_a_callback(place: &Place) {
        let log = place.create(small());
        let (sender, receiver) = channel();
        let mine = log.clone();
        log.append(entries(0..1, 10), Box::new(move |result| {
            drop(mine);
            sender.send(result).unwrap();
        })).unwrap();
        drop(log);
        receiver.recv().unwrap().unwrap();
    }

    fn what_was_submitted_before_closing_is_durable(place: &Place) {
        let log = place.create(small());
        let (sender, receiver) = channel();
        for index in 0..50 {
            let sender = sender.clone();
            log.append(entries(index..index + 1, 500), Box::new(move |result| sender.send((index, result.is_ok())).unwrap())).unwrap();
        }
        log.close().unwrap();
        let called: Vec<_> = receiver.try_iter().collect();
        assert_eq!(called, (0..50).map(|index| (index, true)).collect::<Vec<_>>(), "all, and in order");
        assert_eq!(place.open(small()).1.last, Some(id(1, 49)));
    }
}

#[test]
fn files_of_the_log_are_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::real();
    let _log = place.create(small());
    for name in place.files() {
        assert_eq!(std::fs::metadata(place.directory.join(&name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_parent_that_is_not_there_is_an_error_that_names_it() {
    let result = Log::create(Arc::new(SimDisk::new(0)), Path::new("/nowhere/log"), small(), Arc::default());
    assert!(matches!(result, Err(OpenLogError::Io { action: "create", .. })), "{result:?}");
}
