//! A terminal that gets plain lines, and the queue in front of it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::lock;

/// Bytes that wait for one terminal: about six seconds of a serial line at 115200 baud. When it is hit the oldest lines go, and a
/// line says how many.
pub(crate) const QUEUE_BYTES: usize = 64 * 1024;

/// Time between two status blocks, so that a status that flutters does not drown the lines between.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

/// Lines that wait for a terminal.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    drained: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<String>,
    bytes: usize,
    dropped: usize,
    writing: bool,
}

impl Queue {
    /// Adds a line.
    pub(crate) fn push(&self, line: String) {
        let mut waiting = lock(&self.waiting);
        waiting.bytes += line.len() + 2;
        waiting.lines.push_back(line);
        while waiting.bytes > QUEUE_BYTES {
            let Some(oldest) = waiting.lines.pop_front() else { break };
            waiting.bytes -= oldest.len() + 2;
            waiting.dropped += 1;
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Waits for a line and takes it.
    pub(crate) async fn next(&self) -> String {
        loop {
            if let Some(line) = self.take() {
                return line;
            }
            self.arrived.notified().await;
        }
    }

    /// Takes a line if there is one; until the next call it counts as being written.
    pub(crate) fn take(&self) -> Option<String> {
        let mut waiting = lock(&self.waiting);
        let dropped = std::mem::take(&mut waiting.dropped);
        let line = if dropped > 0 {
            Some(format!("shoal: ({dropped} lines were dropped: this terminal is too slow)"))
        } else {
            let line = waiting.lines.pop_front();
            waiting.bytes -= line.as_ref().map_or(0, |line| line.len() + 2);
            line
        };
        waiting.writing = line.is_some();
        if line.is_none() {
            self.drained.notify_waiters();
        }
        line
    }

    /// Waits until the last line taken is written and none is left.
    pub(crate) async fn drained(&self) {
        loop {
            let drained = self.drained.notified();
            {
                let waiting = lock(&self.waiting);
                if waiting.lines.is_empty() && waiting.dropped == 0 && !waiting.writing {
                    return;
                }
            }
            drained.await;
        }
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        lock(&self.waiting).bytes
    }
}

/// Writes lines and status blocks until the device fails (it was unplugged) or the console is gone.
pub(crate) async fn run(device: File, queue: std::sync::Arc<Queue>, mut status: watch::Receiver<Vec<String>>) -> io::Result<()> {
    let device = crate::sys::watch(device.into(), Interest::WRITABLE)?;
    let mut next_status = Instant::now();
    loop {
        tokio::select! {
            line = queue.next() => write(&device, &format!("{line}\r\n")).await?,
            changed = async { tokio::time::sleep_until(next_status).await; status.changed().await } => {
                if changed.is_err() {
                    return Ok(());
                }
                let block: String = status.borrow_and_update().iter().map(|line| format!("shoal: {line}\r\n")).collect();
                write(&device, &block).await?;
                next_status = Instant::now() + STATUS_INTERVAL;
            }
        }
    }
}

/// Writes all of `text` as fast as the device takes it.
pub(crate) async fn write(device: &AsyncFd<OwnedFd>, text: &str) -> io::Result<()> {
    let mut left = text.as_bytes();
    while !left.is_empty() {
        let mut ready = device.writable().await?;
        if let Ok(written) = ready.try_io(|device| Ok(rustix::io::write(device, left)?)) {
            left = &left[written?..];
        }
    }
    Ok(())
}
