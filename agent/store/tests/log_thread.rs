//! What the thread behind a log does: batches, order, limits, and failures.

mod support;

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use shoal_store_files::disk::sim::{Cut, Fault, SimDisk};
use shoal_store_files::log::{Done, Entry, Log, LogFailed, LogOptions, Space, SubmitError};
use shoal_store_files::wear::{Cause, Wear, Written};
use support::gate::{Gate, GatedDisk};
use support::history::DIRECTORY;
use support::model::id;

fn options() -> LogOptions {
    LogOptions { segment_bytes: 64 << 10, background: false, ..LogOptions::default() }
}

struct Gated {
    log: Log,
    gate: Gate,
    wear: Arc<Wear>,
}

fn gated(options: LogOptions) -> Gated {
    let (gate, wear) = (Gate::default(), Arc::new(Wear::default()));
    let disk = Arc::new(GatedDisk(SimDisk::new(0), gate.clone()));
    let log = Log::create(disk, Path::new(DIRECTORY), options, wear.clone()).unwrap();
    Gated { log, gate, wear }
}

fn entries(indices: std::ops::Range<u64>, size: usize) -> Vec<Entry> {
    indices.map(|index| Entry { id: id(1, index), payload: Bytes::from(vec![index as u8; size]) }).collect()
}

fn callback() -> (Done, Receiver<Result<(), LogFailed>>) {
    let (sender, receiver) = channel();
    (Box::new(move |result| sender.send(result).unwrap()), receiver)
}

fn submitted(submit: impl FnOnce(Done) -> Result<(), SubmitError>) -> Receiver<Result<(), LogFailed>> {
    let (done, called) = callback();
    submit(done).unwrap();
    called
}

#[test]
fn while_a_batch_is_synced_the_next_one_gathers() {
    let Gated { log, gate, wear } = gated(options());
    gate.close();
    let mut called = vec![submitted(|done| log.append(entries(0..1, 100), done))];
    gate.wait_for_sync();
    called.extend((1..100).map(|index| submitted(|done| log.append(entries(index..index + 1, 100), done))));
    gate.open();
    called.iter().for_each(|called| called.recv().unwrap().unwrap());
    assert_eq!(wear.of(Cause::Entries).syncs, 2, "one for the first, one for all that came meanwhile");
}

#[test]
fn what_is_not_durable_yet_is_read_and_not_called_back() {
    let Gated { log, gate, .. } = gated(LogOptions { cache_bytes: 0, ..options() });
    gate.close();
    let called = submitted(|done| log.append(entries(0..3, 100), done));
    gate.wait_for_sync();
    assert_eq!(log.read(0..3, usize::MAX).unwrap(), entries(0..3, 100));
    assert!(called.try_recv().is_err());
    gate.open();
    called.recv().unwrap().unwrap();
    assert_eq!(log.read(0..3, usize::MAX).unwrap(), entries(0..3, 100), "from the file, now");
}

#[test]
fn callbacks_come_in_the_order_of_submission() {
    let Gated { log, gate, .. } = gated(options());
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str| -> Done {
        let order = order.clone();
        Box::new(move |result| order.lock().unwrap().push((what, result.is_ok())))
    };
    gate.close();
    log.append(entries(0..2, 10), note("entries")).unwrap();
    log.save_vote(Bytes::from_static(b"1"), note("vote")).unwrap();
    log.truncate_from(1, note("truncation")).unwrap();
    log.append(entries(1..2, 10), note("entry")).unwrap();
    log.append(Vec::new(), note("nothing")).unwrap();
    log.purge(id(1, 0), note("purge")).unwrap();
    assert_eq!(*order.lock().unwrap(), []);
    gate.open();
    log.close().unwrap();
    let expected = ["entries", "vote", "truncation", "entry", "nothing", "purge"].map(|what| (what, true));
    assert_eq!(*order.lock().unwrap(), expected);
}

#[test]
fn what_may_wait_is_limited() {
    let Gated { log, gate, .. } = gated(LogOptions { pending_bytes: 1000, ..options() });
    gate.close();
    // One operation is taken however large it is, so that nothing is refused for ever.
    let first = submitted(|done| log.append(entries(0..2, 900), done));
    let (done, _) = callback();
    assert!(matches!(log.append(entries(2..3, 1), done), Err(SubmitError::Full { pending: 1800 })));
    let vote = submitted(|done| log.save_vote(Bytes::from_static(b"never refused"), done));
    gate.open();
    first.recv().unwrap().unwrap();
    vote.recv().unwrap().unwrap();
    assert_eq!(log.pending_bytes(), 0);
    submitted(|done| log.append(entries(2..3, 1), done)).recv().unwrap().unwrap();
}

#[test]
fn an_operation_larger_than_a_frame_is_called_back_when_all_of_it_is_durable() {
    let disk = SimDisk::new(0);
    let wear = Arc::new(Wear::default());
    let log = Log::create(Arc::new(disk.clone()), Path::new(DIRECTORY), options(), wear.clone()).unwrap();
    submitted(|done| log.append(entries(0..30, 5000), done)).recv().unwrap().unwrap();
    assert_eq!(wear.of(Cause::Entries).syncs, 4, "three frames of eight, and one of six");
    // Power goes; nobody has closed anything.
    disk.restart(Cut::default());
    drop(log);
    let (log, _) = Log::open(Arc::new(disk), Path::new(DIRECTORY), options(), wear).unwrap();
    assert_eq!(log.read(0..30, usize::MAX).unwrap(), entries(0..30, 5000));
}

