//! When a service that ended is started again, and when it is given up.

use std::collections::VecDeque;
use std::time::Duration;

use shoal_contract::service::{GiveUp, GiveUpAction};

use crate::now::Now;

/// Delay before the first restart. Long enough that a crash loop costs little processor time, short enough that a single crash is
/// hardly seen.
pub const FIRST_DELAY: Duration = Duration::from_millis(500);

/// The delay doubles with each failure in a row up to this. A box that mends itself (a lease arrives, a peer returns) then goes on
/// within half a minute.
pub const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// A service that ran this long before it ended is taken to have been well: the delay starts again at [`FIRST_DELAY`].
pub const STABLE_AFTER: Duration = Duration::from_secs(60);

/// Failures of one service in the past, as far as they matter.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Failures since it was last stable.
    in_a_row: u32,
    /// Moments of failure inside the give-up window, oldest first; at most `GiveUp::failures` of them.
    recent: VecDeque<Now>,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Start again after this time.
    Retry(Duration),
    /// It failed too often; do this.
    GiveUp(GiveUpAction),
}

impl History {
    /// Records a failure after the service ran for `ran_for`, and decides what follows.
    pub(crate) fn failed(&mut self, now: Now, ran_for: Duration, give_up: Option<&GiveUp>) -> Verdict {
        if ran_for >= STABLE_AFTER {
            self.in_a_row = 0;
        }
        if let Some(give_up) = give_up {
            let window = Duration::from_millis(give_up.within_ms);
            self.recent.push_back(now);
            self.recent.retain(|failure| now.since(*failure) <= window);
            if self.recent.len() >= give_up.failures.max(1) as usize {
                return Verdict::GiveUp(give_up.action);
            }
        }
        let delay = delay(self.in_a_row);
        self.in_a_row = self.in_a_row.saturating_add(1);
        Verdict::Retry(delay)
    }

    /// Forgets the past: somebody asked for a start, so the service gets a new chance.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Delay before restart number `in_a_row` (from 0).
fn delay(in_a_row: u32) -> Duration {
    let factor = 2_u32.checked_pow(in_a_row).unwrap_or(u32::MAX);
    FIRST_DELAY.saturating_mul(factor).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Now {
        Now::at(Duration::from_millis(milliseconds))
    }

    #[test]
    fn the_delay_doubles_to_its_limit_and_starts_again_after_a_stable_run() {
        let mut history = History::default();
        let mut delays = Vec::new();
        for _ in 0..8 {
            let Verdict::Retry(delay) = history.failed(at(0), Duration::ZERO, None) else { panic!("gave up without a limit") };
            delays.push(delay.as_millis());
        }
        assert_eq!(delays, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(history.failed(at(0), STABLE_AFTER, None), Verdict::Retry(FIRST_DELAY));
    }

    #[test]
    fn it_is_given_up_only_when_the_failures_lie_within_the_window() {
        let give_up = GiveUp { failures: 3, within_ms: 1000, action: GiveUpAction::Reboot };
        let verdicts = |moments: [u64; 4]| {
            let mut history = History::default();
            moments.map(|moment| matches!(history.failed(at(moment), Duration::ZERO, Some(&give_up)), Verdict::GiveUp(_)))
        };
        assert_eq!(verdicts([0, 600, 1200, 1800]), [false, false, false, false]);
        assert_eq!(verdicts([0, 600, 1000, 5000]), [false, false, true, false]);
    }
}
