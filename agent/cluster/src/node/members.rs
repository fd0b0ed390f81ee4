//! The membership: changed by the leader, one change at a time, with etcd's rules about what may be changed.
//!
//! A member that is added with a vote gets it once it has caught up: until then it counts for no majority, so that adding one that never starts
//! takes nothing from the cluster. It is shown as a voter from the beginning, as in etcd.

mod change;
mod promotion;
mod rules;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use openraft::{Instant as _, async_runtime::WatchReceiver};

use super::{Begin, Inner};
use crate::{
    error::ProposeError,
    formation::key_url,
    membership::Member,
    raft::{
        Membership, Peer, StoredMembership,
        entry::{Attributes, Content},
    },
};
pub(super) use promotion::promotion;

/// Entries that a member may lag behind the leader when it is given a vote: what it catches up with in a moment.
const PROMOTABLE_LAG_ENTRIES: u64 = 1000;

/// How long to wait after publishing has failed.
const PUBLISH_RETRY: Duration = Duration::from_secs(1);

impl Inner {
    /// The members of a configuration, as etcd shows them.
    fn members_of(&self, membership: &Membership) -> Vec<Member> {
        let replicated = self.machine.state.read();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let member = |(&id, peer): (&u64, &Peer)| {
            let attributes = replicated.attributes.get(&id);
            Member {
                id,
                name: attributes.map(|attributes| attributes.name.clone()).unwrap_or_default(),
                peer_urls: urls(peer),
                client_urls: attributes.map(|attributes| attributes.client_urls.clone()).unwrap_or_default(),
                is_learner: !peer.is_voter && !voters.contains(&id),
            }
        };
        membership.nodes().map(member).collect()
    }

    /// [`Replica::members`](crate::Replica::members).
    pub(super) fn members(&self) -> Vec<Member> {
        let membership = self.machine.state.read().membership.membership().clone();
        if membership.nodes().next().is_some() {
            return self.members_of(&membership);
        }
        // Before the first entry is applied.
        let Begin::Found(founders) = &self.config.begin else { return Vec::new() };
        founders.iter().map(|(&id, urls)| Member { id, peer_urls: urls.clone(), ..Member::default() }).collect()
    }

    /// What this member says about itself.
    fn attributes(&self) -> Attributes {
        Attributes { member: self.member(), name: self.config.name.clone(), client_urls: self.config.client_urls.clone() }
    }

    fn is_published(&self, attributes: &Attributes) -> bool {
        self.machine.state.read().attributes.get(&self.member()) == Some(attributes)
    }

    /// [`Node::ready`](super::Node::ready).
    pub(super) async fn until_ready(&self) {
        if self.config.formed.is_none() {
            self.until_published().await;
        }
        let _ = self.leadership.subscribe().wait_for(|now| now.leader.is_some()).await;
    }

    async fn until_published(&self) {
        let attributes = self.attributes();
        let mut applied = self.machine.applied.subscribe();
        while !(self.is_published(&attributes) && self.votes_if_it_is_to()) && applied.changed().await.is_ok() {}
    }

    fn votes_if_it_is_to(&self) -> bool {
        let stored = self.effective_membership();
        let member = self.member();
        stored.get_node(&member).is_some_and(|peer| !peer.is_voter || stored.membership().voter_ids().any(|voter| voter == member))
    }

    /// The last configuration this member knows of, committed or not.
    pub(crate) fn effective_membership(&self) -> Arc<StoredMembership> {
        // Of raft's two accounts of itself the one that is written first: whoever waits for it to change has seen the change then.
        self.raft.server_metrics().borrow_watched().membership_config.clone()
    }

    /// Whether a member's log is nearly the leader's, by etcd's measure and by ours.
    pub(super) fn has_caught_up(&self, id: u64) -> bool {
        let metrics = self.metrics();
        let last = metrics.last_log_index.unwrap_or_default();
        let matched = metrics.replication.as_ref().and_then(|replication| replication.get(&id).copied().flatten());
        let Some(matched) = matched.map(|matched| matched.index) else { return false };
        matched >= last - last / 10 && last.saturating_sub(matched) <= PROMOTABLE_LAG_ENTRIES
    }

    /// Whether a member has answered the leader lately.
    pub(super) fn is_connected(&self, id: u64) -> bool {
        if id == self.member() {
            return true;
        }
        let heartbeats = self.metrics().heartbeat;
        let last = heartbeats.as_ref().and_then(|heartbeats| heartbeats.get(&id).copied().flatten());
        last.is_some_and(|last| last.elapsed() < 2 * self.config.election_timeout)
    }
}

/// Where a member of a configuration is: its addresses, or its key where it has none.
fn urls(peer: &Peer) -> Vec<String> {
    peer.key.map_or_else(|| peer.urls.clone(), |key| vec![key_url(key)])
}

/// Tells the cluster what this member calls itself and where clients reach it, once it belongs to it, and keeps the addresses of peers.
pub(super) async fn publish(inner: Arc<Inner>) {
    let attributes = inner.attributes();
    let mut applied = inner.machine.applied.subscribe();
    let mut server = inner.raft.server_metrics();
    loop {
        let stored = inner.effective_membership();
        if stored.membership().nodes().next().is_some() {
            inner.peers.set_members(stored.membership().nodes().map(|(&id, peer)| (id, urls(peer))).collect());
        }
        // Of a cluster that forms itself there is nothing to publish: nodes are known by their keys, and where they are is soft state.
        let belongs = inner.config.formed.is_none() && inner.machine.state.read().membership.get_node(&inner.member()).is_some();
        let published = inner.config.formed.is_some() || inner.is_published(&attributes);
        if belongs && !published {
            match inner.propose(Content::Publish(attributes.clone())).await {
                Ok(_) => continue,
                Err(ProposeError::Stopped) => return,
                Err(error) => {
                    tracing::info!(%error, "this member is not published yet");
                    tokio::time::sleep(PUBLISH_RETRY).await;
                    continue;
                }
            }
        }
        // From where it is published on, only the membership matters. Until then that matters, too: it says where the others are, whom a member that
        // has nothing applied yet may have to ask whether it still belongs to them.
        let changed = tokio::select! {
            biased;
            changed = server.changed() => changed.is_ok(),
            changed = applied.changed(), if !published => changed.is_ok(),
        };
        if !changed {
            return;
        }
    }
}
