//! Calls into the kernel that no safe library offers: a few ioctls, and readiness of device files. The only module of this binary with `unsafe`.
#![allow(unsafe_code, reason = "ioctls of block, loop and watchdog devices have no safe wrapper in rustix or nix")]

mod block;
mod ready;
mod watchdog;

pub(crate) use block::{add_partition, configure_loop, free_loop_number, reread_partitions};
pub(crate) use ready::watch;
pub(crate) use watchdog::set_watchdog_timeout;

use rustix::system::{RebootCommand, reboot};

/// Restarts the box at once, without a sync: reboot(2). Only PID 1 comes here; `main` refuses to run as anything else.
pub(crate) fn reboot_now() -> ! {
    let _ = reboot(RebootCommand::Restart);
    // The call fails only without CAP_SYS_BOOT. Ending PID 1 makes the kernel panic, and `panic=` on its command line reboots.
    std::process::abort();
}

/// Switches the box off at once, or stops it where it cannot be switched off.
pub(crate) fn power_off_now() -> ! {
    let _ = reboot(RebootCommand::PowerOff);
    halt_now()
}

/// Stops the processor at once.
pub(crate) fn halt_now() -> ! {
    let _ = reboot(RebootCommand::Halt);
    std::process::abort();
}
