//! Carrying out the plan of [`shoal_init_core::partition`], step by step.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::mount::{MountFlags, mount};
use shoal_init_core::partition::{NoState, Partition, STATE_NAME, Step, WIPE_BYTES, plan};
use shoal_init_core::table::{Copies, SECTOR_BYTES, SectorWrite};
use uuid::Uuid;

use crate::medium::Medium;
use crate::tool::{self, ToolError};
use crate::{say, sys};

/// Time for mke2fs: its journal and tables of a large stick are some 100 MB.
const FORMAT_LIMIT: Duration = Duration::from_secs(240);
/// Time for e2fsck: a journal replay takes a second, a full check of a large stick minutes.
const CHECK_LIMIT: Duration = Duration::from_secs(240);
/// Time for resize2fs.
const GROW_LIMIT: Duration = Duration::from_secs(120);
/// Exit codes of e2fsck(8) from here on mean that errors are left.
const CHECK_UNMENDED: i32 = 4;
/// Alignment that direct I/O asks for, in bytes: a page is enough for every driver.
const DIRECT_ALIGNMENT: usize = 4096;

/// A mounted state partition.
pub(super) struct Mounted {
    /// Its device: `/dev/sda5`.
    pub(super) device: String,
    /// Its size.
    pub(super) bytes: u64,
}

/// Why the state medium cannot be used. State that lies on it is not lost: nothing that failed is written again.
#[derive(Debug, thiserror::Error)]
pub(super) enum CarryError {
    /// There can be no state partition.
    #[error("no state partition on {disk}")]
    NoState {
        /// The disk.
        disk: String,
        /// Why.
        #[source]
        source: NoState,
    },
    /// The disk has sectors that the image's table does not fit.
    #[error("{disk} has sectors of {bytes} bytes and this image needs {SECTOR_BYTES}; use another medium")]
    Sectors {
        /// The disk.
        disk: String,
        /// Its sectors' size.
        bytes: u64,
    },
    /// The kernel refused something.
    #[error("cannot {doing}")]
    Kernel {
        /// What.
        doing: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program of the image failed to run.
    #[error("the file system tools failed")]
    Tool(#[from] ToolError),
    /// mke2fs said no.
    #[error("mke2fs could not make a file system on {device} (exit {code}); use another medium")]
    Format {
        /// The partition.
        device: String,
        /// Its exit code.
        code: i32,
    },
    /// e2fsck could not mend it.
    #[error(
        "{device} is damaged and e2fsck cannot mend it without help (exit {code}); nothing was deleted: save what is needed, then write the image again"
    )]
    Damaged {
        /// The partition.
        device: String,
        /// Its exit code.
        code: i32,
    },
    /// PID 1 has gone on without it, or the box goes down. Everything that was begun is whole.
    #[error("nobody waits for it any more")]
    Unwanted,
}

fn doing(doing: String) -> impl FnOnce(io::Error) -> CarryError {
    |source| CarryError::Kernel { doing, source }
}

/// Decides and carries out; ends with the partition mounted at `place`, or between two steps if it is `unwanted`.
pub(super) fn out(medium: &Medium, minimum_bytes: u64, place: &str, unwanted: impl Fn() -> bool) -> Result<Mounted, CarryError> {
    if medium.sector_bytes != SECTOR_BYTES {
        return Err(CarryError::Sectors { disk: medium.name.clone(), bytes: medium.sector_bytes });
    }
    let disk = format!("/dev/{}", medium.name);
    let mut file = File::open(&disk).map_err(doing(format!("read {disk}")))?;
    let copies = Copies::read(&mut file, medium.sectors);
    let plan = plan(&copies, medium.sectors, medium.image_end, minimum_bytes, Uuid::new_v4())
        .map_err(|source| CarryError::NoState { disk: medium.name.clone(), source })?;
    let device = partition_path(&disk, plan.partition.number);
    if plan.formats {
        say::line(&format!("making a state partition on {disk}"));
    }
    each(&plan.steps, unwanted, |step| match step {
        Step::Write(writes) => write_sectors(&disk, writes).map_err(doing(format!("write the partition table of {disk}"))),
        Step::Announce(partition) => announce(&disk, medium, partition),
        Step::Wipe(partition) => wipe(&device, partition).map_err(doing(format!("wipe {device}"))),
        Step::Format(_) => format(&device),
        Step::Check(_) => check(&device),
        Step::Mount(_) => mount_and_grow(&device, place),
    })?;
    Ok(Mounted { device, bytes: plan.partition.bytes() })
}

/// Does one step after the other. Ends between two of them, as a power cut there would, when it is `unwanted`; never inside one.
fn each<T>(steps: &[T], unwanted: impl Fn() -> bool, mut act: impl FnMut(&T) -> Result<(), CarryError>) -> Result<(), CarryError> {
    for step in steps {
        if unwanted() {
            return Err(CarryError::Unwanted);
        }
        act(step)?;
    }
    Ok(())
}

/// Path of a partition: `/dev/sda5`, `/dev/nvme0n1p5`.
fn partition_path(disk: &str, number: u32) -> String {
    let separator = if disk.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
    format!("{disk}{separator}{number}")
}

