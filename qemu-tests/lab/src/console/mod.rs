//! The serial console of a running box: wait for what it says, and type.

mod log;
mod transcript;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use log::Log;
pub use transcript::{Finding, Transcript};

/// What no box may say, unless its test allows it.
pub const FORBIDDEN: [&str; 2] = ["Kernel panic", "PID 1 has failed"];

/// Lines shown in an error: enough to see what led to it.
const LAST_LINES: usize = 15;

/// Why waiting ended without the pattern. The console can be used on.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The box said something that must not be said.
    #[error("the box said {line:?} while {pattern:?} was waited for; the last lines were:\n{}", last.join("\n"))]
    Forbidden {
        /// What was waited for.
        pattern: String,
        /// The line.
        line: String,
        /// The last lines of the console.
        last: Vec<String>,
    },
    /// QEMU has ended.
    #[error("the box was switched off before it said {pattern:?}; the last lines were:\n{}", last.join("\n"))]
    Off {
        /// What was waited for.
        pattern: String,
        /// The last lines of the console.
        last: Vec<String>,
    },
    /// Nothing of it was said in time.
    #[error("the box did not say {pattern:?} within {} s; the last lines were:\n{}", within.as_secs(), last.join("\n"))]
    Deadline {
        /// What was waited for.
        pattern: String,
        /// How long.
        within: Duration,
        /// The last lines of the console.
        last: Vec<String>,
    },
}

/// Why nothing could be typed.
#[derive(Debug, thiserror::Error)]
#[error("cannot type on the console: the box is off")]
pub struct SendError {
    /// What the system said.
    #[from]
    source: io::Error,
}

/// One power-on's console. Reading goes on in a task until QEMU closes it.
#[derive(Debug)]
pub struct Console {
    transcript: Arc<Mutex<Transcript>>,
    progress: watch::Receiver<Progress>,
    keyboard: OwnedWriteHalf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Said(u64),
    Closed,
}

impl Console {
    /// Takes over a connection from QEMU; the logs go to the box's directory.
    pub fn open(stream: UnixStream, directory: &Path) -> Result<Self, OpenError> {
        let log = Log::open(directory).map_err(|source| OpenError { directory: directory.into(), source })?;
        let (screen, keyboard) = stream.into_split();
        let transcript = Arc::new(Mutex::new(Transcript::new(FORBIDDEN.map(str::to_owned).into())));
        let (say, progress) = watch::channel(Progress::Said(0));
        tokio::spawn(read(screen, log, Arc::clone(&transcript), say));
        Ok(Self { transcript, progress, keyboard })
    }

    /// Waits until the box has said a line with `pattern`, after the last match. Gives the line.
    ///
    /// Ends early when the box is switched off or says a forbidden word first.
    pub async fn wait_for(&mut self, pattern: &str, within: Duration) -> Result<String, WaitError> {
        self.wait_for_any(&[pattern], within).await.map(|(_, line)| line)
    }

    /// As [`Console::wait_for`], for the first of several patterns. Says which.
    pub async fn wait_for_any(&mut self, patterns: &[&str], within: Duration) -> Result<(usize, String), WaitError> {
        let deadline = Instant::now() + within;
        let pattern = || patterns.join(" | ");
        loop {
            // The order matters: what is said after the progress was seen wakes the wait below.
            let closed = *self.progress.borrow_and_update() == Progress::Closed;
            let found = self.transcript().find(patterns);
            match found {
                Some((index, Finding::Found(line))) => return Ok((index, line)),
                Some((_, Finding::Forbidden(line))) => {
                    return Err(WaitError::Forbidden { pattern: pattern(), line, last: self.last_lines() });
                }
                None if closed => return Err(WaitError::Off { pattern: pattern(), last: self.last_lines() }),
                None => {}
            }
            match timeout_at(deadline, self.progress.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(WaitError::Off { pattern: pattern(), last: self.last_lines() }),
                Err(_) => return Err(WaitError::Deadline { pattern: pattern(), within, last: self.last_lines() }),
            }
        }
    }

    /// Types. A newline is what Enter sends, `\r`, or `\n`, which a tty takes as well.
    pub async fn send(&mut self, text: &str) -> Result<(), SendError> {
        Ok(self.keyboard.write_all(text.as_bytes()).await?)
    }

