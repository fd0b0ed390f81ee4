//! GUID partition tables (UEFI 2.11, chapter 5) in 512-byte sectors.
//!
//! Every GUID is the caller's, so that the same inputs give the same table.

use uuid::{Uuid, uuid};

use crate::sparse::SparseImage;

/// Bytes of a logical sector. 4096-byte native media would need another table; such media are not built for.
pub const SECTOR: u64 = 512;

/// First sector behind the protective MBR, the header and the 128 entries of 128 bytes: `2 + 32`.
pub const FIRST_USABLE_SECTOR: u64 = 34;

/// Sectors the backup takes at the end: 32 of entries and the header.
pub const BACKUP_SECTORS: u64 = 33;

/// Entries in a table; the specification's minimum, and what firmware expects.
pub const PARTITIONS: usize = 128;

/// UTF-16 units in a partition's name.
pub const NAME_UNITS: usize = 36;

/// Type of an EFI system partition.
pub const TYPE_ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");

/// Type of GRUB's BIOS boot partition.
pub const TYPE_BIOS_BOOT: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");

/// Type of a partition that only says that its sectors are in use ("Linux reserved" in the Discoverable Partitions Specification).
pub const TYPE_RESERVED: Uuid = uuid!("8da63339-0007-60c0-c436-083ac8230908");

/// Type of a partition of Linux data.
pub const TYPE_LINUX_DATA: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");

/// Type of the partition with the image's configuration ([`crate::sector`]); Shoal's own.
pub const TYPE_CONFIG: Uuid = uuid!("8f4ab3c2-6d0e-4b57-9a31-5c7be20f6d19");

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// What it is for.
    pub type_guid: Uuid,
    /// Its own GUID (PARTUUID).
    pub unique_guid: Uuid,
    /// Its label, at most [`NAME_UNITS`] UTF-16 units.
    pub name: String,
    /// First sector.
    pub first_sector: u64,
    /// Length in sectors, at least 1.
    pub sectors: u64,
    /// Attribute bits; bit 2 is "legacy BIOS bootable".
    pub attributes: u64,
}

impl Partition {
    /// Where it begins, in bytes from the start of the disk.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.first_sector * SECTOR
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.sectors * SECTOR
    }
}

/// Why a table could not be written. The image may hold part of it.
#[derive(Debug, thiserror::Error)]
pub enum GptError {
    /// The image is not made of whole sectors, or has no room for a table.
    #[error("a disk of {bytes} bytes cannot hold a partition table; make it a multiple of {SECTOR} and at least 34 KiB")]
    DiskLength {
        /// Length of the image.
        bytes: u64,
    },
    /// More partitions than entries.
    #[error("{count} partitions do not fit a table of {PARTITIONS} entries; leave some out")]
    TooMany {
        /// Partitions given.
        count: usize,
    },
    /// A partition outside the usable sectors.
    #[error(
        "partition `{name}` (sectors {first} to {last}) lies outside the usable sectors {FIRST_USABLE_SECTOR} to {usable}; enlarge the disk"
    )]
    Outside {
        /// Its label.
        name: String,
        /// Its first sector.
        first: u64,
        /// Its last sector.
        last: u64,
        /// Last usable sector of the disk.
        usable: u64,
    },
    /// A label too long for its field.
    #[error("partition name `{name}` is longer than {NAME_UNITS} UTF-16 units; shorten it")]
    Name {
        /// The label.
        name: String,
    },
    /// Overlapping partitions or GUIDs used twice.
    #[error("the partitions contradict each other; check that they do not overlap and that no GUID is used twice")]
    Table(#[source] gptman::Error),
}

/// Writes a protective MBR, the table, and its backup into the last sectors of `image`. The MBR's first 440 bytes, where boot code goes,
/// stay as they are.
///
/// # Errors
/// [`GptError`].
pub fn write(image: &mut SparseImage, disk_guid: Uuid, partitions: &[Partition]) -> Result<(), GptError> {
    let bytes = image.len();
    if !bytes.is_multiple_of(SECTOR) || bytes / SECTOR <= FIRST_USABLE_SECTOR + BACKUP_SECTORS {
        return Err(GptError::DiskLength { bytes });
    }
    if partitions.len() > PARTITIONS {
        return Err(GptError::TooMany { count: partitions.len() });
    }
    let usable = bytes / SECTOR - BACKUP_SECTORS - 1;
    let mut cursor = image.cursor();
    let mut table = gptman::GPT::new_from(&mut cursor, SECTOR, disk_guid.to_bytes_le()).map_err(GptError::Table)?;
    for (number, partition) in (1_u32..).zip(partitions) {
        let last = partition.first_sector.saturating_add(partition.sectors).saturating_sub(1);
        if partition.first_sector < FIRST_USABLE_SECTOR || last < partition.first_sector || last > usable {
            return Err(GptError::Outside { name: partition.name.clone(), first: partition.first_sector, last, usable });
        }
        if partition.name.encode_utf16().count() > NAME_UNITS {
            return Err(GptError::Name { name: partition.name.clone() });
        }
        table[number] = gptman::GPTPartitionEntry {
            partition_type_guid: partition.type_guid.to_bytes_le(),
            unique_partition_guid: partition.unique_guid.to_bytes_le(),
            starting_lba: partition.first_sector,
            ending_lba: last,
            attribute_bits: partition.attributes,
            partition_name: partition.name.as_str().into(),
        };
    }
    gptman::GPT::write_protective_mbr_into(&mut cursor, SECTOR).map_err(GptError::Table)?;
    table.write_into(&mut cursor).map_err(GptError::Table)?;
    Ok(())
}

