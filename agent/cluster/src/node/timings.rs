//! How raft is set up, and how etcd's timings become openraft's.
//!
//! etcd's member stands for election between one and two election timeouts after it last heard of a leader. openraft counts two spans one after
//! the other: the leader's lease, which is `election_timeout_max` and in which nobody votes for another, and then a random time between
//! `election_timeout_min` and `election_timeout_max`. So the lease is etcd's election timeout, and what follows is up to one more.

use std::time::Duration;

use super::{NodeConfig, StartError};

/// Entries in one message to a follower, at most. Their bytes are bounded separately.
const APPEND_ENTRIES: u64 = 1024;

/// The part of the election timeout that a member waits, at least, after the leader's lease has ended.
const LEAST_WAIT: u64 = 8;

pub(super) fn raft_config(config: &NodeConfig) -> Result<openraft::Config, StartError> {
    let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let heartbeat_interval = milliseconds(config.heartbeat_interval);
    let election_timeout = milliseconds(config.election_timeout);
    openraft::Config {
        cluster_name: format!("{:x}", config.identity.cluster),
        heartbeat_interval,
        // openraft wants this to be longer than a heartbeat.
        election_timeout_min: (election_timeout / LEAST_WAIT).max(heartbeat_interval.saturating_add(1)),
        election_timeout_max: election_timeout,
        max_payload_entries: APPEND_ENTRIES,
        // Checkpoints and purging are this crate's business: they go by bytes.
        snapshot_policy: openraft::SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        // A follower is brought up to date by the log as long as the log has it.
        replication_lag_threshold: u64::MAX,
        enable_pre_vote: Some(true),
        // As in the raft paper: whoever restarts asks for votes.
        enable_leader_restore: Some(false),
        // Followers write while the leader does.
        broadcast_submitted_on_append: Some(true),
        ..openraft::Config::default()
    }
    .validate()
    .map_err(|error| StartError::Timings(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, node::Begin, storage::StorageConfig};

    fn of(heartbeat: u64, election: u64) -> Result<openraft::Config, StartError> {
        let identity = Identity { cluster: 1, member: 2 };
        let mut config = NodeConfig::new(identity, Begin::Join(std::collections::BTreeMap::new()), StorageConfig::new("nowhere"), 3);
        config.heartbeat_interval = Duration::from_millis(heartbeat);
        config.election_timeout = Duration::from_millis(election);
        raft_config(&config)
    }

    #[test]
    fn a_member_stands_for_election_between_one_and_two_election_timeouts() {
        // The defaults, a network around the world, and the least that etcd takes.
        for (heartbeat, election) in [(100, 1000), (500, 5000), (10, 50)] {
            let config = of(heartbeat, election).expect("etcd takes these timings");
            let lease = config.election_timeout_max;
            let (soonest, latest) = (lease + config.election_timeout_min, lease + config.election_timeout_max);
            assert!((election..=2 * election).contains(&soonest) && (election..=2 * election).contains(&latest), "{soonest} to {latest}");
            // Members that all wait equally long split their votes.
            assert!(latest - soonest >= election / 2, "{soonest} to {latest}");
        }
    }

    #[test]
    fn timings_without_room_for_a_heartbeat_are_refused() {
        assert!(matches!(of(1000, 1000), Err(StartError::Timings(_))));
    }
}
