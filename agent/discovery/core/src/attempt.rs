//! How often somebody may be tried.

use core::time::Duration;

use alloc::collections::BTreeMap;

use crate::{now::Now, table::Source};

/// New connections a second, from all sources together: with 64 places for handshakes that take 2 s at most, a peer is not overrun by a whole fleet.
pub(crate) const ATTEMPTS_PER_SECOND: u32 = 20;

/// New connections a second for one source.
pub(crate) const ATTEMPTS_PER_SECOND_AND_SOURCE: u32 = 1;

/// So many may follow at once: the addresses of one peer, which are tried side by side.
const SOURCE_BURST: u32 = crate::table::ADDRESSES_PER_PEER as u32;

/// A budget that fills with time.
#[derive(Debug, Clone, Copy)]
struct Budget {
    /// When it will be full.
    full: Now,
    every: Duration,
    burst: u32,
}

impl Budget {
    fn new(now: Now, per_second: u32, burst: u32) -> Self {
        Self { full: now, every: Duration::from_secs(1) / per_second, burst }
    }

    /// When there is something in it.
    fn ready(&self) -> Now {
        Now(self.full.0.saturating_sub(self.every * (self.burst - 1)))
    }

    fn take(&mut self, now: Now) {
        self.full = self.full.max(now) + self.every;
    }
}

/// The budgets of all sources.
#[derive(Debug)]
pub(crate) struct Budgets {
    all: Budget,
    sources: BTreeMap<Source, Budget>,
}

impl Budgets {
    pub(crate) fn new(now: Now) -> Self {
        Self { all: Budget::new(now, ATTEMPTS_PER_SECOND, ATTEMPTS_PER_SECOND), sources: BTreeMap::new() }
    }

    /// When somebody may be tried at all.
    pub(crate) fn ready(&self) -> Now {
        self.all.ready()
    }

    /// When somebody of this source may be tried, but for the others.
    pub(crate) fn ready_for(&self, source: &Source) -> Now {
        self.sources.get(source).map_or(Now::default(), Budget::ready)
    }

    /// Takes one out. Sources whose budget is full are forgotten, so that there are no more than were tried in the last seconds: one attempt
    /// fills again after one second, so 20 a second for as long as the fullest takes, 8 s.
    pub(crate) fn take(&mut self, now: Now, source: &Source) {
        self.all.take(now);
        self.sources.retain(|_, budget| budget.full > now);
        let budget = self.sources.entry(source.clone());
        budget.or_insert_with(|| Budget::new(now, ATTEMPTS_PER_SECOND_AND_SOURCE, SOURCE_BURST)).take(now);
    }

    #[cfg(test)]
    pub(crate) fn sources(&self) -> usize {
        self.sources.len()
    }
}
