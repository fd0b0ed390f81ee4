//! Plans are carried out on a disk that loses power: see [`Disk`].

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Seek, SeekFrom};

use gptman::GPT;
use proptest::prelude::*;

use super::*;

const SECTOR: usize = SECTOR_BYTES as usize;
/// Sectors of the image: two boot partitions and its own backup table.
const IMAGE_SECTORS: u64 = 2 * ALIGNMENT + 33;
const SMALL: u64 = 8 * ALIGNMENT;
const LARGE: u64 = 12 * ALIGNMENT;
const GUID: Uuid = Uuid::from_u128(7);

/// A disk with a cache: what is written is durable only after a flush.
#[derive(Clone)]
struct Disk {
    sectors: u64,
    durable: BTreeMap<u64, [u8; SECTOR]>,
    pending: Vec<(u64, [u8; SECTOR])>,
}

/// A reader's place on a disk.
struct View<'a> {
    disk: &'a Disk,
    at: u64,
}

impl Disk {
    /// A disk whose free space holds the remains of an earlier life: a state partition that says it is whole.
    fn with_image(sectors: u64) -> Self {
        let mut disk = Self { sectors, durable: BTreeMap::new(), pending: Vec::new() };
        let mut remains = disk.clone();
        remains.write_image(sectors);
        let plan = plan(&remains.copies(), sectors, 0, 1, Uuid::from_u128(99)).unwrap();
        remains.run(&plan, 666, u64::MAX);
        disk.durable = remains.durable;
        disk.write_image(IMAGE_SECTORS);
        disk
    }

    /// Writes the image as `dd` would: its backup table at its own end.
    fn write_image(&mut self, end: u64) {
        let mut bytes = Cursor::new(vec![0; (end * SECTOR_BYTES) as usize]);
        let mut table = GPT::new_from(&mut bytes, SECTOR_BYTES, [5; 16]).unwrap();
        for (number, first_lba, last_lba) in [(1, 40, ALIGNMENT - 1), (2, ALIGNMENT, 2 * ALIGNMENT - 1)] {
            table[number] = GPTPartitionEntry {
                partition_type_guid: [number as u8; 16],
                unique_partition_guid: [number as u8; 16],
                starting_lba: first_lba,
                ending_lba: last_lba,
                attribute_bits: 0,
                partition_name: "boot".into(),
            };
        }
        table.write_into(&mut bytes).unwrap();
        let image = bytes.into_inner();
        for (lba, sector) in (0..IMAGE_SECTORS.min(end)).zip(image.chunks(SECTOR)) {
            self.durable.insert(lba, sector.try_into().unwrap());
        }
    }

    fn sector(&self, lba: u64) -> [u8; SECTOR] {
        let cached = self.pending.iter().rev().find(|(at, _)| *at == lba).map(|(_, bytes)| *bytes);
        cached.or_else(|| self.durable.get(&lba).copied()).unwrap_or([0; SECTOR])
    }

    fn write(&mut self, lba: u64, bytes: &[u8]) {
        for (lba, sector) in (lba..).zip(bytes.chunks(SECTOR)) {
            assert!(lba < self.sectors, "nothing is written behind the end");
            self.pending.push((lba, sector.try_into().unwrap()));
        }
    }

    fn flush(&mut self) {
        for (lba, sector) in std::mem::take(&mut self.pending) {
            self.durable.insert(lba, sector);
        }
    }

    /// Power is cut: each sector that was not flushed is lost, kept, or torn between old and new.
    fn cut(&mut self, mut fate: impl FnMut() -> usize) {
        for (lba, new) in std::mem::take(&mut self.pending) {
            let mut sector = self.sector(lba);
            let kept = match fate() % 4 {
                0 => 0,
                1 => SECTOR,
                _ => fate() % SECTOR,
            };
            sector[..kept].copy_from_slice(&new[..kept]);
            self.durable.insert(lba, sector);
        }
    }

    fn copies(&self) -> Copies {
        Copies::read(&mut View { disk: self, at: 0 }, self.sectors)
    }

