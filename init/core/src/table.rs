//! Both copies of a GUID partition table (UEFI 2.10, 5.3) as values, and the sectors that turn one table into another.
//!
//! A table exists twice: header in LBA 1 with entries behind it, and header in the last LBA with entries before it. PID 1 writes tables
//! on sticks whose power may be cut at any moment, so two rules hold everywhere in this module and [`crate::partition`]:
//!
//! - **One valid copy lies still.** A copy is written only while the other one is valid and flushed.
//! - **Only sectors that differ are written.** The sectors that name the boot partitions hold the same bytes in every table PID 1 writes,
//!   so GRUB, which reads the primary copy without checking its sum, finds them at any moment too.

use std::io::{Read, Seek, SeekFrom, Write};

use gptman::{GPTHeader, GPTPartitionEntry};
use uuid::Uuid;

/// Bytes of a sector in every image of Shoal. Media with other logical sectors cannot carry one.
pub const SECTOR_BYTES: u64 = 512;
/// LBA of the primary header.
const PRIMARY_LBA: u64 = 1;
/// More entries than this are nonsense; the norm is 128, and 1024 bound the reading of a broken table at 128 KiB.
const ENTRIES_LIMIT: u32 = 1024;
/// Bytes of an entry in every table in use (UEFI allows more).
const ENTRY_BYTES: u32 = 128;
/// Farthest distance of the entries from their header, in sectors (2 MiB). Every tool puts them next to each other, or up to the first
/// partition's usual place.
const ARRAY_DISTANCE_LIMIT: u64 = 4096;

/// A table, in the words of its primary copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    header: GPTHeader,
    entries: Vec<GPTPartitionEntry>,
}

/// What was found where the two copies belong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copies {
    /// The copy at the start, if it is valid.
    pub primary: Option<Table>,
    /// The copy at the very end of the disk, if it is valid. A copy elsewhere (an image written to a larger disk) is not looked for.
    pub backup: Option<Table>,
}

/// Sectors to write in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectorWrite {
    /// First sector.
    pub lba: u64,
    /// Contents, a multiple of [`SECTOR_BYTES`].
    pub bytes: Vec<u8>,
}

/// Which copy of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copy {
    /// The one that begins in LBA 1.
    Primary,
    /// The one that ends in the last LBA.
    Backup,
}

impl Copies {
    /// Reads both copies from a disk of `sectors` sectors. A copy that cannot be read or makes no sense is absent.
    pub fn read(disk: &mut (impl Read + Seek), sectors: u64) -> Self {
        Self {
            primary: Table::read(disk, PRIMARY_LBA, sectors),
            backup: sectors.checked_sub(1).and_then(|last| Table::read(disk, last, sectors)).and_then(Table::mirrored),
        }
    }

    /// The table that counts. The primary wins: where both are valid and differ, power was cut between the writing of the backup and of
    /// the primary, or an image was written over an old one whose backup still lies at the end.
    #[must_use]
    pub fn current(&self) -> Option<&Table> {
        self.primary.as_ref().or(self.backup.as_ref())
    }

    /// The order in which copies may be overwritten: first the one whose loss costs nothing.
    #[must_use]
    pub const fn write_order(&self) -> [Copy; 2] {
        if self.primary.is_some() { [Copy::Backup, Copy::Primary] } else { [Copy::Primary, Copy::Backup] }
    }
}

impl Table {
    /// Reads the copy whose header lies in `lba`.
    fn read(disk: &mut (impl Read + Seek), lba: u64, sectors: u64) -> Option<Self> {
        disk.seek(SeekFrom::Start(lba * SECTOR_BYTES)).ok()?;
        let mut sector = [0; SECTOR_BYTES as usize];
        disk.read_exact(&mut sector).ok()?;
        let mut header = GPTHeader::read_from(&mut std::io::Cursor::new(sector)).ok()?;
        let sane = header.primary_lba == lba
            && header.size_of_partition_entry == ENTRY_BYTES
            && (1..=ENTRIES_LIMIT).contains(&header.number_of_partition_entries)
            && header.partition_entry_lba > PRIMARY_LBA
            && header.partition_entry_lba < sectors
            && header.partition_entry_lba.abs_diff(lba) <= ARRAY_DISTANCE_LIMIT;
        if !sane {
            return None;
        }
        let entries = header.read_partitions(disk, SECTOR_BYTES).ok()?;
        // Sums are made when a copy is written; here they would only make equal tables unequal.
        header.crc32_checksum = 0;
        header.partition_entry_array_crc32 = 0;
        Some(Self { header, entries })
    }

    /// A table read from the backup copy, as the primary copy would say it. None if its entries lie elsewhere than before its header:
    /// then it is nothing PID 1 could have written, nor any tool in use.
    fn mirrored(mut self) -> Option<Self> {
        let end = self.header.primary_lba;
        if self.header.partition_entry_lba + self.array_sectors() != end {
            return None;
        }
        self.header.primary_lba = PRIMARY_LBA;
        self.header.backup_lba = end;
        self.header.partition_entry_lba = PRIMARY_LBA + 1;
        Some(self)
    }

