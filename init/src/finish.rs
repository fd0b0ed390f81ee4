//! The end: sync, unmount, and the last act. It always comes to its last act, whatever a medium does.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::fs::sync;
use rustix::mount::{MountFlags, UnmountFlags, mount_remount, unmount};
use shoal_init_core::shutdown::Ending;

use crate::handoff::StateMedium;
use crate::{clock, say, sys};

/// How long the state medium may take to write what is left. A dying stick must not keep a box from rebooting; what every service has
/// synced lies on it already.
const LIMIT: Duration = Duration::from_secs(20);

/// Seconds between a panic of PID 1 and the reboot, so that somebody can read the reason.
static PANIC_REBOOT_SECONDS: AtomicU32 = AtomicU32::new(10);

/// Takes over the recipe's choice.
pub(crate) fn set_panic_reboot_seconds(seconds: u32) {
    PANIC_REBOOT_SECONDS.store(seconds, Ordering::Relaxed);
}

/// What follows a panic of PID 1, or a boot that cannot go on: a pause to read the reason, then a reboot, without a sync that might hang.
pub(crate) fn after_panic() -> ! {
    let seconds = PANIC_REBOOT_SECONDS.load(Ordering::Relaxed);
    say::line(&format!("rebooting in {seconds} s"));
    std::thread::sleep(Duration::from_secs(seconds.into()));
    sys::reboot_now()
}

/// Ends the box. All services have ended, or none has run.
pub(crate) fn finish(ending: Ending, state: &StateMedium) -> ! {
    if let StateMedium::Persistent { device } = state {
        let device = device.clone();
        let (sender, receiver) = channel();
        // The thread is not waited for beyond the limit; reboot(2) ends it with everything else.
        let put_down = std::thread::Builder::new().name("unmount".into()).spawn(move || {
            put_down_state(&device);
            let _ = sender.send(());
        });
        if put_down.is_err() || receiver.recv_timeout(LIMIT).is_err() {
            say::line("the state medium does not answer; going on without it");
        }
    }
    match ending {
        Ending::Reboot => {
            say::line("rebooting");
            sys::reboot_now()
        }
        Ending::PowerOff => {
            say::line("switching off");
            sys::power_off_now()
        }
        Ending::Halt => {
            say::line("halted");
            sys::halt_now()
        }
    }
}

/// Writes everything and unmounts the state partition, or makes it read-only where something still uses it.
fn put_down_state(device: &str) {
    // A failure costs the clock's floor a little.
    let _ = clock::remember();
    sync();
    match unmount("/var", UnmountFlags::empty()).or_else(|_| mount_remount("/var", MountFlags::RDONLY, c"")) {
        Ok(()) => say::line(&format!("state on {device} is put down")),
        Err(error) => say::line(&format!("{device} could not be unmounted: {error}; its journal will mend it")),
    }
    sync();
}
