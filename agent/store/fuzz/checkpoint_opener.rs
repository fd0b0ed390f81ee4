//! What the fuzz target and the short run of the tests do with bytes: change a checkpoint by them, and open it.
//!
//! The input is one byte (0: a quick opening, else every page is checked), the length of the file (u32, little-endian; larger than it is:
//! as it is), and any number of changes: position (u32), number of bytes (u8), and the bytes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use shoal_store_files::checkpoint::{
    Batch, CheckpointFiles, CheckpointOptions, OpenCheckpointError, ReadCheckpointError, Revision, Verify,
};
use shoal_store_files::disk::sim::SimDisk;

const DIRECTORY: &str = "/checkpoint";
const ALL: std::ops::Range<Revision> = Revision { main: 0, sub: 0 }..Revision { main: u64::MAX, sub: 0 };

/// Small, since a database that is damaged is not closed and keeps its cache.
fn options(verify: Verify) -> CheckpointOptions {
    CheckpointOptions { cache_bytes: 64 << 10, verify, ..CheckpointOptions::default() }
}

/// A checkpoint with some rows, and the path of its file.
fn sample() -> &'static (SimDisk, PathBuf) {
    static SAMPLE: OnceLock<(SimDisk, PathBuf)> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let disk = SimDisk::new(7);
        let mut files =
            CheckpointFiles::create(Arc::new(disk.clone()), Path::new(DIRECTORY), options(Verify::Quick), Arc::default()).unwrap();
        for round in 0..3 {
            let put = (0..20).map(|row| (Revision { main: round * 20 + row, sub: 0 }, vec![row as u8; 100].into()));
            files.commit(&Batch { put: put.collect(), put_meta: vec![("applied".into(), vec![1].into())], ..Batch::default() }).unwrap();
        }
        files.loaded().unwrap();
        disk.kill();
        drop(files);
        let path = disk.paths().into_iter().find(|path| path.to_string_lossy().contains("checkpoint-")).unwrap();
        (disk, path)
    })
}

/// Opens the sample, changed by `input`, and reads everything. Says whether it was whole.
pub(crate) fn open_changed(input: &[u8]) -> bool {
    let (sample, path) = sample();
    let Some(([verify, length @ ..], changes)) = input.split_first_chunk::<5>() else { return false };
    let disk = sample.fork(0);
    disk.damage(path, |bytes| {
        let mut changes = changes;
        while let Some(([count, position @ ..], rest)) = changes.split_first_chunk::<5>() {
            let (new, rest) = rest.split_at(rest.len().min(usize::from(*count)));
            let position = u32::from_le_bytes(*position) as usize;
            if let Some(old) = bytes.get_mut(position..position + new.len()) {
                old.copy_from_slice(new);
            }
            changes = rest;
        }
        bytes.truncate(u32::from_le_bytes(*length) as usize);
    });
    let verify = if *verify == 0 { Verify::Quick } else { Verify::Full };
    let opened = CheckpointFiles::open(Arc::new(disk.clone()), Path::new(DIRECTORY), options(verify), Arc::default());
    let whole = match opened {
        Err(OpenCheckpointError::Damaged { .. }) => false,
        Err(error) => panic!("{error}: {error:?}"),
        Ok(files) => {
            let read = files.verify().and_then(|()| Ok((files.head()?, files.read(ALL, usize::MAX)?)));
            // The process ends here; it does not close the file.
            disk.kill();
            match read {
                Err(ReadCheckpointError::Damaged { .. }) => false,
                Err(error) => panic!("{error}: {error:?}"),
                Ok((head, rows)) => {
                    // The last commit, or the one before: see the tests of damage.
                    assert!([40, 60].contains(&rows.len()) && head.revisions == rows.len() as u64);
                    assert!(rows.iter().all(|(key, value)| *value == vec![(key.main % 20) as u8; 100]));
                    true
                }
            }
        }
    };
    disk.empty();
    whole
}
