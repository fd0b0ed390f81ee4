//! Every time that the protocol knows, and why it is as long as it is. Safety rests on none of them: they decide how often two clusters are founded
//! that then have to become one, and how long people wait.

use core::time::Duration;

/// A virgin listens at least so long: a box that was switched on in the same second is found within one round of queries at 0, 1, 2 and 4 s.
pub const LISTEN_MIN: Duration = Duration::from_secs(5);

/// Nobody new was heard of for so long: the gap between two queries of discovery while it is fresh.
pub const STABLE: Duration = Duration::from_secs(3);

/// With at least two virgins, the longest wait for [`STABLE`]: boxes that keep arriving join later as well as now.
pub const LISTEN_MAX: Duration = Duration::from_secs(30);

/// A box with a disk that hears of nobody founds after so long. Early is harmless, since what it founds is pristine.
pub const ALONE: Duration = Duration::from_secs(20);

/// A box without a disk waits longer: what it founds is lost with its power, so one with a disk shall have a chance to come up first. Firmware of
/// servers takes one to two minutes.
pub const ALONE_WITHOUT_DISK: Duration = Duration::from_secs(120);

/// How long a promise binds: long enough for the founder to ask everybody three times and write its role to a slow stick, short enough that a
/// founder that died delays the others only once.
pub const PROMISE: Duration = Duration::from_secs(30);

/// A virgin that does not answer is asked again after so long, [`SOLICIT_TRIES`] times: twice the slowest round trip of a busy box.
pub const SOLICIT_RETRY: Duration = Duration::from_secs(2);

/// How often a virgin is asked before the founder goes on without it.
pub const SOLICIT_TRIES: u8 = 3;

/// A founder that did not get enough promises for `expect` asks again after so long: when the next [`HELLO`] may have brought somebody new.
pub const COURT_AGAIN: Duration = Duration::from_secs(5);

/// A request to join, or to a leader, is repeated after so long, to another member if there is one.
pub const ASK_AGAIN: Duration = Duration::from_secs(2);

/// A virgin that was not admitted within so long looks around again: the cluster may be gone.
pub const JOIN: Duration = Duration::from_secs(30);

/// A node says what it is at least this often to everybody it knows: three fit into [`PEER_SILENT`].
pub const HELLO: Duration = Duration::from_secs(3);

/// A peer that was not heard for so long is forgotten. It is what bounds how stale a view can be.
pub const PEER_SILENT: Duration = Duration::from_secs(10);

/// How long an older session may take to answer before a newer one with the same key takes its place: a restart is more likely than a copy, and
/// must not wait long.
pub const CHALLENGE: Duration = Duration::from_secs(2);

/// The birth barrier lifts at the latest so long after the founder began to lead, with however few voters: one box must become useful, too.
pub const BARRIER: Duration = Duration::from_secs(180);

/// No other cluster and no virgin was in sight for so long: the cluster is settled and what was baked in may start.
pub const SETTLED: Duration = Duration::from_secs(120);

/// A member of a pristine cluster leaves it when it had no leader for so long: longer than a switch or a box needs to restart.
pub const ABANDON: Duration = Duration::from_secs(300);

/// The leader that committed a dissolution stays so long, so that the next heartbeats tell everybody: two of them.
pub const LINGER: Duration = Duration::from_secs(3);

/// A proposal that was not committed for so long is taken for lost, and made again if it is still wanted.
pub const PROPOSE_AGAIN: Duration = Duration::from_secs(5);

/// How often the leader thinks about who should vote.
pub const PLAN: Duration = Duration::from_secs(1);

/// A learner may vote once it was no more than [`LAG_ENTRIES`] behind for so long: one that keeps up, not one that passes by.
pub const CAUGHT_UP: Duration = Duration::from_secs(5);

/// See [`CAUGHT_UP`]: what is caught up with in a moment.
pub const LAG_ENTRIES: u64 = 1000;

/// A learner that has not caught up for so long is passed over for the next, and an alarm says so.
pub const CATCH_UP: Duration = Duration::from_secs(600);

/// A node counts for the number of voters once it was up for so long; at birth it counts at once.
pub const UP: Duration = Duration::from_secs(60);

/// A voter that was silent for so long may be replaced: longer than a reboot with a memory test and a file system check.
pub const DEAD: Duration = Duration::from_secs(600);

/// The leader must have had its quorum without a break for so long before it replaces anybody: it is the others that are gone, not itself.
pub const QUORUM_HELD: Duration = Duration::from_secs(60);

/// Between two replacements: what made two boxes silent so soon after each other is more likely the network than the boxes.
pub const BETWEEN_REPLACEMENTS: Duration = Duration::from_secs(30 * 60);

/// The period for which the number of replacements is limited.
pub const REPLACEMENT_PERIOD: Duration = Duration::from_secs(24 * 3600);

/// After a start of the whole cluster nobody is replaced for so long: slow boxes are still coming up.
pub const COLD_START: Duration = Duration::from_secs(15 * 60);

/// A failure domain that is silent as a whole is taken for a network that is down; after so long it is not.
pub const DOMAIN_SILENT: Duration = Duration::from_secs(6 * 3600);

/// Five voters become three after so long with three or four nodes.
pub const SHRINK: Duration = Duration::from_secs(24 * 3600);

/// What peers were last heard to be is written down at most so often, unless they restarted: sticks wear out.
pub const FLOORS: Duration = Duration::from_secs(60);

/// A member without a leader says which voters are missing after so long.
pub const NO_QUORUM_ALARM: Duration = Duration::from_secs(600);
