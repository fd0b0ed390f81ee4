//! Random histories of a log with crashes, and the claim that they hold: what was acknowledged is there after any crash, nothing else is
//! required, and a crash never looks like damage.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestCaseResult};
use shoal_store_files::Bugs;
use shoal_store_files::disk::Disk;
use shoal_store_files::disk::sim::{Cut, Fault, SimDisk};
use shoal_store_files::log::{Entry, LogFiles, LogOptions, OpenLogError, ReadLogError, Record};
use shoal_store_files::wear::Wear;

use super::model::{Model, id};

/// Where the log is on the simulated disk.
pub const DIRECTORY: &str = "/log";

/// One thing that raft does, relative to what the log holds then.
#[derive(Debug, Clone)]
pub enum Act {
    Append {
        sizes: Vec<usize>,
    },
    Truncate {
        back: u64,
    },
    Purge {
        back: u64,
    },
    /// A snapshot was installed.
    PurgeBeyond {
        ahead: u64,
    },
    Vote(u8),
    Committed,
}

#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// The power is cut; sectors are whole or not written.
    Cut,
    /// The power is cut; sectors may be written in part, or garbage.
    Tear,
    /// The process is killed.
    Kill,
    /// The process is killed, and the power is cut while it is down.
    KillAndCut,
    /// The log is closed.
    Close,
}

/// A life of the process: what it does until it ends.
#[derive(Debug, Clone)]
pub struct Life {
    pub batches: Vec<Vec<Act>>,
    /// Whether it says between batches that nothing waits.
    pub seals: bool,
    /// What happens to the disk, this many operations after the beginning.
    pub fault: Option<(u64, Fault)>,
    pub ending: Ending,
}

fn act() -> impl Strategy<Value = Act> {
    let size = prop_oneof![8 => 0..200_usize, 4 => 0..5000_usize, 1 => 5000..20_000_usize];
    prop_oneof![
        8 => prop::collection::vec(size, 1..4).prop_map(|sizes| Act::Append { sizes }),
        2 => (0..6_u64).prop_map(|back| Act::Truncate { back }),
        2 => (0..6_u64).prop_map(|back| Act::Purge { back }),
        1 => (1..10_u64).prop_map(|ahead| Act::PurgeBeyond { ahead }),
        2 => any::<u8>().prop_map(Act::Vote),
        1 => Just(Act::Committed),
    ]
}

fn life() -> impl Strategy<Value = Life> {
    let batches = prop::collection::vec(prop::collection::vec(act(), 1..3), 0..20);
    let fault = prop_oneof![Just(None), (1..60_u64, prop_oneof![3 => Just(Fault::PowerCut), 1 => Just(Fault::Error)]).prop_map(Some)];
    let ending = prop_oneof![
        3 => Just(Ending::Cut),
        3 => Just(Ending::Tear),
        1 => Just(Ending::Kill),
        1 => Just(Ending::KillAndCut),
        1 => Just(Ending::Close),
    ];
    (batches, any::<bool>(), fault, ending).prop_map(|(batches, seals, fault, ending)| Life { batches, seals, fault, ending })
}

/// Some lives, one after the other, and the seed of the disk.
pub fn history() -> impl Strategy<Value = (Vec<Life>, u64)> {
    (prop::collection::vec(life(), 1..6), any::<u64>())
}

/// The records that an act means, given what the log holds; they take effect in `model`.
pub fn records(act: &Act, model: &mut Model) -> Vec<Record> {
    let lowest = model.head.purged.map_or(0, |purged| purged.index + 1);
    let records: Vec<Record> = match act {
        Act::Append { sizes } => {
            let entry = |(offset, size): (usize, &usize)| {
                let id = id(model.term(), model.next() + offset as u64);
                // What a torn write leaves must not be the same by chance.
                let payload: Vec<u8> = (0..*size).map(|byte| (byte as u64 ^ id.index.wrapping_mul(31) ^ id.term) as u8).collect();
                Record::Append(Entry { id, payload: Bytes::from(payload) })
            };
            sizes.iter().enumerate().map(entry).collect()
        }
        Act::Truncate { back } => {
            let from = model.next().saturating_sub(*back).max(lowest);
            let term = model.term() + 1;
            model.apply(&Record::Truncate { from });
            // Another leader's entry takes its place.
            let entry = Record::Append(Entry { id: id(term, model.next()), payload: Bytes::from_static(b"replaced") });
            model.apply(&entry);
            return vec![Record::Truncate { from }, entry];
        }
        Act::Purge { back } => {
            let index = model.next().saturating_sub(1 + back).max(lowest.saturating_sub(1));
            let known = model.entries.iter().map(|entry| entry.id).chain(model.head.purged).find(|id| id.index == index);
            known.map(|to| Record::Purge { to }).into_iter().collect()
        }
        Act::PurgeBeyond { ahead } => vec![Record::Purge { to: id(model.term() + 1, model.next() + ahead) }],
        Act::Vote(vote) => vec![Record::Vote(Bytes::from(vec![*vote; 20]))],
        Act::Committed => vec![Record::Committed(model.head.last)],
    };
    records.iter().for_each(|record| model.apply(record));
    records
}

