//! The system clock: raised to its floor at boot, and remembered on the state medium while the box runs.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use shoal_init_core::clock::{Correction, SAVE_INTERVAL_SECONDS, correct, floor};

use crate::say;

/// Where the last known time is kept: seconds since 1970 in decimal.
const REMEMBERED: &str = "/var/lib/shoal/clock";

/// Brings the clock to its floor if it is behind. The kernel has read the hardware clock already (RTC_HCTOSYS).
pub(crate) fn settle(image_epoch: i64) -> io::Result<()> {
    let now = clock_gettime(ClockId::Realtime).tv_sec;
    let (time, why) = match correct(now, floor(image_epoch, remembered(Path::new(REMEMBERED)))) {
        Correction::Keep => return Ok(()),
        Correction::Raise(time) => (time, "behind the last known time"),
        Correction::Distrust(time) => (time, "decades ahead, which nobody believes"),
    };
    clock_settime(ClockId::Realtime, Timespec { tv_sec: time, tv_nsec: 0 })?;
    say::line(&format!("the clock was {why}; it now stands at {time} s since 1970, set it by NTP"));
    Ok(())
}

fn remembered(path: &Path) -> Option<i64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Remembers the time. The file is whole at any moment: a power cut leaves the old or the new one.
pub(crate) fn remember() -> io::Result<()> {
    store(Path::new(REMEMBERED), clock_gettime(ClockId::Realtime).tv_sec)
}

fn store(path: &Path, time: i64) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    writeln!(file, "{time}")?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

/// Remembers the time again and again. A state medium that cannot be written any more is told once.
pub(crate) async fn keep_remembering() {
    let mut told = false;
    loop {
        tokio::time::sleep(Duration::from_secs(SAVE_INTERVAL_SECONDS)).await;
        let outcome = tokio::task::spawn_blocking(remember).await;
        if let (false, Ok(Err(error))) = (told, outcome) {
            say::line(&format!("cannot remember the time: {error}"));
            told = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_remembered_and_rubbish_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        assert_eq!(remembered(&path), None);
        store(&path, 1_790_000_000).unwrap();
        assert_eq!(remembered(&path), Some(1_790_000_000));
        std::fs::write(&path, "soon").unwrap();
        assert_eq!(remembered(&path), None);
    }
}
