//! What the leader does about the membership by itself: gives a vote to those who are to have one, and ends what was left in the middle.

use std::{collections::BTreeSet, sync::Arc};

use openraft::{ChangeMembers, async_runtime::WatchReceiver};

use crate::node::Inner;

/// Gives those who are to vote a vote once they have caught up, while this member leads, and brings changes to their end.
///
/// A change of the voters is two entries: first both sets decide, then the new one alone. Whoever changes them may be gone after the first: a
/// leader that has ended, a client that has given up. Until the second, the cluster bears less than it should: each of the two sets needs a majority.
pub(in crate::node) async fn promotion(inner: Arc<Inner>) {
    let mut leadership = inner.leadership.subscribe();
    let mut server = inner.raft.server_metrics();
    loop {
        if leadership.wait_for(|now| now.is_self).await.is_err() {
            return;
        }
        let stored = inner.effective_membership();
        let is_joint = stored.membership().get_joint_config().len() > 1;
        let voters: BTreeSet<u64> = stored.membership().voter_ids().collect();
        let waits = |(id, peer): &(&u64, &crate::raft::Peer)| peer.is_voter && !voters.contains(id);
        let waiting: Vec<u64> = stored.membership().nodes().filter(waits).map(|(&id, _)| id).collect();
        if waiting.is_empty() && !is_joint {
            if server.changed().await.is_err() {
                return;
            }
            continue;
        }
        if is_joint {
            // Once nobody is at work on it any more.
            let _changing = inner.changing_members.lock().await;
            // Nothing is added: it is the last of the two sets that stays. If it was not the last one any more, nothing is done.
            match inner.change(&stored, ChangeMembers::AddVoterIds(BTreeSet::new())).await {
                Ok(()) => tracing::info!("a change of the voters that was left in the middle is through"),
                Err(error) => tracing::debug!(%error, "a change of the voters is not through yet"),
            }
        } else if let Some(id) = waiting.into_iter().find(|&id| inner.has_caught_up(id)) {
            let _changing = inner.changing_members.lock().await;
            match inner.change(&stored, ChangeMembers::AddVoterIds(BTreeSet::from([id]))).await {
                Ok(()) => tracing::info!(member = format!("{id:x}"), "a member has caught up and votes"),
                Err(error) => tracing::info!(member = format!("{id:x}"), %error, "a member that has caught up has no vote yet"),
            }
        }
        tokio::time::sleep(inner.config.heartbeat_interval).await;
    }
}
