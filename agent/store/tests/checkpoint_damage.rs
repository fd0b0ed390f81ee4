//! A damaged checkpoint is an error that says what to do, or the damage is harmless. It is never an empty store, and no row changes.
//! `PROPTEST_CASES=5000` tries more.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use proptest::test_runner::Config;
use shoal_store_files::checkpoint::{
    Batch, CheckpointFiles, CheckpointOptions, Head, OpenCheckpointError, ReadCheckpointError, Revision, Verify,
};
use shoal_store_files::disk::sim::{Rng, SECTOR_BYTES, SimDisk};
use shoal_store_files::wear::Wear;

const DIRECTORY: &str = "/checkpoint";
const ALL: std::ops::Range<Revision> = Revision { main: 0, sub: 0 }..Revision { main: u64::MAX, sub: 0 };

type Contents = (Head, Vec<(Revision, Bytes)>);

/// How reading a damaged checkpoint went.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Read(Contents),
    Reported(String),
}

fn read(disk: &SimDisk, verify: Verify) -> Outcome {
    let options = CheckpointOptions { verify, ..CheckpointOptions::default() };
    let opened = CheckpointFiles::open(Arc::new(disk.clone()), Path::new(DIRECTORY), options, Arc::new(Wear::default()));
    let files = match opened {
        Ok(files) => files,
        Err(error @ (OpenCheckpointError::Damaged { .. } | OpenCheckpointError::Vanished { .. })) => {
            return Outcome::Reported(error.to_string());
        }
        Err(error) => panic!("{error}: {error:?}"),
    };
    let read = (|| {
        files.verify()?;
        Ok::<_, ReadCheckpointError>((files.head()?, files.read(ALL, usize::MAX)?))
    })();
    // The process ends here; it does not close the file.
    disk.kill();
    match read {
        Ok(read) => Outcome::Read(read),
        Err(error @ ReadCheckpointError::Damaged { .. }) => Outcome::Reported(error.to_string()),
        Err(error) => panic!("{error}: {error:?}"),
    }
}

/// A checkpoint of some commits, and what it held after the last one and the one before.
fn sample() -> (SimDisk, PathBuf, [Contents; 2]) {
    let disk = SimDisk::new(3);
    let options = CheckpointOptions::default();
    let mut files = CheckpointFiles::create(Arc::new(disk.clone()), Path::new(DIRECTORY), options, Arc::new(Wear::default())).unwrap();
    let mut held = Vec::new();
    for round in 0..5_u64 {
        let rows = (0..40).map(|row| (Revision { main: round * 40 + row, sub: 0 }, Bytes::from(vec![row as u8; 300])));
        files
            .commit(&Batch {
                put: rows.collect(),
                remove_ranges: vec![Revision { main: round * 20, sub: 0 }..Revision { main: round * 20 + 10, sub: 0 }],
                put_leases: vec![(round as i64, Bytes::from_static(b"lease"))],
                put_meta: vec![("applied".into(), Bytes::from(round.to_le_bytes().to_vec()))],
                ..Batch::default()
            })
            .unwrap();
        held.push((files.head().unwrap(), files.read(ALL, usize::MAX).unwrap()));
    }
    files.loaded().unwrap();
    // Killed, not closed: closing would write the last state a second time.
    disk.kill();
    drop(files);
    let path = disk.paths().into_iter().find(|path| path.to_string_lossy().contains("checkpoint-")).unwrap();
    let last = held.pop().unwrap();
    (disk, path, [last, held.pop().unwrap()])
}

