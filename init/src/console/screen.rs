//! A screen of the machine itself: the status on top, the newest lines below.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use shoal_init_core::screen::draw;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::serial::{Queue, write};

/// Lines kept for redrawing: more rows than any screen has.
const LINES_KEPT: usize = 200;

/// Time between two drawings: fast enough to look immediate, slow enough that a flood of lines costs nothing.
const DRAW_INTERVAL: Duration = Duration::from_millis(200);

/// Columns and rows of a screen that does not tell (the text mode of PCs).
const DEFAULT_SIZE: (usize, usize) = (80, 25);

/// Draws until the device fails or the console is gone.
pub(crate) async fn run(device: File, queue: Arc<Queue>, mut status: watch::Receiver<Vec<String>>) -> io::Result<()> {
    let device = crate::sys::watch(device.into(), Interest::WRITABLE)?;
    let mut log = VecDeque::with_capacity(LINES_KEPT);
    loop {
        tokio::select! {
            line = queue.next() => keep(&mut log, line),
            changed = status.changed() => if changed.is_err() {
                return Ok(());
            }
        }
        while let Some(line) = queue.take() {
            keep(&mut log, line);
        }
        let (columns, rows) = size(&device);
        let text = draw(&status.borrow_and_update(), log.iter().map(String::as_str), columns, rows);
        write(&device, &text).await?;
        tokio::time::sleep(DRAW_INTERVAL).await;
    }
}

fn keep(log: &mut VecDeque<String>, line: String) {
    if log.len() == LINES_KEPT {
        log.pop_front();
    }
    log.push_back(line);
}

fn size(device: &AsyncFd<OwnedFd>) -> (usize, usize) {
    match rustix::termios::tcgetwinsize(device.get_ref()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => DEFAULT_SIZE,
    }
}
