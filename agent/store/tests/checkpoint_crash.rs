//! Random histories of a checkpoint with crashes at any point, against a naive one. `PROPTEST_CASES=2000` runs more of them.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestCaseResult, TestError, TestRng, TestRunner};
use shoal_store_files::checkpoint::{
    Batch, CheckpointFiles, CheckpointOptions, OpenCheckpointError, ReadCheckpointError, Revision, RewriteError,
};
use shoal_store_files::disk::Disk;
use shoal_store_files::disk::sim::{Cut, Fault, SimDisk};
use shoal_store_files::wear::Wear;
use shoal_store_files::{Bug, Bugs};

const DIRECTORY: &str = "/checkpoint";
const ALL: std::ops::Range<Revision> = Revision { main: 0, sub: 0 }..Revision { main: u64::MAX, sub: 0 };

/// A checkpoint as maps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Model {
    revisions: BTreeMap<Revision, Bytes>,
    leases: BTreeMap<i64, Bytes>,
    meta: BTreeMap<String, Bytes>,
}

impl Model {
    fn apply(&mut self, batch: &Batch) {
        self.revisions.retain(|key, _| !batch.remove_ranges.iter().any(|range| range.contains(key)) && !batch.remove.contains(key));
        self.revisions.extend(batch.put.iter().cloned());
        self.leases.retain(|key, _| !batch.remove_leases.contains(key));
        self.leases.extend(batch.put_leases.iter().cloned());
        self.meta.retain(|key, _| !batch.remove_meta.contains(key));
        self.meta.extend(batch.put_meta.iter().cloned());
    }

    /// What a real one holds. The rows' sums are checked, too.
    fn observe(files: &CheckpointFiles) -> Result<Self, ReadCheckpointError> {
        files.verify()?;
        let head = files.head()?;
        let revisions: BTreeMap<_, _> = files.read(ALL, usize::MAX)?.into_iter().collect();
        assert_eq!(head.revisions, revisions.len() as u64);
        Ok(Self { revisions, leases: head.leases.into_iter().collect(), meta: head.meta.into_iter().collect() })
    }
}

#[derive(Debug, Clone)]
enum Act {
    Commit(Batch),
    BeginRewrite,
    StepRewrite,
    Replace(Batch),
}

#[derive(Debug, Clone)]
struct Life {
    acts: Vec<Act>,
    /// What happens to the disk, this many operations after the beginning.
    fault: Option<(u64, Fault)>,
    /// Whether the checkpoint is closed in the end.
    closes: bool,
    /// Whether the process is killed; otherwise the power is cut.
    kill: bool,
    /// Whether sectors may be written in part when the power is cut.
    tears: bool,
}

fn batch() -> impl Strategy<Value = Batch> {
    let revision = || (0..40_u64, 0..2_u64).prop_map(|(main, sub)| Revision { main, sub });
    let bytes = || prop_oneof![4 => 0..100_usize, 1 => 0..20_000_usize].prop_map(|size| Bytes::from(vec![0x5a; size]));
    let put = prop::collection::vec((revision(), bytes()), 0..6);
    let removed = (prop::collection::vec(revision(), 0..3), prop::collection::vec((revision(), revision()), 0..2));
    let leases = (prop::collection::vec((-3..3_i64, bytes()), 0..2), prop::collection::vec(-3..3_i64, 0..2));
    (put, removed, leases, any::<u16>()).prop_map(|(put, (remove, ranges), (put_leases, remove_leases), applied)| Batch {
        put,
        remove,
        remove_ranges: ranges.into_iter().map(|(from, to)| from..to).collect(),
        put_leases,
        remove_leases,
        put_meta: vec![("applied".into(), Bytes::from(applied.to_le_bytes().to_vec()))],
        ..Batch::default()
    })
}

fn life() -> impl Strategy<Value = Life> {
    let act = prop_oneof![
        6 => batch().prop_map(Act::Commit),
        1 => Just(Act::BeginRewrite),
        3 => Just(Act::StepRewrite),
        1 => batch().prop_map(Act::Replace),
    ];
    let fault = prop_oneof![Just(None), (1..120_u64, prop_oneof![4 => Just(Fault::PowerCut), 1 => Just(Fault::Error)]).prop_map(Some)];
    let life = (prop::collection::vec(act, 0..10), fault, prop::bool::weighted(0.2), prop::bool::weighted(0.3), any::<bool>());
    life.prop_map(|(acts, fault, closes, kill, tears)| Life { acts, fault, closes, kill, tears })
}

fn history() -> impl Strategy<Value = (Vec<Life>, u64)> {
    (prop::collection::vec(life(), 1..5), any::<u64>())
}

fn open(disk: &SimDisk, bugs: Bugs) -> Result<CheckpointFiles, OpenCheckpointError> {
    let options = CheckpointOptions { bugs, ..CheckpointOptions::default() };
    CheckpointFiles::open(Arc::new(disk.clone()), Path::new(DIRECTORY), options, Arc::new(Wear::default()))
}

fn open_or_create(disk: &SimDisk, bugs: Bugs) -> Result<CheckpointFiles, OpenCheckpointError> {
    match open(disk, bugs) {
        Err(OpenCheckpointError::Missing { .. }) => {
            let options = CheckpointOptions { bugs, ..CheckpointOptions::default() };
            CheckpointFiles::create(Arc::new(disk.clone()), Path::new(DIRECTORY), options, Arc::new(Wear::default()))
        }
        other => other,
    }
}

