//! What a checkpoint does, on the real disk and on the simulated one.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use bytes::Bytes;
use shoal_store_files::checkpoint::{
    Batch, Checkpoint, CheckpointFailed, CheckpointOptions, Done, Head, OpenCheckpointError, ReadCheckpointError, Revision, Rewritten,
};
use shoal_store_files::disk::sim::SimDisk;
use shoal_store_files::disk::{Disk, RealDisk};
use shoal_store_files::wear::{Cause, Wear};

/// A place for a checkpoint that goes when the test is over.
struct Place {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    wear: Arc<Wear>,
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    fn real() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join("checkpoint");
        Self { disk: Arc::new(RealDisk), directory, wear: Arc::default(), _temporary: Some(temporary) }
    }

    fn simulated() -> Self {
        let disk = SimDisk::new(1);
        disk.set_short_writes(true);
        Self { disk: Arc::new(disk), directory: "/checkpoint".into(), wear: Arc::default(), _temporary: None }
    }

    fn create(&self) -> Checkpoint {
        self.try_create().unwrap()
    }

    fn try_create(&self) -> Result<Checkpoint, OpenCheckpointError> {
        Checkpoint::create(self.disk.clone(), &self.directory, CheckpointOptions::default(), self.wear.clone())
    }

    fn open(&self) -> Result<Checkpoint, OpenCheckpointError> {
        Checkpoint::open(self.disk.clone(), &self.directory, CheckpointOptions::default(), self.wear.clone())
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
    ($(fn $name:ident($place:ident: &Place) $body:block)*) => {
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

fn at(main: u64, sub: u64) -> Revision {
    Revision { main, sub }
}

const ALL: std::ops::Range<Revision> = Revision { main: 0, sub: 0 }..Revision { main: u64::MAX, sub: 0 };

fn rows(mains: std::ops::Range<u64>, size: usize) -> Vec<(Revision, Bytes)> {
    mains.map(|main| (at(main, main % 3), Bytes::from(vec![main as u8; size]))).collect()
}

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn commit(checkpoint: &Checkpoint, batch: Batch) {
    let (sender, receiver) = channel();
    checkpoint.commit(batch, Box::new(move |result| sender.send(result).unwrap())).unwrap();
    receiver.recv().unwrap().unwrap();
}

fn rewritten() -> (Rewritten, Receiver<Result<(), shoal_store_files::checkpoint::RewriteError>>) {
    let (sender, receiver) = channel();
    (Box::new(move |result| sender.send(result).unwrap()), receiver)
}

on_both_disks! {
    fn what_was_committed_is_found_again(place: &Place) {
        let checkpoint = place.create();
        assert_eq!(checkpoint.head().unwrap(), Head::default());
        commit(&checkpoint, Batch {
            put: rows(1..10, 100),
            put_leases: vec![(-5, text("a lease")), (7, text("another")), (8, text("gone soon"))],
            put_meta: vec![("applied".into(), text("1")), ("membership".into(), text("three"))],
            ..Batch::default()
        });
        commit(&checkpoint, Batch {
            remove_ranges: vec![at(2, 0)..at(4, 0)],
            remove: vec![at(6, 0), at(77, 0)],
            remove_leases: vec![8, 99],
            remove_meta: vec!["membership".into(), "never there".into()],
            put: vec![(at(9, 0), text("replaced"))],
            put_meta: vec![("applied".into(), text("2"))],
            ..Batch::default()
        });
        let mut expected = rows(1..9, 100);
        expected.retain(|(key, _)| ![2, 3, 6].contains(&key.main));
        expected.push((at(9, 0), text("replaced")));
        let head = Head {
            meta: vec![("applied".into(), text("2"))],
            leases: vec![(-5, text("a lease")), (7, text("another"))],
            revisions: 6,
        };
        for _ in 0..2 {
            let checkpoint = place.open();
            assert!(matches!(checkpoint, Err(OpenCheckpointError::Locked { .. })));
        }
        checkpoint.close().unwrap();
        for _ in 0..3 {
            let checkpoint = place.open().unwrap();
            assert_eq!((checkpoint.head().unwrap(), checkpoint.read(ALL, usize::MAX).unwrap()), (head.clone(), expected.clone()));
            checkpoint.verify().unwrap();
            checkpoint.loaded().unwrap();
        }
    }

    fn what_is_read_at_once_is_bounded(place: &Place) {
        let checkpoint = place.create();
        commit(&checkpoint, Batch { put: rows(0..10, 100), ..Batch::default() });
        let count = |most| checkpoint.read(ALL, most).unwrap().len();
        assert_eq!([0, 199, 200, 999, 1000].map(count), [1, 1, 2, 9, 10]);
        // Chunk by chunk, with a commit that removes and adds between two of them.
        let mut all = Vec::new();
        let mut from = at(0, 0);
        while let Some(last) = { let chunk = checkpoint.read(from..at(10, 0), 300).unwrap(); all.extend(chunk.clone()); chunk.last().cloned() } {
            from = at(last.0.main, last.0.sub + 1);
            commit(&checkpoint, Batch { remove: vec![at(8, 2)], put: rows(10..12, 5), ..Batch::default() });
        }
        let mut expected = rows(0..10, 100);
        expected.remove(8);
        assert_eq!(all, expected);
    }

    fn a_rewrite_keeps_everything_and_gives_space_back(place: &Place) {
        let checkpoint = place.create();
        commit(&checkpoint, Batch { put: rows(0..2000, 1000), put_meta: vec![("applied".into(), text("1"))], ..Batch::default() });
        commit(&checkpoint, Batch { remove_ranges: vec![at(0, 0)..at(1900, 0)], put_leases: vec![(1, text("lease"))], ..Batch::default() });
        let before = checkpoint.size().unwrap();
        let (done, finished) = rewritten();
        checkpoint.rewrite(done).unwrap();
        finished.recv().unwrap().unwrap();
        let after = checkpoint.size().unwrap();
        assert!(after.in_use == before.in_use && before.in_use > 100_000 && after.file < before.file / 3, "{before:?} {after:?}");
        let head = Head { meta: vec![("applied".into(), text("1"))], leases: vec![(1, text("lease"))], revisions: 100 };
        assert_eq!((checkpoint.head().unwrap(), checkpoint.read(ALL, usize::MAX).unwrap()), (head.clone(), rows(1900..2000, 1000)));
        commit(&checkpoint, Batch { put: rows(2000..2001, 1000), ..Batch::default() });
        checkpoint.loaded().unwrap();
        checkpoint.close().unwrap();
        assert_eq!(place.files().len(), 2, "the pointer and one file: {:?}", place.files());
        let checkpoint = place.open().unwrap();
        checkpoint.verify().unwrap();
        assert_eq!(checkpoint.read(ALL, usize::MAX).unwrap(), rows(1900..2001, 1000));
    }

    fn commits_go_on_while_it_is_rewritten(place: &Place) {
        let checkpoint = place.create();
        // Several steps of a rewrite.
        for start in (0..12_000).step_by(3000) {
            commit(&checkpoint, Batch { put: rows(start..start + 3000, 1000), ..Batch::default() });
        }
        let (done, finished) = rewritten();
        checkpoint.rewrite(done).unwrap();
        let mut next = 12_000;
        let result = loop {
            // Behind what is copied, before it, and new.
            commit(&checkpoint, Batch {
                remove: vec![at(next - 12_000, (next - 12_000) % 3), at(24_000 - next, (24_000 - next) % 3)],
                put: rows(next..next + 1, 1000),
                ..Batch::default()
            });
            next += 1;
            if let Ok(result) = finished.try_recv() {
                break result;
            }
        };
        result.unwrap();
        let removed = next - 12_000;
        checkpoint.verify().unwrap();
        let expected: Vec<_> = rows(removed..next, 1000).into_iter().filter(|(key, _)| key.main >= 12_000 || key.main <= 12_000 - removed).collect();
        assert_eq!(checkpoint.read(ALL, usize::MAX).unwrap(), expected);
        checkpoint.close().unwrap();
        assert_eq!(place.open().unwrap().read(ALL, usize::MAX).unwrap(), expected);
    }

    fn many_commits_do_not_keep_a_rewrite_from_its_end(place: &Place) {
        let checkpoint = place.create();
        commit(&checkpoint, Batch { put: rows(0..12_000, 1000), ..Batch::default() });
        let (done, finished) = rewritten();
        checkpoint.rewrite(done).unwrap();
        // There is always one that waits: each submits the next one.
        fn endless(checkpoint: Checkpoint, next: u64) {
            let again = checkpoint.clone();
            let batch = Batch { put: rows(next..next + 1, 10), ..Batch::default() };
            // It ends when the checkpoint is closed.
            let _ = checkpoint.commit(batch, Box::new(move |result| if result.is_ok() { endless(again, next + 1) }));
        }
        endless(checkpoint.clone(), 20_000);
        endless(checkpoint.clone(), 30_000);
        finished.recv().unwrap().unwrap();
        checkpoint.close().unwrap();
    }

    fn a_replacement_counts_when_it_is_finished_and_not_before(place: &Place) {
        let checkpoint = place.create();
        commit(&checkpoint, Batch { put: rows(0..10, 10), ..Batch::default() });
        let mut dropped = checkpoint.replace().unwrap();
        dropped.put(&Batch { put: rows(50..60, 10), ..Batch::default() }).unwrap();
        drop(dropped);
        let mut replacement = checkpoint.replace().unwrap();
        replacement.put(&Batch { put: rows(20..25, 10), ..Batch::default() }).unwrap();
        assert_eq!(checkpoint.read(ALL, usize::MAX).unwrap(), rows(0..10, 10));
        replacement.put(&Batch { put: rows(25..30, 10), put_meta: vec![("applied".into(), text("9"))], ..Batch::default() }).unwrap();
        commit(&checkpoint, Batch { put: rows(10..11, 10), ..Batch::default() });
        replacement.finish().unwrap();
        assert_eq!(checkpoint.read(ALL, usize::MAX).unwrap(), rows(20..30, 10));
        checkpoint.loaded().unwrap();
        checkpoint.close().unwrap();
        assert_eq!(place.files().len(), 2, "{:?}", place.files());
        let checkpoint = place.open().unwrap();
        assert_eq!((checkpoint.read(ALL, usize::MAX).unwrap(), checkpoint.head().unwrap().meta.len()), (rows(20..30, 10), 1));
    }

    fn what_is_closed_takes_nothing(place: &Place) {
        let checkpoint = place.create();
        let other = checkpoint.clone();
        let (sender, receiver) = channel();
        let done: Done = Box::new(move |result: Result<(), CheckpointFailed>| sender.send(result.is_ok()).unwrap());
        other.commit(Batch { put: rows(0..5, 5), ..Batch::default() }, done).unwrap();
        checkpoint.close().unwrap();
        assert!(receiver.recv().unwrap(), "what waited was committed");
        assert!(other.commit(Batch::default(), Box::new(|_| {})).is_err());
        assert!(matches!(other.head(), Err(ReadCheckpointError::Closed)));
        assert_eq!(other.pending(), 0);
    }

    fn a_missing_and_a_vanished_checkpoint_are_told_apart(place: &Place) {
        assert!(matches!(place.open(), Err(OpenCheckpointError::Missing { .. })));
        place.create().close().unwrap();
        assert!(matches!(place.try_create(), Err(OpenCheckpointError::Exists { .. })));
        let file = place.files().into_iter().find(|name| name.starts_with("checkpoint-")).unwrap();
        place.disk.remove(&place.directory.join(&file)).unwrap();
        let error = place.open().unwrap_err();
        assert!(matches!(error, OpenCheckpointError::Vanished { .. }), "{error}");
        assert!(error.to_string().contains("restore this node from its peers"), "{error}");
        assert!(matches!(place.try_create(), Err(OpenCheckpointError::Exists { .. })));
    }

    fn a_pointer_that_vanished_from_a_checkpoint_with_rows_is_not_a_new_node(place: &Place) {
        let checkpoint = place.create();
        commit(&checkpoint, Batch { put: rows(0..5, 5), ..Batch::default() });
        checkpoint.close().unwrap();
        place.disk.remove(&place.directory.join("current")).unwrap();
        assert!(matches!(place.open(), Err(OpenCheckpointError::Vanished { .. })));
        assert!(matches!(place.try_create(), Err(OpenCheckpointError::Vanished { .. })));
    }

    fn what_is_written_is_counted(place: &Place) {
        let checkpoint = place.create();
        let before = place.wear.of(Cause::Checkpoint);
        commit(&checkpoint, Batch { put: rows(0..1, 1000), ..Batch::default() });
        let after = place.wear.of(Cause::Checkpoint);
        // Two phases, and one more when redb has to grow the allocator's record.
        assert!((2..=3).contains(&(after.syncs - before.syncs)) && after.bytes - before.bytes > 4096, "{before:?} {after:?}");
    }
}