#[test]
fn damage_to_the_file_is_reported_or_harmless() {
    // redb's panics on damaged pages become errors; their messages say nothing new here.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_some_and(|location| location.file().ends_with(file!())) {
            hook(panic);
        }
    }));
    let (disk, path, [last, before]) = sample();
    let length = disk.contents(&path).len();
    let mut rng = Rng::new(1);
    let (mut harmless, mut reported, mut went_back) = (0, 0, 0);
    for _ in 0..Config::default().cases * 4 {
        let byte = if rng.one_in(4) { rng.below(512) } else { rng.below(length / 2) };
        let sector = byte / SECTOR_BYTES * SECTOR_BYTES;
        let harm = rng.below(4);
        let bit = rng.below(8) as u8;
        let garbage: Vec<u8> = (0..SECTOR_BYTES).map(|_| rng.next() as u8).collect();
        for verify in [Verify::Quick, Verify::Full] {
            let harmed = disk.fork(0);
            harmed.damage(&path, |bytes| match harm {
                0 => bytes[sector..sector + SECTOR_BYTES].fill(0),
                1 => bytes[sector..sector + SECTOR_BYTES].copy_from_slice(&garbage),
                _ => bytes[byte] ^= 1 << bit,
            });
            let outcome = read(&harmed, verify);
            harmed.empty();
            match outcome {
                Outcome::Read(held) if held == last => harmless += 1,
                // One bit of redb's header says which of two commits is the last, and nothing protects it. Whoever opens the checkpoint
                // compares what was applied with what the log has purged.
                Outcome::Read(held) if held == before && byte < 64 => went_back += 1,
                Outcome::Read((head, _)) => panic!("{verify:?}, byte {byte}, harm {harm}, bit {bit}: {head:?}"),
                Outcome::Reported(told) => {
                    assert!(told.contains("estore this node from its peers"), "{told}");
                    reported += 1;
                }
            }
        }
    }
    println!("harmless {harmless}, reported {reported}, one commit back {went_back}");
    assert!(harmless > 0 && reported > 0);
}

#[test]
fn damage_to_the_pointer_is_reported() {
    let (disk, _, _) = sample();
    let pointer = Path::new(DIRECTORY).join("current");
    for byte in 0..40 {
        let harmed = disk.fork(0);
        harmed.flip(&pointer, byte, 3);
        assert!(matches!(read(&harmed, Verify::Quick), Outcome::Reported(_)), "byte {byte}");
    }
    for length in [0, 1, 39, 41] {
        let harmed = disk.fork(0);
        harmed.damage(&pointer, |bytes| bytes.resize(length, 0));
        assert!(matches!(read(&harmed, Verify::Quick), Outcome::Reported(_)), "{length} bytes");
    }
}

#[test]
fn a_file_that_was_cut_or_emptied_or_is_another_is_reported_and_not_taken_for_a_new_one() {
    let (disk, path, _) = sample();
    for length in [0, 1, 9, 320, 4096, 100_000] {
        let harmed = disk.fork(0);
        harmed.damage(&path, |bytes| bytes.truncate(length));
        assert!(matches!(read(&harmed, Verify::Quick), Outcome::Reported(_)), "{length} bytes");
        assert_eq!(harmed.contents(&path).len(), length, "and left as it is");
    }
    let other = SimDisk::new(4);
    let options = CheckpointOptions::default();
    drop(CheckpointFiles::create(Arc::new(other.clone()), Path::new(DIRECTORY), options, Arc::new(Wear::default())).unwrap());
    let harmed = disk.fork(0);
    harmed.damage(&path, |bytes| *bytes = other.contents(&path));
    match read(&harmed, Verify::Quick) {
        Outcome::Reported(told) => assert!(told.contains("it is the file of another checkpoint"), "{told}"),
        outcome @ Outcome::Read(_) => panic!("{outcome:?}"),
    }
}

#[test]
fn an_opening_that_was_not_finished_is_followed_by_one_that_checks_every_page() {
    let (disk, path, [last, _]) = sample();
    let options = CheckpointOptions::default();
    let open =
        |disk: &SimDisk| CheckpointFiles::open(Arc::new(disk.clone()), Path::new(DIRECTORY), options.clone(), Arc::new(Wear::default()));
    // A row rots, wherever the file has a copy of it. A quick opening does not look at it.
    let content = disk.contents(&path);
    let copies = || (0..content.len() - 300).filter(|at| content[*at..at + 300] == [39; 300]);
    assert!(copies().count() > 0);
    copies().for_each(|at| disk.flip(&path, at + 5, 0));
    let files = open(&disk).unwrap();
    assert!(matches!(files.read(ALL, usize::MAX), Err(ReadCheckpointError::Damaged { .. })), "reading does");
    drop(files);
    // Whoever opened it did not say that all was well, so the next one looks at everything.
    assert!(matches!(open(&disk), Err(OpenCheckpointError::Damaged { .. })));
    copies().for_each(|at| disk.flip(&path, at + 5, 0));
    let mut files = open(&disk).unwrap();
    assert_eq!((files.head().unwrap(), files.read(ALL, usize::MAX).unwrap()), last);
    files.loaded().unwrap();
}
