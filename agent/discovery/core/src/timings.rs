//! How long to wait for what.

use core::time::Duration;

/// How long to wait for what. [`Timings::default`] is what boxes do; tests are in more of a hurry.
#[derive(Debug, Clone)]
pub struct Timings {
    /// Links that change do so several times in a row: a lease, then addresses of IPv6 one after the other. So long after the last change it is
    /// announced.
    pub settle: Duration,
    /// But so long after the first change at the latest. With probing, which takes a second, a peer hears of it well within 5 s.
    pub settle_max: Duration,
    /// A service that is not announced so long after it should be: somebody answers its probes. Probing takes one second.
    pub announce_deadline: Duration,
    /// When to ask after links have changed, from then. After the last of them, each [`Timings::query_every`].
    pub queries: &'static [Duration],
    /// How often to ask in the end: a peer that missed every announcement is found after so long.
    pub query_every: Duration,
    /// After so long without what is needed, other ways are tried: then multicast does not work here.
    pub fallback_after: Duration,
    /// How often to broadcast then: a packet of 250 bytes on each link.
    pub broadcast_every: Duration,
    /// How often to ask the search domain, seeds and last known addresses then.
    pub ask_every: Duration,
    /// How long after a failed attempt the next one to the same address, at first. Doubled each time.
    pub retry_first: Duration,
    /// And at most.
    pub retry_max: Duration,
}

const SECOND: Duration = Duration::from_secs(1);

impl Default for Timings {
    fn default() -> Self {
        const QUERIES: &[Duration] = &[
            Duration::ZERO,
            SECOND,
            Duration::from_secs(2),
            Duration::from_secs(4),
            Duration::from_secs(8),
            Duration::from_secs(16),
            Duration::from_secs(32),
            Duration::from_secs(60),
        ];
        Self {
            settle: Duration::from_millis(300),
            settle_max: SECOND,
            announce_deadline: Duration::from_secs(5),
            queries: QUERIES,
            query_every: Duration::from_secs(60),
            fallback_after: Duration::from_secs(60),
            broadcast_every: Duration::from_secs(10),
            ask_every: Duration::from_secs(60),
            retry_first: SECOND,
            retry_max: Duration::from_secs(60),
        }
    }
}