    /// Fails the waits from here on when the box says this, or has said it since the last match.
    pub fn forbid(&self, word: &str) {
        self.transcript().forbid(word);
    }

    /// Lets the box say this: one of [`FORBIDDEN`], in a test that provokes it.
    pub fn allow(&self, word: &str) {
        self.transcript().allow(word);
    }

    /// All lines since power-on, without escape sequences.
    pub fn lines(&self) -> Vec<String> {
        self.transcript().lines().map(str::to_owned).collect()
    }

    fn last_lines(&self) -> Vec<String> {
        let mut lines = self.lines();
        lines.drain(..lines.len().saturating_sub(LAST_LINES));
        lines
    }

    fn transcript(&self) -> MutexGuard<'_, Transcript> {
        self.transcript.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log files of a console cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the console's log in {}: is there space, and may it be written?", directory.display())]
pub struct OpenError {
    directory: PathBuf,
    source: io::Error,
}

async fn read(mut screen: OwnedReadHalf, log: Log, transcript: Arc<Mutex<Transcript>>, say: watch::Sender<Progress>) {
    let started = Instant::now();
    let mut log = Some(log);
    let mut buffer = vec![0; 16 * 1024];
    let mut said = 0;
    // An error is QEMU's death in the middle of a line: the end all the same.
    while let Ok(bytes @ 1..) = screen.read(&mut buffer).await {
        let new = &buffer[..bytes];
        if let Some(Err(error)) = log.as_mut().map(|log| log.write(started.elapsed(), new)) {
            tracing::warn!(%error, "the console's log ends here");
            log = None;
        }
        transcript.lock().unwrap_or_else(PoisonError::into_inner).push(new);
        said += bytes as u64;
        say.send_replace(Progress::Said(said));
    }
    transcript.lock().unwrap_or_else(PoisonError::into_inner).close();
    say.send_replace(Progress::Closed);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reached only when something hangs.
    const LONG: Duration = Duration::from_secs(60);

    fn console() -> (Console, UnixStream, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Console::open(ours, directory.path()).unwrap(), theirs, directory)
    }

    #[tokio::test]
    async fn a_wait_ends_when_the_words_are_complete() {
        let (mut console, mut guest, _directory) = console();
        let says = async {
            guest.write_all(b"log").await.unwrap();
            tokio::task::yield_now().await;
            guest.write_all(b"in: \n").await.unwrap();
        };
        let (line, ()) = tokio::join!(console.wait_for("login:", LONG), says);
        assert_eq!(line.unwrap().trim_end(), "login:");
        assert!(console.lines().len() == 1);
    }

    #[tokio::test]
    async fn a_wait_fails_early_when_the_box_is_off_or_panics() {
        let (mut console, mut guest, _directory) = console();
        guest.write_all(b"one\nKernel panic - not syncing\n").await.unwrap();
        let error = console.wait_for("login:", LONG).await.unwrap_err();
        assert!(matches!(&error, WaitError::Forbidden { line, .. } if line == "Kernel panic - not syncing"), "{error}");
        guest.write_all(b"last words\n").await.unwrap();
        drop(guest);
        console.wait_for("last words", LONG).await.unwrap();
        assert!(matches!(console.wait_for("login:", LONG).await, Err(WaitError::Off { .. })));
    }

    #[tokio::test]
    async fn a_wait_has_a_deadline_and_its_error_shows_the_last_lines() {
        let (mut console, mut guest, _directory) = console();
        guest.write_all(b"booting\n").await.unwrap();
        console.wait_for("booting", LONG).await.unwrap();
        let error = console.wait_for("login:", Duration::ZERO).await.unwrap_err();
        assert_eq!(error.to_string(), "the box did not say \"login:\" within 0 s; the last lines were:\nbooting");
    }

    #[tokio::test]
    async fn what_is_typed_reaches_the_box() {
        let (mut console, mut guest, _directory) = console();
        console.send("root\n").await.unwrap();
        let mut typed = [0; 5];
        guest.read_exact(&mut typed).await.unwrap();
        assert_eq!(&typed, b"root\n");
    }
}
