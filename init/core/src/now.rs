//! Time as cores see it: handed in, never read.

use std::time::Duration;

/// A moment on the monotonic clock, counted from boot (`CLOCK_BOOTTIME`). It never goes backwards and does not depend on the date.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now(Duration);

impl Now {
    /// The moment `since_boot` after the boot.
    #[must_use]
    pub const fn at(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// Time since the boot.
    #[must_use]
    pub const fn since_boot(self) -> Duration {
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