#[derive(Debug, Default)]
struct Run {
    created: bool,
    acknowledged: Model,
    /// What a commit that was not acknowledged would make of it.
    possible: Option<Model>,
}

impl Run {
    fn live(&mut self, disk: &SimDisk, life: &Life, bugs: Bugs) -> TestCaseResult {
        disk.set_fault(life.fault.map(|(after, fault)| (disk.operations() + after, fault)));
        let opened = if self.created { open(disk, bugs) } else { open_or_create(disk, bugs) };
        match opened {
            Ok(files) => self.work(files, life)?,
            // The fault struck while it was opened.
            Err(OpenCheckpointError::Io { .. }) => {}
            Err(error) => return Err(TestCaseError::fail(format!("a crash looks like this: {error}"))),
        }
        if life.kill {
            disk.kill();
        }
        // redb bears bytes that are old or new, in any mixture, but no others; the log does.
        if !life.kill || disk.list(Path::new("/")).is_err() {
            disk.restart(Cut { torn_sectors: life.tears, garbage: false });
        }
        Ok(())
    }

    fn work(&mut self, mut files: CheckpointFiles, life: &Life) -> TestCaseResult {
        self.created = true;
        match Model::observe(&files) {
            Ok(observed) => {
                let possible = observed == self.acknowledged || self.possible.as_ref() == Some(&observed);
                prop_assert!(possible, "acknowledged {:?}\nbut there is {:?}", self.acknowledged, observed);
                (self.acknowledged, self.possible) = (observed, None);
            }
            Err(ReadCheckpointError::Unreadable { .. }) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(format!("a crash looks like this: {error}"))),
        }
        // Whether the next opening is a quick one.
        if self.acknowledged.revisions.len().is_multiple_of(2) && files.loaded().is_err() {
            return Ok(());
        }
        for act in &life.acts {
            let mut after = self.acknowledged.clone();
            let result = match act {
                Act::Commit(batch) => {
                    after.apply(batch);
                    self.possible = Some(after.clone());
                    files.commit(batch).map_err(RewriteError::from)
                }
                Act::Replace(batch) => {
                    after = Model::default();
                    after.apply(batch);
                    self.possible = Some(after.clone());
                    files.replace_by(std::slice::from_ref(batch))
                }
                Act::BeginRewrite => files.begin_rewrite(),
                Act::StepRewrite => files.step_rewrite(),
            };
            match result {
                Ok(()) => (self.acknowledged, self.possible) = (after, None),
                // The new file could not be written; the old one is as it was.
                Err(RewriteError::Draft { .. }) => self.possible = None,
                Err(_) => {
                    prop_assert!(files.commit(&Batch::default()).is_err(), "a checkpoint that failed takes nothing any more");
                    return Ok(());
                }
            }
        }
        if life.closes {
            // Closing may fail by the fault; nothing is lost by it.
            let _ = files.close();
        }
        Ok(())
    }
}

fn check((lives, seed): &(Vec<Life>, u64), bugs: Bugs) -> TestCaseResult {
    let disk = SimDisk::new(*seed);
    let mut run = Run::default();
    let last = Life { acts: Vec::new(), fault: None, closes: false, kill: true, tears: false };
    if bugs != Bugs::default() {
        // A bug has to show in the life of a checkpoint, not at its creation.
        run.live(&disk, &last, Bugs::default())?;
    }
    for life in lives.iter().chain([&last]) {
        run.live(&disk, life, bugs)?;
    }
    Ok(())
}

proptest! {
    // A failing history is printed whole, with the seed of its disk.
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_commit_is_whole_after_any_crash_and_no_crash_looks_like_damage(case in history()) {
        check(&case, Bugs::default())?;
    }
}

/// Whether the claim above fails with a bug put back.
fn is_caught(bug: Bug) -> bool {
    let config = Config { cases: 2000, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(Default::default()));
    matches!(runner.run(&history(), |case| check(&case, Bugs::put_back(bug))), Err(TestError::Fail(..)))
}

#[test]
fn a_directory_that_is_not_synced_is_caught() {
    assert!(is_caught(Bug::DirectoryNotSynced));
}

#[test]
fn a_vanished_file_taken_for_a_new_one_is_caught() {
    let disk = SimDisk::new(0);
    let mut files = open_or_create(&disk, Bugs::default()).unwrap();
    files.commit(&Batch { put_meta: vec![("applied".into(), Bytes::from_static(b"1"))], ..Batch::default() }).unwrap();
    drop(files);
    let path = disk.paths().into_iter().find(|path| path.to_string_lossy().contains("checkpoint-")).unwrap();
    disk.remove(&path).unwrap();
    // Without the guard the node would begin anew and forget what it voted for.
    let forgotten = open(&disk.fork(1), Bugs::put_back(Bug::VanishedIsNew)).unwrap();
    assert_eq!(Model::observe(&forgotten).unwrap(), Model::default());
    assert!(matches!(open(&disk, Bugs::default()), Err(OpenCheckpointError::Vanished { .. })));
}
