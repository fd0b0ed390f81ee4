//! Ioctls of watchdogs (linux/watchdog.h).

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::libc::c_int;

nix::ioctl_readwrite!(
    /// WDIOC_SETTIMEOUT
    wdioc_settimeout,
    b'W',
    6,
    c_int
);

/// Sets a watchdog's timeout in seconds; gives the one that the hardware took, which may be another.
pub(crate) fn set_watchdog_timeout(watchdog: &File, seconds: u32) -> std::io::Result<u32> {
    let mut value = c_int::try_from(seconds).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    // SAFETY: WDIOC_SETTIMEOUT reads and writes one int, and `value` is one.
    unsafe { wdioc_settimeout(watchdog.as_raw_fd(), &raw mut value) }?;
    Ok(u32::try_from(value).unwrap_or(seconds))
}
