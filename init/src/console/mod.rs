//! What people see: log lines, and a status in words.
//!
//! On a serial terminal everything is plain lines, those of PID 1 beginning with `shoal: `; the status is printed as a block when it
//! has changed. On a screen (`tty0`) the status stays on top and the newest lines run below it. Each device has a task and a bounded
//! queue of its own, so a stuck serial line costs its own lines and nothing else: PID 1 never waits for a terminal.

mod screen;
mod serial;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shoal_contract::boot::Level;
use tokio::sync::watch;

use self::serial::Queue;

/// Where the kernel says which consoles it uses (from `console=` and the firmware's tables).
const ACTIVE: &str = "/sys/class/tty/console/active";

/// All devices that show something.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    level: Level,
    queues: Arc<Vec<Arc<Queue>>>,
    status: watch::Sender<Vec<String>>,
}

impl Console {
    /// Opens the devices named by the recipe and those that the kernel uses, and starts their tasks. Those that do not exist, or
    /// have no hardware behind them, are passed over.
    pub(crate) fn open(named: &[String], level: Level) -> Self {
        let active = std::fs::read_to_string(ACTIVE).unwrap_or_default();
        let names: BTreeSet<&str> = named.iter().map(String::as_str).chain(active.split_whitespace()).collect();
        let mut console = Self::silent(level);
        for name in names {
            let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY).bits().cast_signed();
            if let Ok(device) = OpenOptions::new().write(true).custom_flags(flags).open(Path::new("/dev").join(name)) {
                console.add(name, device);
            }
        }
        console
    }

    /// A console without devices.
    pub(crate) fn silent(level: Level) -> Self {
        Self { level, queues: Arc::default(), status: watch::Sender::new(Vec::new()) }
    }

    /// Adds an open, non-blocking device and starts its task.
    pub(crate) fn add(&mut self, name: &str, device: File) {
        let queue = Arc::new(Queue::default());
        let status = self.status.subscribe();
        if is_screen(name) {
            tokio::spawn(screen::run(device, Arc::clone(&queue), status));
        } else {
            tokio::spawn(serial::run(device, Arc::clone(&queue), status));
        }
        let mut queues = self.queues.to_vec();
        queues.push(queue);
        self.queues = Arc::new(queues);
    }

    /// Whether lines of this level are shown.
    pub(crate) fn shows(&self, level: Level) -> bool {
        level <= self.level
    }

    /// Shows a line; it has no end of line and no control characters.
    pub(crate) fn line(&self, text: String) {
        for queue in self.queues.iter() {
            queue.push(text.clone());
        }
    }

    /// Shows a line of PID 1 itself, with the seconds since the boot as while booting.
    pub(crate) fn say(&self, text: &str) {
        self.line(format!("shoal: {text} [{:.3}]", crate::say::uptime().as_secs_f64()));
    }

    /// Shows this status from now on.
    pub(crate) fn status(&self, lines: Vec<String>) {
        self.status.send_if_modified(|old| {
            let changed = *old != lines;
            *old = lines;
            changed
        });
    }

    /// Waits until all lines are out, but no longer than `limit`: for the last words before a reboot.
    pub(crate) async fn flush(&self, limit: Duration) {
        let all = async {
            for queue in self.queues.iter() {
                queue.drained().await;
            }
        };
        // A device that does not drain in time is stuck; the box goes down all the same.
        drop(tokio::time::timeout(limit, all).await);
    }
}

/// Whether a terminal is a screen of the machine itself: `tty0`, `tty1`, … but not `ttyS0` or `ttyAMA0`.
fn is_screen(name: &str) -> bool {
    name.strip_prefix("tty").is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A lock whose holder cannot have left it half changed.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn only_virtual_terminals_are_screens() {
        assert!(is_screen("tty0") && is_screen("tty12"));
        assert!(!is_screen("ttyS0") && !is_screen("ttyAMA0") && !is_screen("tty") && !is_screen("hvc0"));
    }

    fn piped() -> (Console, File) {
        let (reading, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let mut console = Console::silent(Level::Info);
        console.add("ttyS0", writing.into());
        (console, reading.into())
    }

    #[tokio::test]
    async fn a_status_comes_as_plain_lines_between_the_others() {
        let (console, mut reading) = piped();
        console.line("[a] one".into());
        console.status(vec!["running".into()]);
        let mut text = String::new();
        while !(text.contains("one") && text.contains("running")) {
            let mut buffer = [0; 256];
            match reading.read(&mut buffer) {
                Ok(count) => text.push_str(std::str::from_utf8(&buffer[..count]).unwrap()),
                Err(_) => tokio::task::yield_now().await,
            }
        }
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["[a] one", "shoal: running"]);
    }

    #[tokio::test]
    async fn a_terminal_that_takes_nothing_holds_nobody_up() {
        let (console, _reading) = piped();
        for number in 0..100_000 {
            console.line(format!("line {number}"));
            if number % 1000 == 0 {
                tokio::task::yield_now().await;
            }
        }
        assert!(console.queues[0].bytes() <= serial::QUEUE_BYTES);
    }
}
