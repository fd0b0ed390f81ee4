//! How much may pass in a time: a token bucket.

use std::time::Duration;

use crate::now::Now;

/// A bucket that fills at a steady rate up to its burst.
#[derive(Debug, Clone)]
pub struct Bucket {
    per_second: u32,
    burst: u32,
    /// Level in millionths of a token, so that no fraction is lost.
    millionths: u64,
    filled: Now,
}

const MILLION: u64 = 1_000_000;

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(per_second: u32, burst: u32, now: Now) -> Self {
        Self { per_second, burst, millionths: u64::from(burst) * MILLION, filled: now }
    }

    fn fill(&mut self, now: Now) {
        let passed = u64::try_from(now.since(self.filled).as_micros()).unwrap_or(u64::MAX);
        let gained = passed.saturating_mul(u64::from(self.per_second));
        self.millionths = self.millionths.saturating_add(gained).min(u64::from(self.burst) * MILLION);
        self.filled = now;
    }

    /// Takes one token if there is one.
    pub fn take(&mut self, now: Now) -> bool {
        self.fill(now);
        let enough = self.millionths >= MILLION;
        if enough {
            self.millionths -= MILLION;
        }
        enough
    }

    /// Takes `tokens`, more than there are if need be, and gives the time until the bucket has made up for it.
    pub fn overdraw(&mut self, now: Now, tokens: u32) -> Duration {
        self.fill(now);
        let wanted = u64::from(tokens) * MILLION;
        let missing = wanted.saturating_sub(self.millionths);
        self.millionths = self.millionths.saturating_sub(wanted);
        Duration::from_micros(missing / u64::from(self.per_second.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Now {
        Now::at(Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_burst_passes_and_then_the_steady_rate() {
        let mut bucket = Bucket::new(10, 5, at(0));
        let passed = |bucket: &mut Bucket, moment| (0..100).filter(|_| bucket.take(at(moment))).count();
        assert_eq!(passed(&mut bucket, 0), 5);
        assert_eq!(passed(&mut bucket, 200), 2);
        assert_eq!(passed(&mut bucket, 60_000), 5);
    }

    #[test]
    fn who_takes_too_much_waits_for_as_long_as_it_takes_to_fill() {
        let mut bucket = Bucket::new(1000, 1000, at(0));
        assert_eq!(bucket.overdraw(at(0), 1000), Duration::ZERO);
        assert_eq!(bucket.overdraw(at(0), 500), Duration::from_millis(500));
    }
}