/// Reads a table back: the disk's GUID and the partitions in the order of their entries.
///
/// # Errors
/// [`GptError::Table`] if neither the table nor its backup is whole.
pub fn read(image: &mut SparseImage) -> Result<(Uuid, Vec<Partition>), GptError> {
    let table = gptman::GPT::read_from(&mut image.cursor(), SECTOR).map_err(GptError::Table)?;
    let partitions = table.iter().filter(|(_, entry)| entry.is_used()).map(|(_, entry)| Partition {
        type_guid: Uuid::from_bytes_le(entry.partition_type_guid),
        unique_guid: Uuid::from_bytes_le(entry.unique_partition_guid),
        name: entry.partition_name.as_str().to_owned(),
        first_sector: entry.starting_lba,
        sectors: entry.ending_lba + 1 - entry.starting_lba,
        attributes: entry.attribute_bits,
    });
    Ok((Uuid::from_bytes_le(table.header.disk_guid), partitions.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK: Uuid = uuid!("11111111-2222-3333-4444-555555555555");

    fn partition(name: &str, first_sector: u64, sectors: u64) -> Partition {
        let unique_guid = Uuid::new_v5(&DISK, name.as_bytes());
        Partition { type_guid: TYPE_ESP, unique_guid, name: name.into(), first_sector, sectors, attributes: 0 }
    }

    #[test]
    fn a_table_is_read_back_and_boot_code_survives() {
        let mut image = SparseImage::new(4 << 20);
        image.write_at(0, &[0xeb; 440]).unwrap();
        let partitions = [partition("bios", 34, 2014), partition("esp", 2048, 4096)];
        write(&mut image, DISK, &partitions).unwrap();
        assert_eq!(read(&mut image).unwrap(), (DISK, partitions.to_vec()));
        assert_eq!(image.bytes_at(0, 440), [0xeb; 440]);
        assert_eq!(image.bytes_at(510, 2), [0x55, 0xaa]);
    }

    #[test]
    fn the_backup_alone_is_enough() {
        let mut image = SparseImage::new(4 << 20);
        let partitions = [partition("esp", 2048, 100)];
        write(&mut image, DISK, &partitions).unwrap();
        image.write_at(512, &[0; 512]).unwrap();
        assert_eq!(read(&mut image).unwrap().1, partitions);
        image.write_at((4 << 20) - 512, &[0; 512]).unwrap();
        assert!(read(&mut image).is_err());
    }

    #[test]
    fn guids_are_stored_mixed_endian() {
        let mut image = SparseImage::new(1 << 20);
        write(&mut image, uuid!("00112233-4455-6677-8899-aabbccddeeff"), &[]).unwrap();
        let expected = [0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        assert_eq!(image.bytes_at(512 + 56, 16), expected);
    }

    #[test]
    fn partitions_outside_or_over_each_other_are_refused() {
        let write = |partitions: &[Partition]| write(&mut SparseImage::new(1 << 20), DISK, partitions);
        assert!(matches!(write(&[partition("low", 33, 10)]), Err(GptError::Outside { .. })));
        assert!(matches!(write(&[partition("empty", 40, 0)]), Err(GptError::Outside { .. })));
        assert!(write(&[partition("fits", 34, 2048 - 34 - 33)]).is_ok());
        assert!(matches!(write(&[partition("high", 34, 2048 - 34 - 32)]), Err(GptError::Outside { .. })));
        assert!(matches!(write(&[partition("huge", 34, u64::MAX)]), Err(GptError::Outside { .. })));
        assert!(matches!(write(&[partition("a", 40, 10), partition("b", 45, 10)]), Err(GptError::Table(_))));
        assert!(matches!(write(&[partition("a", 40, 10), partition("a", 60, 10)]), Err(GptError::Table(_))));
        assert!(matches!(write(&[partition(&"n".repeat(37), 40, 10)]), Err(GptError::Name { .. })));
    }

    #[test]
    fn disks_too_small_or_of_broken_sectors_are_refused() {
        for bytes in [0, 512, 67 * 512, (1 << 20) + 1] {
            assert!(matches!(write(&mut SparseImage::new(bytes), DISK, &[]), Err(GptError::DiskLength { .. })), "{bytes}");
        }
        assert!(write(&mut SparseImage::new(68 * 512), DISK, &[]).is_ok());
    }
}
