//! A look at the state partition of a box that is off: where it lies, and which file system is on it.

use anyhow::{Context, Result, ensure};
use shoal_lab::Disk;

/// Partitions begin at multiples of this, bytes.
const ALIGNMENT: u64 = 1 << 20;
/// Name of the file system that PID 1 makes.
const LABEL: &[u8] = b"shoal-state\0";
/// Bytes of an ext4 superblock, which stands so far behind the start of its partition ("ext4 Data Structures" of the kernel's documentation).
const SUPERBLOCK_BYTES: usize = 1024;
/// Fields of the superblock.
const MAGIC: (usize, [u8; 2]) = (0x38, [0x53, 0xef]);
/// Which block group's copy it is; the first is not a copy.
const GROUP: (usize, [u8; 2]) = (0x5a, [0, 0]);
const UUID: usize = 0x68;
const VOLUME_NAME: usize = 0x78;

/// The file system on a state partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFs {
    /// Where its partition begins, in bytes.
    pub offset: u64,
    /// Made anew whenever it is formatted.
    pub uuid: [u8; 16],
}

impl StateFs {
    /// Finds it by its label on a raw disk of `bytes` bytes.
    ///
    /// # Errors
    /// If there is none, or more than one: old bytes behind an image may look like one.
    pub fn find(disk: &Disk, bytes: u64) -> Result<Self> {
        let mut found = Vec::new();
        for offset in (0..bytes).step_by(usize::try_from(ALIGNMENT)?) {
            let superblock = disk.peek(offset + SUPERBLOCK_BYTES as u64, SUPERBLOCK_BYTES)?;
            found.extend(Self::read(offset, &superblock));
        }
        ensure!(found.len() < 2, "there are several state partitions: {found:?}");
        found.pop().context("there is no state partition")
    }

    fn read(offset: u64, superblock: &[u8]) -> Option<Self> {
        let has = |at: usize, bytes: &[u8]| superblock.get(at..).is_some_and(|rest| rest.starts_with(bytes));
        let ours = has(MAGIC.0, &MAGIC.1) && has(GROUP.0, &GROUP.1) && has(VOLUME_NAME, LABEL);
        let uuid = superblock.get(UUID..UUID + 16)?.try_into().ok()?;
        ours.then_some(Self { offset, uuid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn superblock() -> Vec<u8> {
        let mut bytes = vec![0; SUPERBLOCK_BYTES];
        bytes[MAGIC.0..MAGIC.0 + 2].copy_from_slice(&MAGIC.1);
        bytes[UUID..UUID + 16].copy_from_slice(&[9; 16]);
        bytes[VOLUME_NAME..VOLUME_NAME + LABEL.len()].copy_from_slice(LABEL);
        bytes
    }

    #[test]
    fn the_file_system_is_found_where_it_is_and_two_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::create(directory.path().join("disk"), 8 << 20).unwrap();
        assert!(StateFs::find(&disk, 8 << 20).is_err());
        disk.poke((3 << 20) + 1024, &superblock()).unwrap();
        let found = StateFs::find(&disk, 8 << 20).unwrap();
        assert_eq!(found, StateFs { offset: 3 << 20, uuid: [9; 16] });
        disk.poke((5 << 20) + 1024, &superblock()).unwrap();
        assert!(StateFs::find(&disk, 8 << 20).is_err());
    }

    #[test]
    fn another_file_system_is_not_ours_and_a_copy_of_a_superblock_is_none() {
        for at in [VOLUME_NAME, GROUP.0, MAGIC.0] {
            let mut other = superblock();
            other[at] ^= 1;
            assert_eq!(StateFs::read(0, &other), None);
        }
    }
}
