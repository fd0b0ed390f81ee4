//! The root file system of the live profile: an EROFS image inside the initramfs, shown by a loop device.
//!
//! A file-backed EROFS mount would do without the loop device, but the kernel refuses it on the tmpfs that the initramfs is by default.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::statfs;
use rustix::mount::{MountFlags, mount, mount_move};
use rustix::process::{chdir, chroot};
use shoal_contract::{CARRIED, SYSTEM_PATH};

use crate::sys;

/// Where the root is mounted before it becomes `/`.
const PLACE: &str = "/sysroot";
/// Mounts that move along.
const MOVED: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];
/// `statfs(2)` types of what a kernel unpacks an initramfs into.
const RAMFS: u64 = 0x8584_58f6;
const TMPFS: u64 = 0x0102_1994;

/// The root could not be mounted. The box has to reboot.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub(crate) struct RootError {
    doing: String,
    #[source]
    source: io::Error,
}

/// Adds what was being done to an error.
fn doing<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> RootError {
    |source| RootError { doing: doing.into(), source: source.into() }
}

/// Mounts the system image and makes it `/`. The files of the initramfs are freed.
///
/// The new root is *moved* over the old one, not pivoted: the initramfs cannot be unmounted, but a mount on top of it can, so container
/// runtimes can pivot_root(2) away from it.
pub(crate) fn enter() -> Result<(), RootError> {
    carry(&CARRIED)?;
    let (device, _open) = show(Path::new(SYSTEM_PATH))?;
    std::fs::create_dir_all(PLACE).map_err(doing(format!("cannot make {PLACE}")))?;
    let flags = MountFlags::RDONLY | MountFlags::NODEV;
    mount(&device, PLACE, "erofs", flags, c"").map_err(doing(format!("cannot mount {SYSTEM_PATH} as erofs")))?;
    for place in MOVED {
        mount_move(place, format!("{PLACE}{place}"))
            .map_err(doing(format!("cannot move {place} into the root; does it have that folder?")))?;
    }
    free_initramfs();
    chdir(PLACE).map_err(doing("cannot enter the root"))?;
    mount_move(".", "/").map_err(doing("cannot move the root to /"))?;
    chroot(".").map_err(doing("cannot make the mounted file system the root"))?;
    chdir("/").map_err(doing("cannot enter the root"))
}

/// Copies files to where they outlive the initramfs.
fn carry(files: &[(impl AsRef<Path>, impl AsRef<Path>)]) -> Result<(), RootError> {
    for (from, to) in files {
        let (from, to) = (from.as_ref(), to.as_ref());
        std::fs::create_dir_all(to.parent().unwrap_or(to)).map_err(doing(format!("cannot make the folder of {}", to.display())))?;
        std::fs::copy(from, to).map_err(doing(format!("cannot copy {} to {}", from.display(), to.display())))?;
    }
    Ok(())
}

/// Attaches a file to a loop device, read-only; gives the device's path, and the device open, for it lives as long as it has a user.
fn show(file: &Path) -> Result<(String, File), RootError> {
    let backing = File::open(file).map_err(doing(format!("cannot open {}; the initramfs is incomplete", file.display())))?;
    let control = File::open("/dev/loop-control").map_err(doing("cannot open /dev/loop-control; is the loop module in the early set?"))?;
    let number = sys::free_loop_number(&control).map_err(doing("there is no free loop device"))?;
    let path = format!("/dev/loop{number}");
    let device = OpenOptions::new().read(true).open(&path).map_err(doing(format!("cannot open {path}")))?;
    sys::configure_loop(&device, &backing).map_err(doing(format!("cannot attach {} to {path}", file.display())))?;
    Ok((path, device))
}

/// Removes the files of the initramfs, which take up memory; the loop device keeps the system image alive. Does nothing anywhere else.
fn free_initramfs() {
    let is_memory = statfs("/").is_ok_and(|root| [RAMFS, TMPFS].contains(&u64::try_from(root.f_type).unwrap_or(0)));
    if let (true, Ok(root)) = (is_memory, std::fs::metadata("/")) {
        remove_below(Path::new("/"), root.dev());
    }
}

/// Removes what lies below a folder on one device. What cannot be removed costs only memory.
fn remove_below(folder: &Path, device: u64) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        if metadata.dev() != device {
            continue;
        }
        if metadata.is_dir() {
            remove_below(&path, device);
            let _ = std::fs::remove_dir(&path);
        } else {
            let _ = std::fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_carried_into_folders_that_need_not_be_there_and_a_missing_one_is_named() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        std::fs::write(path("a"), "1").unwrap();
        carry(&[(path("a"), path("run/shoal/a")), (path("a"), path("run/shoal/b"))]).unwrap();
        assert_eq!(std::fs::read(path("run/shoal/b")).unwrap(), b"1");
        let error = carry(&[(path("missing"), path("run/shoal/c"))]).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }

    #[test]
    fn what_is_carried_moves_along_and_comes_from_beside_the_settings() {
        for (from, to) in CARRIED {
            assert!(MOVED.iter().any(|moved| Path::new(to).starts_with(moved)), "{to} would be left behind");
            // Or at the top, where the kernel needs no directory for it.
            let beside = Path::new(from).parent() == Path::new(shoal_contract::BOOT_PATH).parent();
            assert!(beside || Path::new(from).parent() == Some(Path::new("/")), "{from}");
        }
    }
}