#[test]
fn after_a_failed_sync_everything_fails_and_nothing_is_tried_again() {
    let disk = SimDisk::new(0);
    let gate = Gate::default();
    let gated = Arc::new(GatedDisk(disk.clone(), gate.clone()));
    let log = Log::create(gated, Path::new(DIRECTORY), options(), Arc::default()).unwrap();
    gate.close();
    let first = submitted(|done| log.append(entries(0..1, 10), done));
    gate.wait_for_sync();
    let waiting = submitted(|done| log.save_vote(Bytes::from_static(b"1"), done));
    disk.set_fault(Some((disk.operations() + 1, Fault::Error)));
    gate.open();
    let failed = first.recv().unwrap().unwrap_err();
    assert_eq!(failed.to_string(), "the raft log has failed and the node must restart: cannot sync /log/segment-00000000000000000001");
    assert!(waiting.recv().unwrap().is_err(), "what waited fails, too");
    let operations = disk.operations();
    let (done, _) = callback();
    assert!(matches!(log.append(entries(1..2, 10), done), Err(SubmitError::Failed(_))));
    assert!(log.close().is_err());
    assert_eq!(disk.operations(), operations, "nothing was written or synced any more");
}

#[test]
fn a_full_disk_shows_before_anything_fails_and_a_purge_helps() {
    let disk = SimDisk::new(0);
    let segment = 64 << 10;
    // Room for three segments and for a part of a fourth.
    disk.set_capacity(Some(3 * segment + segment / 2));
    let open = |log: Option<Log>| {
        drop(log);
        Log::open(Arc::new(disk.clone()), Path::new(DIRECTORY), options(), Arc::default())
    };
    let log = Log::create(Arc::new(disk.clone()), Path::new(DIRECTORY), options(), Arc::default()).unwrap();
    let mut durable = 0;
    let mut warned = None;
    let failed = loop {
        if let (Space::Low { left, reason }, None) = (log.space(), &warned) {
            assert!(left >= segment / 2 && reason.contains("os error 28"), "{left}: {reason}");
            warned = Some(durable);
        }
        match submitted(|done| log.append(entries(durable..durable + 1, 5000), done)).recv().unwrap() {
            Ok(()) => durable += 1,
            Err(failed) => break failed,
        }
    };
    assert!(warned.is_some_and(|warned| warned + 4 <= durable), "warned at {warned:?}, failed at {durable}");
    assert_eq!(failed.source.kind(), std::io::ErrorKind::StorageFull);
    assert!(disk.paths().iter().all(|path| !path.to_string_lossy().ends_with(".tmp")), "what could not be made does not take space");

    // The node restarts. Everything that was acknowledged is there, and the purge that frees space goes through.
    let (log, recovered) = open(Some(log)).unwrap();
    assert_eq!(recovered.state.last, Some(id(1, durable - 1)));
    let (log, _) = open(Some(log)).unwrap();
    assert!(matches!(log.space(), Space::Low { .. }));
    submitted(|done| log.purge(id(1, durable - 2), done)).recv().unwrap().unwrap();
    assert_eq!(log.space(), Space::Ready);
    submitted(|done| log.append(entries(durable..durable + 1, 5000), done)).recv().unwrap().unwrap();
}

#[test]
fn space_that_comes_back_is_found_without_a_write() {
    let disk = SimDisk::new(0);
    disk.set_capacity(Some(100 << 10));
    let options = LogOptions { space_retry: Duration::from_millis(1), ..options() };
    let log = Log::create(Arc::new(disk.clone()), Path::new(DIRECTORY), options, Arc::default()).unwrap();
    assert!(matches!(log.space(), Space::Low { .. }));
    disk.set_capacity(None);
    let deadline = Instant::now() + Duration::from_secs(60);
    while log.space() != Space::Ready {
        assert!(Instant::now() < deadline, "nobody looked for space");
        std::thread::yield_now();
    }
}

#[test]
fn bytes_and_syncs_are_counted_by_cause() {
    let disk = SimDisk::new(0);
    let wear = Arc::new(Wear::default());
    let log = Log::create(Arc::new(disk), Path::new(DIRECTORY), options(), wear.clone()).unwrap();
    let written = |bytes, syncs| Written { bytes, syncs };
    assert_eq!(wear.of(Cause::Preallocation), written(2 * (64 << 10), 4), "the first segment and the next");
    assert_eq!(wear.of(Cause::Rotation), written(4096, 2));
    submitted(|done| log.save_vote(Bytes::from_static(b"1"), done)).recv().unwrap().unwrap();
    assert_eq!(wear.of(Cause::Vote), written(4096, 1));
    // The hint goes with the entry and costs its own 32 bytes, and no sync.
    log.save_committed(Some(id(1, 0))).unwrap();
    submitted(|done| log.append(entries(0..1, 100), done)).recv().unwrap().unwrap();
    assert_eq!((wear.of(Cause::Entries), wear.of(Cause::Bookkeeping)), (written(4096 - 32, 1), written(32, 0)));
    log.close().unwrap();
    assert_eq!(wear.of(Cause::Seal).syncs, 1, "only the one at the end");
}