/// Writes whole sectors past the page cache, then flushes the disk. The cache would write the other sectors of a page along, among them
/// the one that names the boot partitions.
fn write_sectors(disk: &str, writes: &[SectorWrite]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).custom_flags(OFlags::DIRECT.bits().cast_signed()).open(disk)?;
    for write in writes {
        let mut buffer = vec![0; write.bytes.len() + DIRECT_ALIGNMENT];
        let from = buffer.as_ptr().align_offset(DIRECT_ALIGNMENT);
        let aligned = &mut buffer[from..from + write.bytes.len()];
        aligned.copy_from_slice(&write.bytes);
        file.seek(SeekFrom::Start(write.lba * SECTOR_BYTES))?;
        file.write_all(aligned)?;
    }
    file.sync_all()
}

/// Makes the kernel show the partition where the table has it.
fn announce(disk: &str, medium: &Medium, partition: &Partition) -> Result<(), CarryError> {
    let path = partition_path(disk, partition.number);
    let folder = Path::new("/sys/class/block").join(path.trim_start_matches("/dev/"));
    let number = |file: &str| std::fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    let shown = || number("start") == Some(partition.first_lba) && number("size") == Some(partition.last_lba + 1 - partition.first_lba);
    if shown() {
        return Ok(());
    }
    let file = File::open(disk).map_err(doing(format!("read {disk}")))?;
    // A kernel that finds the table odd may show nothing of it; then it is told of the one partition that matters here.
    let _ = sys::reread_partitions(&file);
    if !shown() {
        sys::add_partition(&file, partition.number, partition.offset(), partition.bytes())
            .map_err(doing(format!("make the kernel see the state partition of {}", medium.name)))?;
    }
    Ok(())
}

/// Overwrites both ends of a partition with zeros, then flushes.
fn wipe(device: &str, partition: &Partition) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(device)?;
    let count = WIPE_BYTES.min(partition.bytes());
    let zeros = vec![0; usize::try_from(count).unwrap_or(0)];
    for offset in [0, partition.bytes() - count] {
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(&zeros)?;
    }
    file.sync_all()
}

/// Makes an ext4 file system, then flushes. The journal is written whole (no lazy journal): a replay must never meet old bytes. Nothing
/// is discarded: on many sticks that takes minutes.
fn format(device: &str) -> Result<(), CarryError> {
    let arguments = [
        "-q",
        "-F",
        "-t",
        "ext4",
        "-L",
        STATE_NAME,
        "-m",
        "1",
        "-J",
        "size=32",
        "-E",
        "nodiscard,lazy_itable_init=1,lazy_journal_init=0",
        device,
    ];
    let status = tool::run("/usr/sbin/mke2fs", &arguments, FORMAT_LIMIT)?;
    if !status.success() {
        return Err(CarryError::Format { device: device.to_owned(), code: status.code().unwrap_or(-1) });
    }
    let sync = File::open(device).and_then(|file| file.sync_all());
    sync.map_err(doing(format!("flush {device}")))
}

/// Replays the journal and mends what can be mended without asking.
fn check(device: &str) -> Result<(), CarryError> {
    let status = tool::run("/usr/sbin/e2fsck", &["-p", device], CHECK_LIMIT)?;
    match status.code() {
        Some(code) if code < CHECK_UNMENDED => Ok(()),
        code => Err(CarryError::Damaged { device: device.to_owned(), code: code.unwrap_or(-1) }),
    }
}

/// Mounts, then lets the file system fill its partition, which ext4 can do while mounted. A file system that stays small still holds.
fn mount_and_grow(device: &str, place: &str) -> Result<(), CarryError> {
    std::fs::create_dir_all(place).map_err(doing(format!("make {place}")))?;
    mount(device, place, "ext4", MountFlags::NOATIME | MountFlags::NODEV, c"errors=remount-ro")
        .map_err(|error| doing(format!("mount {device}"))(error.into()))?;
    match tool::run("/usr/sbin/resize2fs", &[device], GROW_LIMIT) {
        Ok(status) if status.success() => {}
        Ok(status) => say::line(&format!("{device} could not be grown to its partition ({status})")),
        Err(error) => say::line(&format!("{device} could not be grown to its partition: {error}")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_nobody_wants_any_more_ends_behind_the_step_that_runs() {
        let unwanted = std::cell::Cell::new(false);
        let mut done = Vec::new();
        let outcome = each(
            &["write", "wipe", "format"],
            || unwanted.get(),
            |step| {
                unwanted.set(*step == "wipe");
                done.push(*step);
                Ok(())
            },
        );
        assert!(matches!(outcome, Err(CarryError::Unwanted)));
        assert_eq!(done, ["write", "wipe"]);
    }

    #[test]
    fn partitions_of_disks_that_end_in_a_digit_have_a_p() {
        assert_eq!(partition_path("/dev/sda", 5), "/dev/sda5");
        assert_eq!(partition_path("/dev/nvme0n1", 5), "/dev/nvme0n1p5");
        assert_eq!(partition_path("/dev/mmcblk0", 5), "/dev/mmcblk0p5");
    }
}
