//! The driver's clock: monotonic, from the start of the process.

use std::time::Duration;

use shoal_formation::Now;
use tokio::time::Instant;

/// What the core's moments are counted with. Cloning gives the same clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
    speed: u32,
}

impl Clock {
    /// One that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self::faster(1)
    }

    /// One that goes `speed` times as fast: for tests, whose formations take seconds then.
    #[must_use]
    pub fn faster(speed: u32) -> Self {
        Self { began: Instant::now(), speed: speed.max(1) }
    }

    /// The moment that it counts from.
    #[must_use]
    pub const fn zero(&self) -> Instant {
        self.began
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Now {
        self.at(Instant::now())
    }

    /// What a moment is on this clock.
    #[must_use]
    pub fn at(&self, moment: Instant) -> Now {
        Now::at(moment.saturating_duration_since(self.began) * self.speed)
    }

    /// When a moment of this clock comes; a year from its beginning at the latest.
    #[must_use]
    pub fn moment(&self, now: Now) -> Instant {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        // Rounded up, so that it has come when the timer fires.
        self.began + (now.since_zero().min(YEAR) / self.speed + Duration::from_nanos(1))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_come_when_its_timer_fires() {
        for speed in [1, 3, 10] {
            let clock = Clock::faster(speed);
            for nanoseconds in [0, 1, 7, 1_000_000_001] {
                let now = Now::at(Duration::from_nanos(nanoseconds));
                assert!(clock.at(clock.moment(now)) >= now, "{speed} {nanoseconds}");
            }
        }
    }
}
