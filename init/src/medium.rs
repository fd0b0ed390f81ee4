//! Finding the medium booted from among the block devices of the box.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use shoal_init_core::medium::{Choice, Disk, choose, config_sector, iso_volume_bytes};
use shoal_init_core::partition;
use shoal_init_core::table::{Copies, SECTOR_BYTES};
use uuid::Uuid;

use crate::interrupt::Interrupt;
use crate::say;
use crate::uevent::{Next, Uevents};
use crate::watchdog::Watchdog;

/// How long no disk may have appeared before a medium without state is believed to be the one. Equal sticks appear within it of each other.
const QUIET: Duration = Duration::from_secs(2);
/// How often the wait looks around without an announcement, feeds the watchdog, and sees that the box goes down.
const GLANCE: Duration = Duration::from_secs(1);
/// Kinds of block devices that no box boots from, by the beginning of their names.
const NOT_DISKS: [&str; 5] = ["loop", "ram", "zram", "dm-", "md"];
/// The boot loader's word on which partition it was started from (Boot Loader Interface); UTF-16 behind four bytes of attributes.
const LOADER_PARTITION: &str = "/sys/firmware/efi/efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// Bytes at the start of a disk that hold everything but the far copy of its table: the ISO 9660 descriptor ends there.
const START_BYTES: usize = 17 * 2048;

/// A disk of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Medium {
    /// Kernel's name: `sda`.
    pub(crate) name: String,
    /// Size in sectors of 512 bytes.
    pub(crate) sectors: u64,
    /// It cannot be written.
    pub(crate) read_only: bool,
    /// Bytes of its logical sectors.
    pub(crate) sector_bytes: u64,
    /// First sector behind an ISO 9660 volume, or 0.
    pub(crate) image_end: u64,
    /// First sector of the partition with the image's configuration.
    pub(crate) config: Option<u64>,
}

/// Why there is no medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoMedium {
    /// In words for the console.
    pub(crate) reason: String,
    /// There is one, or the box would not have booted; but which one is not known.
    pub(crate) exists: bool,
}

/// Whether the firmware says that the box was booted from a disk. It says nothing under legacy BIOS, and nothing after a boot over the network.
pub(crate) fn is_known_to_exist() -> bool {
    loader_partition().is_some()
}

/// Waits until the medium is known, or the box goes down.
///
/// # Errors
/// [`NoMedium`].
pub(crate) fn find(
    image: Uuid,
    patience: Duration,
    events: &Uevents,
    watchdog: &mut Option<Watchdog>,
    interrupt: &Interrupt,
) -> Result<Medium, NoMedium> {
    let deadline = Instant::now() + patience;
    let mut changed = Instant::now();
    let mut told = false;
    let booted_from = loader_partition();
    loop {
        let (disks, media): (Vec<_>, Vec<_>) = scan().into_iter().unzip();
        let now = Instant::now();
        let settled = now.duration_since(changed) >= QUIET || now >= deadline;
        let choice = choose(image, booted_from, &disks);
        match &choice {
            Choice::Certain(name) => return taken(name, media),
            Choice::Likely(name) if settled => return taken(name, media),
            Choice::Ambiguous(names) if settled => {
                let reason = format!("several media hold this image ({}); unplug all but one and reboot", names.join(", "));
                return Err(NoMedium { reason, exists: true });
            }
            Choice::None if now >= deadline => {
                let reason = format!("no medium with this image appeared within {} s (booted over the network?)", patience.as_secs());
                return Err(NoMedium { reason, exists: booted_from.is_some() });
            }
            _ if interrupt.is_set() => return Err(NoMedium { reason: "the box goes down".to_owned(), exists: true }),
            Choice::None if !told => {
                say::line(&format!("waiting up to {} s for the medium with this image", patience.as_secs()));
                told = true;
            }
            _ => {}
        }
        let until = if choice == Choice::None { deadline } else { (changed + QUIET).min(deadline) };
        let wait = until.saturating_duration_since(now).min(GLANCE);
        match events.next(Some(wait)) {
            Ok(Next::Event(event)) if event.subsystem == "block" => changed = Instant::now(),
            Ok(Next::Lost) => changed = Instant::now(),
            Ok(_) => {}
            Err(error) => say::line(&format!("cannot hear of new disks: {error}")),
        }
        if let Some(watchdog) = watchdog {
            watchdog.keep_alive();
        }
    }
}

fn taken(name: &str, media: Vec<Medium>) -> Result<Medium, NoMedium> {
    let vanished = || NoMedium { reason: format!("{name} has vanished; plug it in again and reboot"), exists: true };
    media.into_iter().find(|medium| medium.name == name).ok_or_else(vanished)
}

/// Looks at all whole disks.
fn scan() -> Vec<(Disk, Medium)> {
    let Ok(entries) = std::fs::read_dir("/sys/class/block") else { return Vec::new() };
    let mut disks: Vec<_> = entries
        .flatten()
        .filter(|entry| !entry.path().join("partition").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !NOT_DISKS.iter().any(|other| name.starts_with(other)))
        .filter_map(|name| look(&name))
        .collect();
    disks.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    disks
}

/// Looks at one disk; None if it has no size or cannot be read, like an empty CD drive.
fn look(name: &str) -> Option<(Disk, Medium)> {
    let folder = Path::new("/sys/class/block").join(name);
    let number = |file: &str| std::fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    let sectors = number("size").filter(|sectors| *sectors > 0)?;
    let sector_bytes = number("queue/logical_block_size").unwrap_or(SECTOR_BYTES);
    let read_only = number("ro") == Some(1);
    let mut file = File::open(Path::new("/dev").join(name)).ok()?;
    let copies = Copies::read(&mut file, sectors);
    let table = copies.current();
    let disk = Disk {
        name: name.to_owned(),
        read_only,
        guid: table.map(|table| table.disk_guid()),
        partitions: table
            .map(|table| table.partitions().map(|(_, entry)| Uuid::from_bytes_le(entry.unique_partition_guid)).collect())
            .unwrap_or_default(),
        has_state: table.is_some_and(partition::has_state),
    };
    let image_end = iso_end(name).div_ceil(SECTOR_BYTES);
    let config = table.and_then(config_sector);
    Some((disk, Medium { name: name.to_owned(), sectors, read_only, sector_bytes, image_end, config }))
}

/// End of an ISO 9660 volume on a disk in bytes, or 0.
fn iso_end(name: &str) -> u64 {
    let mut start = vec![0; START_BYTES];
    let read = File::open(Path::new("/dev").join(name)).and_then(|mut file| file.read_exact(&mut start));
    read.ok().and_then(|()| iso_volume_bytes(&start)).unwrap_or(0)
}

/// The partition that the loader was started from.
fn loader_partition() -> Option<Uuid> {
    let bytes = std::fs::read(LOADER_PARTITION).ok()?;
    let units: Vec<u16> = bytes.get(4..)?.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    Uuid::parse_str(String::from_utf16(&units).ok()?.trim_end_matches('\0')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_for_a_medium_that_never_comes_ends_when_the_box_goes_down() {
        const FOR_EVER: Duration = Duration::from_secs(100_000);
        let interrupt = Interrupt::default();
        interrupt.set();
        let found = find(Uuid::from_u128(1), FOR_EVER, &Uevents::open().unwrap(), &mut None, &interrupt);
        assert_eq!(found.unwrap_err().reason, "the box goes down");
    }
}