/// Small segments, so that a short history uses several and uses them again.
pub fn options(bugs: Bugs) -> LogOptions {
    LogOptions { segment_bytes: 64 << 10, background: false, bugs, ..LogOptions::default() }
}

pub fn open(disk: &SimDisk, bugs: Bugs) -> Result<LogFiles, OpenLogError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    LogFiles::open(disk, Path::new(DIRECTORY), options(bugs), Arc::new(Wear::default()), &mut |_| {}).map(|(files, _)| files)
}

pub fn open_or_create(disk: &SimDisk, bugs: Bugs) -> Result<LogFiles, OpenLogError> {
    match open(disk, bugs) {
        Err(OpenLogError::Missing { .. }) => {
            LogFiles::create(Arc::new(disk.clone()), Path::new(DIRECTORY), options(bugs), Arc::new(Wear::default()))
        }
        other => other,
    }
}

/// How far a history has come.
#[derive(Debug, Default)]
pub struct Run {
    /// What was acknowledged.
    pub acknowledged: Model,
    /// What may be there in its place: it, and what every further record of the last commit makes of it.
    pub possible: Vec<Model>,
    created: bool,
}

impl Run {
    /// One life on `disk`, and then its end.
    pub fn live(&mut self, disk: &SimDisk, life: &Life, bugs: Bugs) -> TestCaseResult {
        disk.set_fault(life.fault.map(|(after, fault)| (disk.operations() + after, fault)));
        let mut files = match self.open(disk, bugs) {
            Ok(files) => files,
            // The fault struck while it was opened.
            Err(OpenLogError::Io { .. }) => return self.end(disk, life.ending),
            Err(error) => return Err(TestCaseError::fail(format!("a crash looks like this: {error}"))),
        };
        let observed = match Model::observe(&files) {
            Ok(observed) => observed,
            // The fault struck when the next segment was made, which opening does not depend on.
            Err(ReadLogError::Io { .. }) => return self.end(disk, life.ending),
            Err(error) => return Err(TestCaseError::fail(format!("what the log holds cannot be read: {error}"))),
        };
        prop_assert!(self.possible.contains(&observed), "acknowledged {:#?}\nbut there is {:#?}", self.acknowledged, observed);
        self.acknowledged = observed;
        self.possible = vec![self.acknowledged.clone()];
        for batch in &life.batches {
            let mut model = self.acknowledged.clone();
            let records: Vec<Record> = batch.iter().flat_map(|act| records(act, &mut model)).collect();
            for record in &records {
                let mut further = self.possible.last().cloned().unwrap_or_default();
                further.apply(record);
                self.possible.push(further);
            }
            if files.commit(&records).is_err() || life.seals && files.seal().is_err() {
                prop_assert!(files.commit(&[Record::Committed(None)]).is_err(), "a log that failed takes nothing any more");
                return self.end(disk, life.ending);
            }
            self.acknowledged = model;
            self.possible = vec![self.acknowledged.clone()];
        }
        if matches!(life.ending, Ending::Close) {
            // Closing may fail by the fault; nothing is lost by it.
            let _ = files.close();
        }
        self.end(disk, life.ending)
    }

    fn open(&mut self, disk: &SimDisk, bugs: Bugs) -> Result<LogFiles, OpenLogError> {
        if self.created {
            return open(disk, bugs);
        }
        if self.possible.is_empty() {
            self.possible.push(Model::default());
        }
        let files = open_or_create(disk, bugs)?;
        self.created = true;
        Ok(files)
    }

    fn end(&mut self, disk: &SimDisk, ending: Ending) -> TestCaseResult {
        match ending {
            Ending::Cut => disk.restart(Cut::default()),
            Ending::Tear => disk.restart(Cut { torn_sectors: true, garbage: true }),
            Ending::Kill | Ending::Close => disk.kill(),
            Ending::KillAndCut => {
                disk.kill();
                disk.restart(Cut::default());
            }
        }
        // Where a fault has cut the power, it stays off until a restart.
        if disk.list(Path::new("/")).is_err() {
            disk.restart(Cut::default());
        }
        Ok(())
    }
}

/// Runs a history, and looks once more when it is over.
pub fn check((lives, seed): &(Vec<Life>, u64), bugs: Bugs) -> TestCaseResult {
    let disk = SimDisk::new(*seed);
    let mut run = Run::default();
    let last = Life { batches: Vec::new(), seals: false, fault: None, ending: Ending::Close };
    if bugs != Bugs::default() {
        // A bug has to show in the life of a log, not at its creation.
        run.live(&disk, &last, Bugs::default())?;
    }
    for life in lives.iter().chain([&last]) {
        run.live(&disk, life, bugs)?;
    }
    Ok(())
}
