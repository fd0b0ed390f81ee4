//! Time as the core sees it: handed in, never read.

use core::time::Duration;

/// A moment on the monotonic clock of this process, counted from whatever zero its owner chose. It never goes backwards and is never compared with
/// another node's. Nothing in this crate knows what day it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now(Duration);

impl Now {
    /// The moment `since_zero` after the clock's zero.
    #[must_use]
    pub const fn at(since_zero: Duration) -> Self {
        Self(since_zero)
    }

    /// Time since the clock's zero.
    #[must_use]
    pub const fn since_zero(self) -> Duration {
        self.0
    }

    /// The moment `duration` later; the end of time if there is none.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// Time since `earlier`, nothing if that lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
