//! The hardware watchdog: resets the box when PID 1 has stopped saying that it lives.
//!
//! It is never disarmed: the device is closed without the "magic" `V`, so a PID 1 that dies, hangs or forgets is reset, whether or not
//! the driver was built with `nowayout`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::Duration;

use crate::sys;

/// Where the kernel shows the first watchdog.
const DEVICE: &str = "/dev/watchdog";
/// Signs of life in one timeout. Two may be late or lost before the box is reset.
const KEEP_ALIVES_PER_TIMEOUT: u32 = 4;
/// Timeout that is assumed of a driver which does not tell, in seconds: the shortest default of any in the kernel.
const UNKNOWN_TIMEOUT_SECONDS: u32 = 10;

/// An armed watchdog.
#[derive(Debug)]
pub(crate) struct Watchdog {
    device: File,
    timeout: Duration,
}

impl Watchdog {
    /// Arms the watchdog. None where the box has none (yet: its driver may not be loaded).
    pub(crate) fn open(timeout_seconds: u32) -> std::io::Result<Option<Self>> {
        let device = match OpenOptions::new().write(true).open(DEVICE) {
            Ok(device) => device,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut watchdog = Self { device, timeout: Duration::from_secs(UNKNOWN_TIMEOUT_SECONDS.into()) };
        watchdog.set_timeout(Duration::from_secs(timeout_seconds.into()));
        Ok(Some(watchdog))
    }

    /// Says that PID 1 lives.
    pub(crate) fn keep_alive(&mut self) {
        // A failed write cannot be helped: the reset that follows is what the watchdog is for.
        let _ = self.device.write_all(&[0]);
    }

    /// How often to call [`Self::keep_alive`].
    pub(crate) fn interval(&self) -> Duration {
        self.timeout / KEEP_ALIVES_PER_TIMEOUT
    }

    /// Changes the time after which the box is reset, in whole seconds; what the hardware cannot do leaves it as it was.
    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        let seconds = u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX).max(1);
        if let Ok(taken) = sys::set_watchdog_timeout(&self.device, seconds) {
            self.timeout = Duration::from_secs(taken.max(1).into());
        }
        self.keep_alive();
    }
}
