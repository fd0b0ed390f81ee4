//! Ctrl-C, a closed terminal, and kill(1): everything ends at once, and nothing half-made is left.
//!
//! A thread waits for these signals and does a [teardown](shoal_teardown::begin()) while the rest of the program stands still. It does not ask anybody to stop, so it
//! takes no longer in the middle of a compression than in that of a download.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use indicatif::{MultiProgress, ProgressDrawTarget};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

/// What asks a program to end.
const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Said when all has ended. Steps that are done stay in the cache, and so does the beginning of a download.
const MESSAGE: &str = "interrupted; what was done so far is kept, so the same command goes on from there";

/// Bars that are on the terminal.
static BARS: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// Ctrl-C is somebody else's for the moment.
static LEFT_TO_CALLER: AtomicBool = AtomicBool::new(false);

/// Waits for signals from now on, in a thread. Of those that whoever started this program has it ignore (nohup(1) does), nothing is heard.
///
/// # Errors
/// If the system has no thread for it.
pub fn watch() -> Result<()> {
    let ignored = ignored(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
    let signals: Vec<i32> = SIGNALS.into_iter().filter(|signal| !ignored.contains(signal)).collect();
    let ending = Arc::new(AtomicBool::new(false));
    for signal in &signals {
        // The second one does not wait for what the first one set going.
        flag::register_conditional_default(*signal, Arc::clone(&ending)).context("cannot listen for signals")?;
    }
    let mut pending = Signals::new(&signals).context("cannot listen for signals")?;
    let wait = move || {
        for signal in pending.forever() {
            if signal != SIGINT || !LEFT_TO_CALLER.load(Ordering::SeqCst) {
                ending.store(true, Ordering::SeqCst);
                end(signal);
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(wait).context("cannot start a thread")?;
    Ok(())
}

/// Leaves Ctrl-C, and nothing else, to whoever keeps the result.
#[must_use = "it ends when it is dropped"]
pub fn leave_to_caller() -> LeftToCaller {
    LEFT_TO_CALLER.store(true, Ordering::SeqCst);
    LeftToCaller(())
}

/// See [`leave_to_caller`].
#[derive(Debug)]
pub struct LeftToCaller(());

impl Drop for LeftToCaller {
    fn drop(&mut self) {
        LEFT_TO_CALLER.store(false, Ordering::SeqCst);
    }
}

/// Takes `bars` off the terminal when a signal comes.
pub(crate) fn shows(bars: &MultiProgress) {
    *BARS.lock().unwrap_or_else(PoisonError::into_inner) = Some(bars.clone());
}

/// Ends the process, by the signal itself: a shell then knows that it, too, is meant to stop.
fn end(signal: i32) {
    let _teardown = shoal_teardown::begin();
    if let Some(bars) = BARS.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = bars.clear();
        bars.set_draw_target(ProgressDrawTarget::hidden());
    }
    // A terminal that was closed takes no message.
    let _ = writeln!(std::io::stderr(), "{MESSAGE}");
    let _ = low_level::emulate_default_handler(signal);
}

/// Numbers of the signals that a process ignores, by its `/proc/<pid>/status` (proc_pid_status(5)): bit 0 of the mask is signal 1.
fn ignored(status: &str) -> Vec<i32> {
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok()).unwrap_or(0);
    SIGNALS.into_iter().filter(|signal| mask >> (signal - 1) & 1 == 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        assert_eq!(ignored("Name:\tshoal\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n"), [SIGHUP]);
        assert_eq!(ignored("SigIgn:\t0000000000004002\n"), [SIGINT, SIGTERM]);
        assert!(ignored("Name:\tshoal\n").is_empty());
    }
}
