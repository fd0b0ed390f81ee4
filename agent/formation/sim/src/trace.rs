//! What happened: always as a hash, and as lines if asked for.

use std::fmt::Write as _;

use crate::raft::Time;

/// What happened so far.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    events: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// With lines, or only as a hash.
    #[must_use]
    pub fn new(lines: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, events: 0, lines: lines.then(Vec::new) }
    }

    /// Mixes in that this happened.
    pub(crate) fn mix(&mut self, words: [u64; 3]) {
        self.events += 1;
        for word in words {
            // FNV-1a, by words: only to compare runs.
            self.hash = (self.hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
    }

    /// Writes a line, if lines are wanted.
    pub(crate) fn line(&mut self, now: Time, write: impl FnOnce(&mut String)) {
        if let Some(lines) = &mut self.lines {
            let mut line = String::new();
            let _ = write!(line, "{:>12.6} ", now as f64 / 1e6);
            write(&mut line);
            lines.push(line);
        }
    }

    /// Of all that happened.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// How much happened.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The lines, if they were wanted.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
