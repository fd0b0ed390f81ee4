//! Which disk did we boot from?
//!
//! The image's id is the GUID of its disk, on the disk image as on the hybrid ISO. So a medium of ours says so itself, and no other disk is
//! ever written to, whatever it holds. Several may say so at once: a stick with the image beside a machine installed from it, or two
//! equal sticks in one box.

use shoal_contract::{CONFIG_BYTES, CONFIG_PARTITION_TYPE};
use uuid::Uuid;

use crate::table::{SECTOR_BYTES, Table};

/// A whole disk that the kernel shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disk {
    /// Kernel's name: `sda`, `nvme0n1`, `sr0`.
    pub name: String,
    /// It cannot be written: a write-protect switch, a CD.
    pub read_only: bool,
    /// GUID in its partition table, if it has a valid one.
    pub guid: Option<Uuid>,
    /// GUIDs of its partitions.
    pub partitions: Vec<Uuid>,
    /// It has a state partition.
    pub has_state: bool,
}

/// What is known about the medium booted from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// No disk of ours yet; more may appear.
    None,
    /// This one, by its kernel name, and it holds state: no other can be meant.
    Certain(String),
    /// This one as far as can be seen; wait until no more disks appear before anything is written to it.
    Likely(String),
    /// Several, and nothing tells them apart.
    Ambiguous(Vec<String>),
}

/// Chooses among the disks seen so far. `booted_from` is the partition that the loader says it was started from (EFI variable
/// `LoaderDevicePartUUID`, Boot Loader Interface), which narrows the choice but is neither needed nor enough: equal sticks have equal
/// partition GUIDs.
#[must_use]
pub fn choose(image: Uuid, booted_from: Option<Uuid>, disks: &[Disk]) -> Choice {
    let ours: Vec<&Disk> = disks.iter().filter(|disk| disk.guid == Some(image)).collect();
    let named: Vec<&Disk> = ours.iter().copied().filter(|disk| booted_from.is_some_and(|guid| disk.partitions.contains(&guid))).collect();
    let candidates = if named.is_empty() { ours } else { named };
    let with_state: Vec<&Disk> = candidates.iter().copied().filter(|disk| disk.has_state).collect();
    match (with_state.as_slice(), candidates.as_slice()) {
        (_, []) => Choice::None,
        ([one], _) => Choice::Certain(one.name.clone()),
        ([], [one]) => Choice::Likely(one.name.clone()),
        ([], several) => match several.iter().filter(|disk| !disk.read_only).collect::<Vec<_>>().as_slice() {
            // A CD and one stick: only the stick can hold state.
            [one] => Choice::Likely(one.name.clone()),
            _ => Choice::Ambiguous(names(several)),
        },
        (several, _) => Choice::Ambiguous(names(several)),
    }
}

fn names(disks: &[&Disk]) -> Vec<String> {
    disks.iter().map(|disk| disk.name.clone()).collect()
}

/// First sector of the partition with the image's configuration; `None` if the image has none, or one that is too short.
#[must_use]
pub fn config_sector(table: &Table) -> Option<u64> {
    let ours = |entry: &&gptman::GPTPartitionEntry| entry.partition_type_guid == CONFIG_PARTITION_TYPE.to_bytes_le();
    let entry = table.partitions().map(|(_, entry)| entry).find(ours)?;
    let bytes = entry.ending_lba.saturating_add(1).saturating_sub(entry.starting_lba).saturating_mul(SECTOR_BYTES);
    (bytes >= CONFIG_BYTES as u64).then_some(entry.starting_lba)
}

/// End of an ISO 9660 volume in bytes, from its first 17 sectors of 2048 bytes (ECMA-119, 8.4); None if there is none. A hybrid ISO's
/// table need not name all of the volume.
#[must_use]
pub fn iso_volume_bytes(start: &[u8]) -> Option<u64> {
    const DESCRIPTOR: usize = 16 * 2048;
    let descriptor = start.get(DESCRIPTOR..DESCRIPTOR + 2048)?;
    if descriptor[0] != 1 || &descriptor[1..6] != b"CD001" {
        return None;
    }
    // Both numbers stand there twice, little endian first.
    let blocks = u32::from_le_bytes(descriptor[80..84].try_into().ok()?);
    let block_bytes = u16::from_le_bytes(descriptor[128..130].try_into().ok()?);
    Some(u64::from(blocks) * u64::from(block_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: Uuid = Uuid::from_u128(1);
    const ESP: Uuid = Uuid::from_u128(2);

    fn disk(name: &str) -> Disk {
        Disk { name: name.into(), guid: Some(IMAGE), partitions: vec![ESP], ..Disk::default() }
    }

    #[test]
    fn a_disk_without_our_image_is_never_chosen_even_if_the_loader_names_it() {
        let foreign = Disk { guid: Some(Uuid::from_u128(9)), has_state: true, ..disk("nvme0n1") };
        let blank = Disk { guid: None, ..disk("sdb") };
        assert_eq!(choose(IMAGE, Some(ESP), &[foreign, blank]), Choice::None);
    }

    #[test]
    fn the_disk_with_state_is_preferred_and_certain() {
        let with_state = Disk { has_state: true, ..disk("sdb") };
        assert_eq!(choose(IMAGE, None, &[disk("sda"), with_state]), Choice::Certain("sdb".into()));
    }

    #[test]
    fn a_single_disk_without_state_is_only_likely() {
        assert_eq!(choose(IMAGE, None, &[disk("sda")]), Choice::Likely("sda".into()));
    }

    #[test]
    fn equal_disks_are_ambiguous() {
        assert_eq!(choose(IMAGE, Some(ESP), &[disk("sda"), disk("sdb")]), Choice::Ambiguous(vec!["sda".into(), "sdb".into()]));
        let (one, two) = (Disk { has_state: true, ..disk("sda") }, Disk { has_state: true, ..disk("sdb") });
        assert_eq!(choose(IMAGE, None, &[one, two]), Choice::Ambiguous(vec!["sda".into(), "sdb".into()]));
    }

    #[test]
    fn the_loaders_partition_narrows_the_choice() {
        let other = Disk { partitions: vec![], ..disk("sda") };
        assert_eq!(choose(IMAGE, Some(ESP), &[other, disk("sdb")]), Choice::Likely("sdb".into()));
    }

    #[test]
    fn beside_a_cd_the_stick_holds_the_state() {
        let cd = Disk { read_only: true, ..disk("sr0") };
        assert_eq!(choose(IMAGE, None, &[cd, disk("sda")]), Choice::Likely("sda".into()));
    }

    #[test]
    fn an_iso_volume_says_how_long_it_is() {
        let mut start = vec![0; 17 * 2048];
        assert_eq!(iso_volume_bytes(&start), None);
        let descriptor = &mut start[16 * 2048..];
        descriptor[0] = 1;
        descriptor[1..6].copy_from_slice(b"CD001");
        descriptor[80..84].copy_from_slice(&1000_u32.to_le_bytes());
        descriptor[128..130].copy_from_slice(&2048_u16.to_le_bytes());
        assert_eq!(iso_volume_bytes(&start), Some(2_048_000));
    }
}
