//! A word from the loop to the thread that boots: come to an end at the next safe point, the box goes down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the word was given. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Gives the word; it cannot be taken back.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was given.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
