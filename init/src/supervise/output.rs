//! What services print: read, cut into lines, kept, and shown.
//!
//! One task for each service's pipe. A service that prints without end costs PID 1 at most [`BYTES_PER_SECOND`]: beyond it the pipe
//! is not read for a while, fills, and the service waits in its own write(2). The console takes far fewer lines; what it leaves
//! out is said there and can be read in full over the bus.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use shoal_contract::boot::Level;
use shoal_init_core::now::Now;
use shoal_init_core::rate::Bucket;
use shoal_init_core::ring::{Line, Lines, Ring};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::console::Console;

/// Bytes of one service read in a second. At this rate cutting lines takes a few percent of a small processor.
const BYTES_PER_SECOND: u32 = 1024 * 1024;

/// Lines of one service shown on the console in a second: a serial line at 115200 baud carries about a hundred.
const CONSOLE_LINES_PER_SECOND: u32 = 20;

/// Lines of one service shown at once: a start, or a stack trace.
const CONSOLE_BURST: u32 = 200;

/// Bytes read at once: a pipe's worth is read in a few turns, between which the loop does other things.
const READ_BYTES: usize = 8 * 1024;

/// The logs of all services.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logs {
    rings: Arc<Mutex<BTreeMap<String, Ring>>>,
}

impl Logs {
    /// Files a line.
    pub(crate) fn push(&self, service: &str, line: Line) {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ring) = rings.get_mut(service) {
            ring.push(line);
        } else {
            rings.entry(service.to_owned()).or_default().push(line);
        }
    }

    /// The last `count` lines of a service.
    pub(crate) fn last(&self, service: &str, count: usize) -> Vec<Line> {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        rings.get(service).map(|ring| ring.last(count).cloned().collect()).unwrap_or_default()
    }
}

/// Shows and keeps the lines of one service.
pub(crate) struct Writer {
    name: String,
    level: Level,
    logs: Logs,
    console: Console,
    shown: Bucket,
    left_out: usize,
}

impl Writer {
    pub(crate) fn new(name: &str, level: Level, logs: Logs, console: Console, now: Now) -> Self {
        let shown = Bucket::new(CONSOLE_LINES_PER_SECOND, CONSOLE_BURST, now);
        Self { name: name.to_owned(), level, logs, console, shown, left_out: 0 }
    }

    fn line(&mut self, now: Now, text: String) {
        if self.console.shows(self.level) {
            if self.shown.take(now) {
                self.say_what_was_left_out();
                self.console.line(format!("[{}] {text}", self.name));
            } else {
                self.left_out += 1;
            }
        }
        self.logs.push(&self.name, Line { at: now, level: self.level, text });
    }

    fn say_what_was_left_out(&mut self) {
        if self.left_out > 0 {
            self.console.line(format!("[{}] ({} lines not shown here; they are in its log)", self.name, self.left_out));
            self.left_out = 0;
        }
    }
}

/// Reads a service's output until every process that has the pipe is gone.
pub(crate) async fn read(output: OwnedFd, mut writer: Writer) -> std::io::Result<()> {
    rustix::io::ioctl_fionbio(&output, true)?;
    let mut pipe = pipe::Receiver::from_owned_fd(output)?;
    let mut lines = Lines::default();
    let mut pace = Bucket::new(BYTES_PER_SECOND, BYTES_PER_SECOND, super::now());
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = pipe.read(&mut buffer).await?;
        let now = super::now();
        let complete = if count == 0 { lines.finish().into_iter().collect() } else { lines.feed(&buffer[..count]) };
        for line in complete {
            writer.line(now, line);
        }
        if count == 0 {
            writer.say_what_was_left_out();
            return Ok(());
        }
        let pause = pace.overdraw(now, u32::try_from(count).unwrap_or(u32::MAX));
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}
