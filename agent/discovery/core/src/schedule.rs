//! When to ask, and when to try other ways.

use crate::{now::Now, timings::Timings};

/// When to ask who is there: at the beginning of a schedule often, then each minute.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    /// When the schedule began, how many of its times are over, and the next one. None without links.
    state: Option<(Now, usize, Now)>,
}

impl Queries {
    /// Begins anew.
    pub(crate) fn begin(&mut self, now: Now, timings: &Timings) {
        self.state = Some((now, 0, now + timings.queries.first().copied().unwrap_or(timings.query_every)));
    }

    pub(crate) fn stop(&mut self) {
        self.state = None;
    }

    /// Whether it is time to ask.
    pub(crate) fn due(&mut self, now: Now, timings: &Timings) -> bool {
        let Some((begin, over, next)) = self.state else { return false };
        if now < next {
            return false;
        }
        // What was slept through is not asked again: one question is enough.
        let mut over = over + 1;
        while timings.queries.get(over).is_some_and(|offset| begin + *offset <= now) {
            over += 1;
        }
        let next = timings.queries.get(over).map_or(now + timings.query_every, |offset| begin + *offset);
        self.state = Some((begin, over, next));
        true
    }

    pub(crate) fn deadline(&self) -> Option<Now> {
        self.state.map(|(_, _, next)| next)
    }
}

/// When to try other ways than multicast DNS.
#[derive(Debug)]
pub(crate) struct Fallback {
    /// Since when something is needed that is not there.
    since: Option<Now>,
    /// Do not wait: multicast DNS is under attack.
    is_urgent: bool,
    broadcast: Option<Now>,
    ask: Option<Now>,
}

impl Fallback {
    pub(crate) const fn new(now: Now) -> Self {
        Self { since: Some(now), is_urgent: false, broadcast: None, ask: None }
    }

    pub(crate) fn need(&mut self, now: Now, is_needed: bool) {
        match (is_needed, self.since) {
            (true, None) => self.since = Some(now),
            (true, Some(_)) => {}
            (false, _) => (self.since, self.broadcast, self.ask) = (None, None, None),
        }
    }

    pub(crate) fn hurry(&mut self) {
        self.is_urgent = true;
    }

    /// When the next broadcast and the next question are.
    fn next(&self, timings: &Timings) -> Option<(Now, Now)> {
        let since = self.since?;
        let first = if self.is_urgent { since } else { since + timings.fallback_after };
        // The other ways of asking are for when multicast does not work; that somebody attacks it is no reason to bother servers.
        Some((self.broadcast.unwrap_or(first), self.ask.unwrap_or(since + timings.fallback_after)))
    }

    /// Whether it is time to broadcast, and whether to ask.
    pub(crate) fn due(&mut self, now: Now, timings: &Timings) -> (bool, bool) {
        let Some((broadcast, ask)) = self.next(timings) else { return (false, false) };
        let due = (broadcast <= now, ask <= now);
        if due.0 {
            self.broadcast = Some(now + timings.broadcast_every);
        }
        if due.1 {
            self.ask = Some(now + timings.ask_every);
        }
        due
    }

    pub(crate) fn deadline(&self, timings: &Timings) -> Option<Now> {
        self.next(timings).map(|(broadcast, ask)| broadcast.min(ask))
    }
}
