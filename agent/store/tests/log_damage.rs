//! Damage to what was durable is harmless or reported, never cut off silently. `PROPTEST_CASES=5000` tries more.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestError, TestRng, TestRunner};
use shoal_store_files::disk::Disk;
use shoal_store_files::disk::sim::{Rng, SECTOR_BYTES, SimDisk};
use shoal_store_files::log::{Entry, LogFiles, OpenLogError, Record};
use shoal_store_files::{Bug, Bugs};
use support::history::{DIRECTORY, Ending, Life, Run, history, open, open_or_create, options};
use support::model::{Model, id};

/// Ways in which a medium or a person damages a file.
#[derive(Debug, Clone, Copy)]
enum Harm {
    FlipBit,
    ZeroSector,
    Garbage,
    /// A sector has what was there before it was written last.
    OldSector,
    Shorten,
    Lengthen,
    Remove,
    /// Two files have each other's names.
    Swap,
    Unreadable,
}

const HARMS: [Harm; 9] = [
    Harm::FlipBit,
    Harm::ZeroSector,
    Harm::Garbage,
    Harm::OldSector,
    Harm::Shorten,
    Harm::Lengthen,
    Harm::Remove,
    Harm::Swap,
    Harm::Unreadable,
];

fn segments(disk: &SimDisk) -> Vec<PathBuf> {
    disk.paths().into_iter().filter(|path| path.to_string_lossy().contains("segment-")).collect()
}

fn inflict(disk: &SimDisk, harm: Harm, rng: &mut Rng) {
    let paths = segments(disk);
    let path = &paths[rng.below(paths.len())];
    let length = disk.contents(path).len();
    // Most of a segment may be unused; its used part lies at its beginning.
    let byte = if rng.one_in(2) { rng.below(length) } else { rng.below(length / 4) };
    let sector = byte / SECTOR_BYTES * SECTOR_BYTES;
    match harm {
        Harm::FlipBit => disk.flip(path, byte, rng.below(8) as u8),
        Harm::ZeroSector => disk.damage(path, |bytes| bytes[sector..sector + SECTOR_BYTES].fill(0)),
        Harm::Garbage => {
            let garbage: Vec<u8> = (0..SECTOR_BYTES).map(|_| rng.next() as u8).collect();
            disk.damage(path, |bytes| bytes[sector..sector + SECTOR_BYTES].copy_from_slice(&garbage));
        }
        Harm::OldSector => {
            let other = disk.contents(&paths[rng.below(paths.len())]);
            disk.damage(path, |bytes| bytes[sector..sector + SECTOR_BYTES].copy_from_slice(&other[sector..sector + SECTOR_BYTES]));
        }
        Harm::Shorten => disk.damage(path, |bytes| bytes.truncate(byte)),
        Harm::Lengthen => disk.damage(path, |bytes| bytes.resize(length + 1 + byte, 0)),
        Harm::Remove => disk.remove(path).unwrap(),
        Harm::Swap => {
            let other = &paths[rng.below(paths.len())];
            let away = Path::new(DIRECTORY).join("away");
            disk.rename(path, &away).unwrap();
            if other != path {
                disk.rename(other, path).unwrap();
            }
            disk.rename(&away, other).unwrap();
        }
        Harm::Unreadable => disk.make_unreadable(path, byte as u64),
    }
}

/// Runs a history, opens the log once more, so that all is durable and sealed, and damages it.
fn check((lives, seed): &(Vec<Life>, u64), bugs: Bugs, tried: &mut [(u32, u32)]) -> TestCaseResult {
    let disk = SimDisk::new(*seed);
    let mut run = Run::default();
    let last = Life { batches: Vec::new(), seals: false, fault: None, ending: Ending::Kill };
    for life in lives.iter().chain([&last]) {
        run.live(&disk, life, Bugs::default())?;
    }
    let mut rng = Rng::new(*seed);
    for (number, harm) in HARMS.into_iter().enumerate() {
        let harmed = disk.fork(rng.next());
        let only_one = segments(&harmed).len() == 1;
        inflict(&harmed, harm, &mut rng);
        let before: Vec<_> = harmed.paths().iter().map(|path| harmed.contents(path)).collect();
        match open(&harmed, bugs) {
            Ok(files) => {
                tried[number].0 += 1;
                let observed = Model::observe(&files).map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert_eq!(&observed, &run.acknowledged, "{:?} was not reported", harm);
            }
            Err(OpenLogError::Missing { .. }) if only_one && matches!(harm, Harm::Remove) => {}
            Err(error @ (OpenLogError::Damaged { .. } | OpenLogError::Unreadable { .. })) => {
                tried[number].1 += 1;
                let told = error.to_string();
                prop_assert!(told.contains("/log/segment-") && told.contains("Restore this node from its peers"), "{told}");
                let after: Vec<_> = harmed.paths().iter().map(|path| harmed.contents(path)).collect();
                prop_assert!(before == after, "a log that is not opened is not changed");
            }
            Err(error) => return Err(TestCaseError::fail(format!("{harm:?} looks like this: {error}"))),
        }
    }
    Ok(())
}

fn run(bugs: Bugs, cases: u32, tried: &mut [(u32, u32)]) -> Result<(), TestError<(Vec<Life>, u64)>> {
    let config = Config { cases, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let tried = std::cell::RefCell::new(tried);
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(Default::default()))
        .run(&history(), |case| check(&case, bugs, &mut tried.borrow_mut()))
}

#[test]
fn damage_to_what_was_durable_is_harmless_or_reported() {
    let mut tried = [(0, 0); HARMS.len()];
    run(Bugs::default(), Config::default().cases, &mut tried).unwrap();
    for (harm, (harmless, reported)) in HARMS.into_iter().zip(tried) {
        println!("{harm:?}: harmless {harmless}, reported {reported}");
        assert!(reported > 0, "the test never hit anything with {harm:?}");
    }
}

#[test]
fn cutting_in_the_middle_is_caught() {
    assert!(matches!(run(Bugs::put_back(Bug::CutInTheMiddle), 2000, &mut [(0, 0); HARMS.len()]), Err(TestError::Fail(..))));
}

#[test]
fn the_last_batch_rotten_before_its_seal_is_the_one_thing_that_looks_torn() {
    let disk = SimDisk::new(1);
    let mut files = open_or_create(&disk, Bugs::default()).unwrap();
    for index in 0..3 {
        files.commit(&[Record::Append(Entry { id: id(1, index), payload: Bytes::from_static(b"entry") })]).unwrap();
    }
    let path = segments(&disk)[0].clone();
    // After the header's block and those of two batches.
    let third = 3 * 4096;

    // Without a seal: cut off, and told.
    let unsealed = disk.fork(2);
    unsealed.flip(&path, third + 50, 0);
    let options = options(Bugs::default());
    let (_, recovered) = LogFiles::open(Arc::new(unsealed), Path::new(DIRECTORY), options, Arc::default(), &mut |_| {}).unwrap();
    assert_eq!(recovered.torn.map(|torn| torn.offset), Some(third as u64));
    assert_eq!(recovered.state.last, Some(id(1, 1)), "and no more than that one");

    // With one: damage.
    files.seal().unwrap();
    let sealed = disk.fork(3);
    sealed.flip(&path, third + 50, 0);
    assert!(matches!(open(&sealed, Bugs::default()), Err(OpenLogError::Damaged { offset, .. }) if offset == third as u64));
}