    /// GUID of the disk: the image's id on a medium of ours.
    #[must_use]
    pub fn disk_guid(&self) -> Uuid {
        Uuid::from_bytes_le(self.header.disk_guid)
    }

    /// Entries in use, with their numbers from 1.
    pub fn partitions(&self) -> impl Iterator<Item = (u32, &GPTPartitionEntry)> {
        (1..).zip(&self.entries).filter(|(_, entry)| entry.is_used())
    }

    /// Number of the first unused entry from `least` on.
    #[must_use]
    pub fn unused(&self, least: u32) -> Option<u32> {
        (1..).zip(&self.entries).find(|(number, entry)| *number >= least && entry.is_unused()).map(|(number, _)| number)
    }

    /// Puts an entry in the place with this number; numbers outside the table are passed over.
    pub(crate) fn set(&mut self, number: u32, entry: GPTPartitionEntry) {
        if let Some(place) = usize::try_from(number).ok().and_then(|number| self.entries.get_mut(number - 1)) {
            *place = entry;
        }
    }

    /// Sectors that the entries of one copy fill.
    fn array_sectors(&self) -> u64 {
        (u64::from(self.header.number_of_partition_entries) * u64::from(ENTRY_BYTES)).div_ceil(SECTOR_BYTES)
    }

    /// Last sector that a partition may use on a disk of `sectors` sectors.
    #[must_use]
    pub fn last_usable(&self, sectors: u64) -> u64 {
        sectors.saturating_sub(2 + self.array_sectors())
    }

    /// The table with its backup copy at the end of a disk of `sectors` sectors.
    #[must_use]
    pub(crate) fn fitted(&self, sectors: u64) -> Self {
        let mut fitted = self.clone();
        let header = &mut fitted.header;
        header.backup_lba = sectors - 1;
        header.last_usable_lba = self.last_usable(sectors);
        fitted
    }

    /// Bytes of one copy, entries first: a header that arrives without its entries would be a copy with a wrong sum either way, but
    /// where writes arrive in order the old header stays for as long as possible.
    fn sectors(&self, copy: Copy) -> Vec<SectorWrite> {
        let mut header = self.header.clone();
        if copy == Copy::Backup {
            header.primary_lba = self.header.backup_lba;
            header.backup_lba = PRIMARY_LBA;
            header.partition_entry_lba = self.header.backup_lba - self.array_sectors();
        }
        let header_lba = header.primary_lba;
        let array_lba = header.partition_entry_lba;
        let low = header_lba.min(array_lba);
        let high = header_lba.max(array_lba + self.array_sectors() - 1);
        // gptman writes at absolute places, so it is given a window that begins at the first of them.
        let mut window = Window { start: low * SECTOR_BYTES, at: 0, bytes: vec![0; ((high - low + 1) * SECTOR_BYTES) as usize] };
        header.write_into(&mut window, SECTOR_BYTES, &self.entries).expect("writing into memory of the right size does not fail");
        let cut = |lba: u64, count: u64| {
            let from = ((lba - low) * SECTOR_BYTES) as usize;
            SectorWrite { lba, bytes: window.bytes[from..from + (count * SECTOR_BYTES) as usize].to_vec() }
        };
        vec![cut(array_lba, self.array_sectors()), cut(header_lba, 1)]
    }

    /// The sectors of one copy of this table that differ from what `present` holds, one write for each run of neighbours.
    #[must_use]
    pub(crate) fn changes(&self, copy: Copy, present: Option<&Self>) -> Vec<SectorWrite> {
        let present = present.map(|table| table.sectors(copy)).unwrap_or_default();
        let unchanged = |lba: u64, bytes: &[u8]| {
            present.iter().any(|write| {
                let Some(offset) = lba.checked_sub(write.lba) else { return false };
                let from = (offset * SECTOR_BYTES) as usize;
                write.bytes.get(from..from + bytes.len()) == Some(bytes)
            })
        };
        let mut changes: Vec<SectorWrite> = Vec::new();
        for write in self.sectors(copy) {
            for (lba, bytes) in (write.lba..).zip(write.bytes.chunks(SECTOR_BYTES as usize)) {
                if unchanged(lba, bytes) {
                    continue;
                }
                match changes.last_mut() {
                    Some(last) if last.lba + (last.bytes.len() as u64) / SECTOR_BYTES == lba => last.bytes.extend_from_slice(bytes),
                    _ => changes.push(SectorWrite { lba, bytes: bytes.to_vec() }),
                }
            }
        }
        changes
    }
}

/// Memory that answers to the absolute offsets of a part of a disk.
struct Window {
    start: u64,
    at: usize,
    bytes: Vec<u8>,
}

impl Write for Window {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let place = self.bytes.get_mut(self.at..self.at + bytes.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        place.copy_from_slice(bytes);
        self.at += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let SeekFrom::Start(offset) = to else { return Err(std::io::ErrorKind::Unsupported.into()) };
        let at = offset.checked_sub(self.start).ok_or(std::io::ErrorKind::InvalidInput)?;
        self.at = usize::try_from(at).map_err(|_| std::io::ErrorKind::InvalidInput)?;
        Ok(offset)
    }
}
