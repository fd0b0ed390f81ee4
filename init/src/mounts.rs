//! The kernel's file systems, and those that live in RAM.

use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

/// A file system to mount.
struct Entry {
    source: &'static str,
    target: &'static str,
    kind: &'static str,
    flags: MountFlags,
    data: &'static str,
    /// A box cannot boot without it.
    needed: bool,
}

const PLAIN: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// In this order: `/dev/pts` lies on `/dev`. No `size=` on tmpfs means half of memory; control groups bound what services use.
const ENTRIES: [Entry; 9] = [
    Entry { source: "proc", target: "/proc", kind: "proc", flags: PLAIN, data: "", needed: true },
    Entry { source: "sysfs", target: "/sys", kind: "sysfs", flags: PLAIN, data: "", needed: true },
    Entry { source: "devtmpfs", target: "/dev", kind: "devtmpfs", flags: MountFlags::NOSUID, data: "mode=0755", needed: true },
    Entry {
        source: "devpts",
        target: "/dev/pts",
        kind: "devpts",
        flags: MountFlags::NOSUID.union(MountFlags::NOEXEC),
        data: "mode=0620,gid=5,ptmxmode=0666",
        needed: false,
    },
    Entry {
        source: "tmpfs",
        target: "/dev/shm",
        kind: "tmpfs",
        flags: MountFlags::NOSUID.union(MountFlags::NODEV),
        data: "mode=1777",
        needed: false,
    },
    Entry {
        source: "tmpfs",
        target: "/run",
        kind: "tmpfs",
        flags: MountFlags::NOSUID.union(MountFlags::NODEV),
        data: "mode=0755",
        needed: true,
    },
    Entry {
        source: "cgroup2",
        target: "/sys/fs/cgroup",
        kind: "cgroup2",
        flags: PLAIN,
        data: "nsdelegate,memory_recursiveprot",
        needed: true,
    },
    Entry { source: "bpf", target: "/sys/fs/bpf", kind: "bpf", flags: PLAIN, data: "mode=0700", needed: false },
    Entry { source: "tracefs", target: "/sys/kernel/tracing", kind: "tracefs", flags: PLAIN, data: "mode=0700", needed: false },
];

/// Links that programs expect in `/dev`.
const DEVICE_LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];

/// Mounts what the kernel offers. Those that a box can live without are told by name.
///
/// # Errors
/// The first needed file system that could not be mounted, by its place.
pub(crate) fn kernel_file_systems() -> Result<Vec<String>, MountError> {
    let mut missing = Vec::new();
    for entry in &ENTRIES {
        if let Err(source) = mount_entry(entry) {
            if entry.needed {
                return Err(MountError { target: entry.target, source });
            }
            missing.push(format!("{} is not mounted: {source}", entry.target));
        }
    }
    if let Err(error) = hand_controllers_down() {
        missing.push(format!("services run without limits: {error}"));
    }
    for (target, link) in DEVICE_LINKS {
        // A link that is there already is the one wanted: devtmpfs begins empty of links.
        let _ = std::os::unix::fs::symlink(target, link);
    }
    Ok(missing)
}

/// Enables every controller of the root control group for the groups below it; each must be named (Documentation/admin-guide/cgroup-v2.rst).
fn hand_controllers_down() -> io::Result<()> {
    let names = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")?;
    let all: Vec<String> = names.split_whitespace().map(|name| format!("+{name}")).collect();
    std::fs::write("/sys/fs/cgroup/cgroup.subtree_control", all.join(" "))
}

/// A file system that no box can live without could not be mounted. The box has to reboot.
#[derive(Debug, thiserror::Error)]
#[error("cannot mount {target}; the kernel lacks what PID 1 needs")]
pub(crate) struct MountError {
    target: &'static str,
    #[source]
    source: io::Error,
}

fn mount_entry(entry: &Entry) -> io::Result<()> {
    if !Path::new(entry.target).is_dir() {
        std::fs::create_dir_all(entry.target)?;
    }
    let data = std::ffi::CString::new(entry.data).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(mount(entry.source, entry.target, entry.kind, entry.flags, data.as_c_str())?)
}

/// The variables of the EFI firmware, if the box has one and the driver is loaded.
pub(crate) fn efi_variables() {
    const PLACE: &str = "/sys/firmware/efi/efivars";
    if Path::new(PLACE).is_dir() {
        // Without them only the loader's hint about the boot partition is missing. Read-only: nothing here may change the firmware.
        let _ = mount("efivarfs", PLACE, "efivarfs", PLAIN | MountFlags::RDONLY, c"");
    }
}

/// `/tmp` in RAM.
pub(crate) fn temporary() -> io::Result<()> {
    Ok(mount("tmpfs", "/tmp", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=1777")?)
}

/// Makes all mounts shared, as container runtimes and the kubelet expect. Comes after the last move of a mount: the kernel does not move
/// what lies on a shared one.
pub(crate) fn share() -> io::Result<()> {
    Ok(mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)?)
}

/// A tmpfs of at most `percent` percent of memory.
pub(crate) fn ram(target: &str, percent: u8) -> io::Result<()> {
    let data = std::ffi::CString::new(format!("mode=0755,size={percent}%")).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(mount("tmpfs", target, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, data.as_c_str())?)
}