    /// Carries a plan out until `power` operations are done. A format writes its first and last sectors; `life` marks whose they are.
    /// True if the plan ended.
    fn run(&mut self, plan: &Plan, life: u32, power: u64) -> bool {
        let mut left = power;
        let mut spend = || {
            let alive = left > 0;
            left = left.saturating_sub(1);
            alive
        };
        for step in &plan.steps {
            match step {
                Step::Write(writes) => {
                    for write in writes {
                        for (lba, sector) in (write.lba..).zip(write.bytes.chunks(SECTOR)) {
                            if !spend() {
                                return false;
                            }
                            self.write(lba, sector);
                        }
                    }
                    self.flush_if(&mut spend);
                }
                Step::Wipe(partition) | Step::Format(partition) => {
                    let life = if matches!(step, Step::Wipe(_)) { 0 } else { life };
                    for lba in marks(partition) {
                        if !spend() {
                            return false;
                        }
                        self.write(lba, &mark(life));
                    }
                    self.flush_if(&mut spend);
                }
                Step::Announce(_) | Step::Check(_) | Step::Mount(_) => {}
            }
            if !spend() {
                return false;
            }
        }
        true
    }

    fn flush_if(&mut self, spend: &mut impl FnMut() -> bool) {
        if spend() {
            self.flush();
        }
    }

    /// Whose file system a partition holds, if it is whole.
    fn life(&self, partition: &Partition) -> Option<u32> {
        let lives: Vec<_> = marks(partition).map(|lba| self.sector(lba)).collect();
        lives.windows(2).all(|pair| pair[0] == pair[1]).then(|| u32::from_le_bytes(lives[0][..4].try_into().unwrap()))
    }
}

impl Read for View<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at >= self.disk.sectors * SECTOR_BYTES {
            return Ok(0);
        }
        let sector = self.disk.sector(self.at / SECTOR_BYTES);
        let from = (self.at % SECTOR_BYTES) as usize;
        let count = buffer.len().min(SECTOR - from);
        buffer[..count].copy_from_slice(&sector[from..from + count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for View<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        if let SeekFrom::Start(at) = to {
            self.at = at;
        }
        Ok(self.at)
    }
}

/// Sectors by which a file system in the model is known: its first ones, for these do not move when it grows.
fn marks(partition: &Partition) -> impl Iterator<Item = u64> + use<> {
    partition.first_lba..partition.first_lba + 4
}

fn mark(life: u32) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    for place in sector.chunks_mut(4) {
        place.copy_from_slice(&life.to_le_bytes());
    }
    sector
}

fn plan_for(disk: &Disk) -> Plan {
    plan(&disk.copies(), disk.sectors, 0, ALIGNMENT * SECTOR_BYTES, GUID).expect("the medium can hold state")
}

fn boot_sectors_are_untouched(disk: &Disk, image: &Disk) {
    for lba in (0..2 * ALIGNMENT).filter(|lba| !(1..34).contains(lba) || *lba == 2) {
        assert_eq!(disk.sector(lba), image.sector(lba), "sector {lba} belongs to the image");
    }
    assert_eq!(disk.sector(1)[..8], *b"EFI PART", "GRUB finds the table by its first bytes, whatever its sum");
}

#[test]
fn a_fresh_medium_gets_a_formatted_partition_behind_the_image_up_to_the_end() {
    let mut disk = Disk::with_image(SMALL);
    let plan = plan_for(&disk);
    assert!(plan.formats, "old bytes behind the table are never mounted");
    assert_eq!(plan.partition, Partition { number: STATE_NUMBER, first_lba: 2 * ALIGNMENT, last_lba: 7 * ALIGNMENT - 1 });
    assert!(disk.run(&plan, 1, u64::MAX));
    let again = plan_for(&disk);
    assert_eq!(again.steps, [Step::Announce(plan.partition), Step::Check(plan.partition), Step::Mount(plan.partition)]);
}

#[test]
fn a_table_and_its_rename_touch_only_what_differs() {
    let disk = Disk::with_image(SMALL);
    let plan = plan_for(&disk);
    for write in plan.steps.iter().filter_map(|step| if let Step::Write(writes) = step { Some(writes) } else { None }).flatten() {
        assert!(write.lba > 2 || write.lba == 1, "LBA 2 names the boot partitions");
        assert_ne!(write.lba, 0);
    }
}

