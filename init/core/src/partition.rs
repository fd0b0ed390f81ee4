//! The state partition: what to write on the medium booted from, as a plan without a choice left in it.
//!
//! **An entry that had to be created is always formatted.** Whatever bytes lie behind the image, from an older Shoal or from holiday
//! pictures, they are never mounted. The name of the entry carries the promise across power cuts:
//!
//! | entry | meaning | next boot |
//! |---|---|---|
//! | none | fresh image | create `shoal-state-new`, format, rename |
//! | `shoal-state-new` | power was cut before the file system was whole | create again, format, rename |
//! | `shoal-state` | the file system was whole and flushed before the rename | grow the entry, check, mount; never format |
//!
//! Each table is written to the copy whose loss costs nothing, flushed, then to the other (see [`crate::table`]). So after a cut anywhere
//! at least one copy is whole, and it tells the truth about the file system.

use gptman::GPTPartitionEntry;
use uuid::Uuid;

use crate::table::{Copies, Copy, SECTOR_BYTES, SectorWrite, Table};

/// Name of a state partition with a whole file system.
pub const STATE_NAME: &str = "shoal-state";
/// Name of a state partition whose file system may not be whole.
pub const STATE_NAME_NEW: &str = "shoal-state-new";
/// Type of the entry: "Linux filesystem data" (Discoverable Partitions Specification), which other systems leave alone.
const STATE_TYPE: Uuid = Uuid::from_u128(0x0fc6_3daf_8483_4772_8e79_3d69_d847_7de4);
/// The least number of its entry. Entries 1 to 4 share the first sector of the table; it names the boot partitions and is never written.
const STATE_NUMBER: u32 = 5;
/// Partitions begin and end at multiples of 1 MiB, in sectors: erase blocks of flash media divide it.
const ALIGNMENT: u64 = 2048;
/// How much of a new partition is overwritten with zeros at either end, in bytes: the places where file systems, RAID and LVM keep
/// their signatures.
pub const WIPE_BYTES: u64 = 1 << 20;

/// A range of the disk that is the state partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Number of its entry, from 1.
    pub number: u32,
    /// First sector.
    pub first_lba: u64,
    /// Last sector, included.
    pub last_lba: u64,
}

impl Partition {
    /// Where it begins, in bytes.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.first_lba * SECTOR_BYTES
    }

    /// Its size in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        (self.last_lba + 1 - self.first_lba) * SECTOR_BYTES
    }
}

/// One step of a plan. A step that fails ends the plan; state is then in RAM, and the next boot begins anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write these sectors, then flush the disk's cache.
    Write(Vec<SectorWrite>),
    /// Make the kernel see the partition.
    Announce(Partition),
    /// Overwrite both ends with zeros, then flush.
    Wipe(Partition),
    /// Make a file system, then flush.
    Format(Partition),
    /// Check and mend the file system.
    Check(Partition),
    /// Mount it, and grow it to the size of the partition.
    Mount(Partition),
}

/// What to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// The partition they end with.
    pub partition: Partition,
    /// The plan makes a new file system.
    pub formats: bool,
}

/// Why there can be no state partition on a medium. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoState {
    /// Neither copy of the table is valid.
    #[error("the medium has no valid partition table; write the image to it again")]
    NoTable,
    /// Too little room behind the image.
    #[error("there are {available_bytes} bytes behind the image and state needs {needed_bytes}; use a larger medium")]
    NoRoom {
        /// Bytes that a partition could have.
        available_bytes: u64,
        /// Bytes it must have.
        needed_bytes: u64,
    },
    /// All entries are used.
    #[error("the partition table has no entry left; write the image to the medium again")]
    NoEntry,
    /// The table reaches past the end of the disk or partitions overlap.
    #[error("the partition table does not fit the disk ({what}); write the image to a large enough medium again")]
    Nonsense {
        /// What does not fit.
        what: &'static str,
    },
}

/// Finds an entry by name; the number is from 1.
fn find<'a>(table: &'a Table, name: &str) -> Option<(u32, &'a GPTPartitionEntry)> {
    table.partitions().find(|(_, entry)| entry.partition_name.as_str() == name)
}

/// Whether a table has a state partition that must be kept.
#[must_use]
pub fn has_state(table: &Table) -> bool {
    find(table, STATE_NAME).is_some()
}

