//! Where `/var` lies: on the medium booted from, or in RAM with the reason said.
//!
//! A medium may be read-only, full, slow or broken; none of these keeps a box from booting. Work on it is done by a thread that PID 1
//! waits for with a limit, because a write to a dying stick may hang in the kernel for minutes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::mount::mount_move;
use shoal_contract::Boot;

use crate::config;
use crate::handoff::StateMedium;
use crate::interrupt::Interrupt;
use crate::medium::{self, Medium};
use crate::uevent::Uevents;
use crate::watchdog::Watchdog;
use crate::{mounts, say};

mod carry;

/// Where the state file system is mounted until it moves to [`PLACE`].
const WAITING_PLACE: &str = "/run/shoal/state";
/// Where state lies for everything that runs.
const PLACE: &str = "/var";
/// How long a medium may take for everything. Making a file system on a stick of 256 GB that writes 5 MB/s takes about a minute.
const LIMIT: Duration = Duration::from_secs(300);
/// How often the console is told that it still goes on, which also feeds the watchdog.
const PROGRESS: Duration = Duration::from_secs(5);
/// A medium with less than this share of its blocks free is told to be full.
const FULL_PERCENT: u64 = 3;

/// Folders that programs expect below `/var`, with their modes.
const FOLDERS: [(&str, u32); 8] = [
    ("/var/lib", 0o755),
    ("/var/lib/shoal", 0o700),
    ("/var/lib/containerd", 0o700),
    ("/var/lib/kubelet", 0o700),
    ("/var/lib/cni", 0o700),
    ("/var/log", 0o755),
    ("/var/cache", 0o755),
    ("/var/tmp", 0o1777),
];

/// What became of the state.
pub(crate) struct Settled {
    /// Where it lies.
    pub(crate) medium: StateMedium,
    /// What people should know.
    pub(crate) notes: Vec<String>,
}

/// Mounts `/var`. `in_ram` is the kernel argument that leaves every disk alone. When `interrupt` comes before the medium is ready, nothing is
/// mounted.
pub(crate) fn settle(
    boot: &Boot,
    in_ram: bool,
    events: &Uevents,
    watchdog: &mut Option<Watchdog>,
    interrupt: &Interrupt,
) -> std::io::Result<Settled> {
    let unwanted = if !boot.state.persistent {
        Some("the recipe asks for it")
    } else if in_ram {
        Some("the kernel command line asks for it")
    } else {
        None
    };
    // Where no state is kept, only the configuration is wanted, and nobody waits for a medium that may not be there.
    let is_waited_for = unwanted.is_none() || medium::is_known_to_exist();
    let patience = if is_waited_for { Duration::from_millis(boot.state.medium_timeout_ms) } else { Duration::ZERO };
    let found = medium::find(boot.image.id, patience, events, watchdog, interrupt);
    let mut notes: Vec<String> = config::settle(&found).into_iter().collect();
    let on_medium = match unwanted {
        Some(reason) => Err(reason.to_owned()),
        None => found.map_err(|none| none.reason).and_then(|medium| use_medium(medium, boot.state.minimum_bytes, watchdog, interrupt)),
    };
    let medium = match on_medium {
        Ok(device) => {
            if let Some(note) = fullness() {
                notes.push(note);
            }
            StateMedium::Persistent { device }
        }
        Err(reason) if interrupt.is_set() => {
            return Ok(Settled { medium: StateMedium::Ram { reason }, notes });
        }
        Err(reason) => {
            mounts::ram(PLACE, boot.state.ram_percent)?;
            say::line(&format!("state in RAM: {reason}"));
            StateMedium::Ram { reason }
        }
    };
    for (folder, mode) in FOLDERS {
        if let Err(error) = make_folder(folder, mode) {
            notes.push(format!("cannot make {folder}: {error}"));
        }
    }
    let _ = std::os::unix::fs::symlink("/run", "/var/run");
    for note in &notes {
        say::line(note);
    }
    Ok(Settled { medium, notes })
}

/// Makes and mounts the state partition; gives its device.
fn use_medium(medium: Medium, minimum_bytes: u64, watchdog: &mut Option<Watchdog>, interrupt: &Interrupt) -> Result<String, String> {
    if medium.read_only {
        return Err(format!("{} cannot be written", medium.name));
    }
    let name = medium.name.clone();
    let abandoned = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = channel();
    let (flag, interrupt) = (Arc::clone(&abandoned), interrupt.clone());
    let unwanted = move || flag.load(Ordering::Relaxed) || interrupt.is_set();
    std::thread::Builder::new()
        .name("state".into())
        .spawn(move || {
            let outcome = carry::out(&medium, minimum_bytes, WAITING_PLACE, unwanted);
            // Nobody listens any more when the limit is over.
            let _ = sender.send(outcome);
        })
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    let begun = Instant::now();
    loop {
        let patience = watchdog.as_ref().map_or(PROGRESS, |watchdog| watchdog.interval().min(PROGRESS));
        match receiver.recv_timeout(patience) {
            Ok(Ok(mounted)) => {
                mount_move(WAITING_PLACE, PLACE).map_err(|error| format!("cannot move the state file system to {PLACE}: {error}"))?;
                say::line(&format!("state on {} ({})", mounted.device, human_bytes(mounted.bytes)));
                return Ok(mounted.device);
            }
            Ok(Err(error)) => return Err(chain(&error)),
            Err(RecvTimeoutError::Disconnected) => return Err(format!("the work on {name} ended without a word")),
            Err(RecvTimeoutError::Timeout) if begun.elapsed() > LIMIT => {
                abandoned.store(true, Ordering::Relaxed);
                return Err(format!("{name} was not ready after {} s; it is too slow or broken, use another medium", LIMIT.as_secs()));
            }
            Err(RecvTimeoutError::Timeout) => say::line(&format!("still working on {name} after {} s", begun.elapsed().as_secs())),
        }
        if let Some(watchdog) = watchdog {
            watchdog.keep_alive();
        }
    }
}

/// An error with its sources, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A note if the state medium has next to no room left.
fn fullness() -> Option<String> {
    let room = rustix::fs::statvfs(PLACE).ok()?;
    let full = room.f_bavail * 100 < room.f_blocks * FULL_PERCENT;
    full.then(|| {
        format!("the state medium is full: {} left; remove images or use a larger medium", human_bytes(room.f_bavail * room.f_frsize))
    })
}

fn make_folder(folder: &str, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if !std::path::Path::new(folder).is_dir() {
        std::fs::create_dir(folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// A size for people.
fn human_bytes(bytes: u64) -> String {
    const MEGABYTE: u64 = 1_000_000;
    const GIGABYTE: u64 = 1_000 * MEGABYTE;
    if bytes >= 10 * GIGABYTE { format!("{} GB", bytes / GIGABYTE) } else { format!("{} MB", bytes / MEGABYTE) }
}
