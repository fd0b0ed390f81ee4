//! Plain lines on `/dev/console`, before there is anything better to write to.
//!
//! Each begins with `shoal: ` and ends with the seconds since the kernel started. A console that does not take bytes (a serial line with
//! nobody behind it) costs a line, never the boot.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::time::{ClockId, clock_gettime};

/// How long a console may take to accept more bytes before the rest of a line is dropped.
const PATIENCE: Duration = Duration::from_millis(200);

/// Time since the kernel started.
pub(crate) fn uptime() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Writes one line.
pub(crate) fn line(text: &str) {
    let text = format!("shoal: {text} [{:.3}]\r\n", uptime().as_secs_f64());
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    if let Ok(console) = OpenOptions::new().write(true).custom_flags(flags).open("/dev/console") {
        write_patiently(&console, text.as_bytes());
    }
}

fn write_patiently(mut console: &File, mut bytes: &[u8]) {
    let patience = Timespec::try_from(PATIENCE).ok();
    while !bytes.is_empty() {
        match console.write(bytes) {
            Ok(count) if count > 0 => bytes = &bytes[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if !poll(&mut [PollFd::new(&console, PollFlags::OUT)], patience.as_ref()).is_ok_and(|ready| ready > 0) {
                    return;
                }
            }
            _ => return,
        }
    }
}