/// Decides what to do with a medium of `sectors` sectors. `image_end` is the first sector behind anything the table does not name, such
/// as an ISO 9660 volume, or 0. `guid` becomes the partition's GUID if one is created.
///
/// # Errors
/// [`NoState`] when the medium cannot hold state; nothing is to be written then.
pub fn plan(copies: &Copies, sectors: u64, image_end: u64, minimum_bytes: u64, guid: Uuid) -> Result<Plan, NoState> {
    let current = copies.current().ok_or(NoState::NoTable)?;
    match find(current, STATE_NAME) {
        Some((number, entry)) => keep(copies, current, sectors, number, entry),
        None => create(copies, current, sectors, image_end, minimum_bytes, guid),
    }
}

/// The plan for a partition that holds state.
fn keep(copies: &Copies, current: &Table, sectors: u64, number: u32, entry: &GPTPartitionEntry) -> Result<Plan, NoState> {
    let others: Vec<_> = current.partitions().filter(|(other, _)| *other != number).map(|(_, entry)| entry).collect();
    if entry.ending_lba < entry.starting_lba || entry.ending_lba > current.last_usable(sectors) {
        return Err(NoState::Nonsense { what: "the state partition reaches past its end" });
    }
    if others.iter().any(|other| other.starting_lba <= entry.ending_lba && entry.starting_lba <= other.ending_lba) {
        return Err(NoState::Nonsense { what: "the state partition overlaps another one" });
    }
    let limit = others.iter().map(|other| other.starting_lba).filter(|start| *start > entry.ending_lba).min();
    let free_end = limit.unwrap_or(current.last_usable(sectors) + 1);
    let last_lba = (free_end / ALIGNMENT * ALIGNMENT).saturating_sub(1).max(entry.ending_lba);
    let partition = Partition { number, first_lba: entry.starting_lba, last_lba };
    let mut table = current.fitted(sectors);
    table.set(number, GPTPartitionEntry { ending_lba: last_lba, ..entry.clone() });
    let mut steps = rewrite(copies, &table);
    steps.extend([Step::Announce(partition), Step::Check(partition), Step::Mount(partition)]);
    Ok(Plan { steps, partition, formats: false })
}

/// The plan for a medium without state.
fn create(copies: &Copies, current: &Table, sectors: u64, image_end: u64, minimum_bytes: u64, guid: Uuid) -> Result<Plan, NoState> {
    let old = find(current, STATE_NAME_NEW).map(|(number, entry)| (number, entry.unique_partition_guid));
    let number = match old {
        Some((number, _)) => number,
        None => current.unused(STATE_NUMBER).ok_or(NoState::NoEntry)?,
    };
    let behind = current.partitions().filter(|(other, _)| *other != number).map(|(_, entry)| entry.ending_lba + 1).max().unwrap_or(0);
    let first_lba = behind.max(image_end).next_multiple_of(ALIGNMENT).max(ALIGNMENT);
    let end = (current.last_usable(sectors) + 1) / ALIGNMENT * ALIGNMENT;
    if behind > current.last_usable(sectors) + 1 {
        return Err(NoState::Nonsense { what: "the image reaches past its end" });
    }
    let available_bytes = end.saturating_sub(first_lba) * SECTOR_BYTES;
    if available_bytes == 0 || available_bytes < minimum_bytes {
        return Err(NoState::NoRoom { available_bytes, needed_bytes: minimum_bytes });
    }
    let partition = Partition { number, first_lba, last_lba: end - 1 };
    let entry = |name: &str| GPTPartitionEntry {
        partition_type_guid: STATE_TYPE.to_bytes_le(),
        unique_partition_guid: old.map_or(guid.to_bytes_le(), |(_, guid)| guid),
        starting_lba: partition.first_lba,
        ending_lba: partition.last_lba,
        attribute_bits: 0,
        partition_name: name.into(),
    };
    let mut promised = current.fitted(sectors);
    promised.set(number, entry(STATE_NAME_NEW));
    let mut kept = promised.clone();
    kept.set(number, entry(STATE_NAME));

    let mut steps = rewrite(copies, &promised);
    steps.extend([Step::Announce(partition), Step::Wipe(partition), Step::Format(partition)]);
    // By now both copies say `promised`.
    let both = Copies { primary: Some(promised.clone()), backup: Some(promised) };
    steps.extend(rewrite(&both, &kept));
    steps.push(Step::Mount(partition));
    Ok(Plan { steps, partition, formats: true })
}

/// Steps that turn both copies into `table`; none if they are it already.
fn rewrite(copies: &Copies, table: &Table) -> Vec<Step> {
    let write = |copy: Copy| {
        let present = match copy {
            Copy::Primary => &copies.primary,
            Copy::Backup => &copies.backup,
        };
        table.changes(copy, present.as_ref())
    };
    copies.write_order().into_iter().map(write).filter(|writes| !writes.is_empty()).map(Step::Write).collect()
}

#[cfg(test)]
mod tests;
