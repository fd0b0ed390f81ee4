//! Every limit, and why it is what it is.

use std::time::Duration;

/// From the connection to the introductions. On a busy box of the slowest kind a handshake takes 50 ms; three lost packets, 1.4 s.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

/// Handshakes that go on at the same time, of connections that others have made. Each holds some 80 KiB at most, which is what TLS lets a peer say before
/// it has proven anything: 5 MiB.
pub const SLOTS_MAX: usize = 64;

/// Of one address: as many as discovery tries side by side. When one more comes, its own oldest goes.
pub const SLOTS_PER_SOURCE_MAX: usize = 8;

/// Addresses from which members have come, whose handshakes go last when slots are short: more than a cluster has members.
pub const KNOWN_SOURCES_MAX: usize = 256;

/// Sessions at the same time, at most: a table of 256 peers, and as much again for what is being replaced and for strangers.
pub const SESSIONS_MAX: usize = 512;

/// Sessions of who has the join secret and is no member here: a whole fleet that is blank. More are refused.
pub const STRANGERS_MAX: usize = 256;

/// Processes with one key that have sessions at the same time. Two of them are a copy or a restart, and the core wants to see both.
pub const PROCESSES_PER_KEY_MAX: usize = 4;

/// Lanes at the same time: four for each of 64 members, of which raft uses two (one a direction), and two while snapshots are sent.
pub const LANES_MAX: usize = 256;

/// Lanes that are ready and wait to be taken. More are closed, and opened again by their peers.
pub const LANES_WAITING_MAX: usize = 64;

/// Two sessions of the same two processes that are no further apart than this were made at the same time, by both or over two addresses. A later one means
/// that the other end has lost the earlier one: nobody dials whom it has a session with.
pub const SIMULTANEOUS: Duration = Duration::from_secs(10);

/// Frames that wait to be written to one peer; more are dropped. The core says hello every three seconds: a peer with a queue of so many is gone.
pub const QUEUE_MAX: usize = 64;

/// A peer takes none of what is written for so long: as long as the core waits for a silent one.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Nothing is heard in a session for so long: ten hellos. It ends, whatever its TCP says.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A peer's kernel has not acknowledged what was sent for so long: the connection is dead.
pub const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(5);

/// Events that wait to be taken. Then sessions wait, too.
pub const EVENTS_MAX: usize = 256;

/// How long to wait after accepting has failed, for want of descriptors perhaps.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Connections that are being made by this node: as many as another one has slots for us.
pub const DIALS_MAX: usize = 64;

/// Addresses that the dialler knows at most: eight for each of 64 peers. Those where nobody has proven to be of the fleet go first.
pub const ADDRESSES_MAX: usize = 512;

/// The pause after a first failure; it doubles up to [`BACKOFF_MAX`].
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// The longest pause. A box that was off is found after so long even if nobody hears its beacons.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// An address where nobody has ever proven anything is forgotten after so many failures, half a minute. Discovery brings it again if there is a reason.
pub const FAILURES_MAX: u32 = 5;

/// What tests make smaller. [`Limits::default`] is what everybody else has.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// [`HANDSHAKE_TIMEOUT`].
    pub handshake: Duration,
    /// [`SLOTS_MAX`].
    pub slots: usize,
    /// [`SLOTS_PER_SOURCE_MAX`].
    pub slots_per_source: usize,
    /// [`STRANGERS_MAX`].
    pub strangers: usize,
    /// [`IDLE_TIMEOUT`].
    pub idle: Duration,
    /// [`BACKOFF_MIN`].
    pub backoff_min: Duration,
    /// [`BACKOFF_MAX`].
    pub backoff_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: HANDSHAKE_TIMEOUT,
            slots: SLOTS_MAX,
            slots_per_source: SLOTS_PER_SOURCE_MAX,
            strangers: STRANGERS_MAX,
            idle: IDLE_TIMEOUT,
            backoff_min: BACKOFF_MIN,
            backoff_max: BACKOFF_MAX,
        }
    }
}