#[test]
fn a_partition_grows_with_its_disk_and_is_never_formatted() {
    let mut disk = Disk::with_image(SMALL);
    disk.run(&plan_for(&disk), 1, u64::MAX);
    disk.sectors = LARGE;
    let plan = plan_for(&disk);
    assert!(!plan.formats);
    assert_eq!(plan.partition.last_lba, 11 * ALIGNMENT - 1);
    assert!(disk.run(&plan, 2, u64::MAX));
    assert_eq!(disk.life(&plan.partition), Some(1));
    assert_eq!(plan_for(&disk).steps.len(), 3, "both copies are up to date");
}

#[test]
fn a_medium_without_room_is_refused_with_the_numbers() {
    let disk = Disk::with_image(SMALL);
    let refusal = plan(&disk.copies(), IMAGE_SECTORS + 40, 0, 1 << 30, GUID).unwrap_err();
    assert_eq!(refusal, NoState::NoRoom { available_bytes: 0, needed_bytes: 1 << 30 });
}

#[test]
fn a_table_larger_than_its_disk_is_left_alone() {
    let mut disk = Disk::with_image(LARGE);
    disk.run(&plan_for(&disk), 1, u64::MAX);
    let refusal = plan(&disk.copies(), SMALL, 0, 1, GUID).unwrap_err();
    assert!(matches!(refusal, NoState::Nonsense { .. }));
    let refusal = plan(&disk.copies(), ALIGNMENT, 0, 1, GUID).unwrap_err();
    assert!(matches!(refusal, NoState::Nonsense { .. }));
}

#[test]
fn what_the_table_does_not_name_is_respected() {
    let disk = Disk::with_image(SMALL);
    let plan = plan(&disk.copies(), SMALL, 3 * ALIGNMENT + 1, 1, GUID).unwrap();
    assert_eq!(plan.partition.first_lba, 4 * ALIGNMENT);
}

#[test]
fn without_any_table_nothing_is_done() {
    assert_eq!(plan(&Copies::default(), SMALL, 0, 1, GUID).unwrap_err(), NoState::NoTable);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn power_cuts_anywhere_in_first_boots_end_with_a_new_file_system_and_an_intact_image(
        cuts in prop::collection::vec(0_u64..110, 1..5),
        fates in prop::collection::vec(any::<usize>(), 64),
    ) {
        let image = Disk::with_image(SMALL);
        let mut disk = image.clone();
        let mut fate = fates.into_iter().cycle();
        let mut life = 0;
        for power in cuts {
            life += 1;
            disk.run(&plan_for(&disk), life, power);
            disk.cut(|| fate.next().unwrap());
            boot_sectors_are_untouched(&disk, &image);
        }
        let last = plan_for(&disk);
        prop_assert!(disk.run(&last, life + 1, u64::MAX));
        boot_sectors_are_untouched(&disk, &image);
        let held = disk.life(&last.partition);
        prop_assert!(held.is_some_and(|held| (1..=life + 1).contains(&held)), "{:?} is not a file system of this box", held);
        let copies = disk.copies();
        prop_assert!(copies.primary == copies.backup, "both copies say the same");
        prop_assert!(has_state(copies.current().unwrap()));
        prop_assert_eq!(copies.current().unwrap().partitions().count(), 3);
    }

    #[test]
    fn power_cuts_anywhere_while_growing_lose_no_state(
        cuts in prop::collection::vec(0_u64..80, 1..5),
        fates in prop::collection::vec(any::<usize>(), 64),
    ) {
        let image = Disk::with_image(SMALL);
        let mut disk = image.clone();
        disk.run(&plan_for(&disk), 1, u64::MAX);
        disk.sectors = LARGE;
        let mut fate = fates.into_iter().cycle();
        for power in cuts {
            disk.run(&plan_for(&disk), 2, power);
            disk.cut(|| fate.next().unwrap());
            boot_sectors_are_untouched(&disk, &image);
        }
        let last = plan_for(&disk);
        prop_assert!(disk.run(&last, 2, u64::MAX));
        prop_assert_eq!(disk.life(&last.partition), Some(1));
        prop_assert_eq!(last.partition.last_lba, 11 * ALIGNMENT - 1);
    }
}
