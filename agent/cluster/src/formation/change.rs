//! Changes of the configuration: those that formation asks for, and no others.

use std::collections::{BTreeMap, BTreeSet};

use openraft::ChangeMembers;
use shoal_formation::{NodeId, effect::Change};
use tokio::time::Instant;

use super::{Handle, facts};
use crate::{
    error::MembershipError,
    raft::{Peer, StoredMembership},
};

/// Why a configuration was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// This member does not lead.
    #[error("this member does not lead")]
    NotLeader,
    /// The newest configuration is not the one that the change was decided on, or is not committed yet, or in the middle of a change. Nothing was done.
    #[error("the configuration has changed meanwhile, or is being changed")]
    Superseded,
    /// No key of this node is known: it was not admitted, or is removed. Nothing was done.
    #[error("{0} is no member")]
    NoMember(NodeId),
    /// Nobody would vote. Nothing was done.
    #[error("there would be no voters")]
    NoVoters,
    /// It was not decided in time. It may still happen, in whole or up to its middle.
    #[error("it is not known yet whether the configuration has changed")]
    Unknown,
    /// This member has stopped.
    #[error("this member has stopped")]
    Stopped,
}

impl Handle {
    /// Changes the configuration, if this member leads and the newest configuration is the one that the change was decided on. Returns when the new one is
    /// committed. If the voters change, that takes two entries with a joint configuration between them; whoever votes no more is then in no list, and listens
    /// again only after another change.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn change(&self, change: Change) -> Result<(), ChangeError> {
        let inner = &self.0;
        if !inner.leadership.borrow().is_self {
            return Err(ChangeError::NotLeader);
        }
        let changing = async {
            // Whoever is at work brings it to its end first; what is found then decides.
            let _changing = inner.changing_members.lock().await;
            let stored = inner.effective_membership();
            if stored.log_id().as_ref().map(facts::log_id) != Some(change.instead_of) || stored.membership().get_joint_config().len() != 1 {
                return Err(ChangeError::Superseded);
            }
            let changes = self.plan(&stored, &change)?;
            inner.change(&stored, changes).await.map_err(|error| match error {
                MembershipError::NoLeader | MembershipError::LeaderChanged => ChangeError::NotLeader,
                MembershipError::TooManyRequests => ChangeError::Superseded,
                MembershipError::Stopped => ChangeError::Stopped,
                MembershipError::NotEnoughStarted => ChangeError::NoVoters,
                _ => ChangeError::Unknown,
            })
        };
        tokio::select! {
            biased;
            () = inner.until_ended() => Err(ChangeError::Stopped),
            changed = tokio::time::timeout_at(Instant::now() + inner.request_timeout(), changing) => changed.map_err(|_| ChangeError::Unknown)?,
        }
    }

    /// The change in raft's terms: who comes, who goes, who votes.
    fn plan(&self, stored: &StoredMembership, change: &Change) -> Result<ChangeMembers<u64, Peer>, ChangeError> {
        let Change { voters, learners, .. } = change;
        if voters.is_empty() {
            return Err(ChangeError::NoVoters);
        }
        let voting: BTreeSet<u64> = stored.membership().voter_ids().collect();
        let mut new = BTreeMap::new();
        for node in voters.union(learners).filter(|node| stored.get_node(&node.0).is_none()) {
            let control = &self.0.machine.state.read().control;
            let record = control.member(*node).ok_or(ChangeError::NoMember(*node))?;
            new.insert(node.0, Peer::with_key(record.admission.key.0));
        }
        // Voters that vote no more go by themselves, once the change is through.
        let is_wanted = |id: &u64| voting.contains(id) || voters.contains(&NodeId(*id)) || learners.contains(&NodeId(*id));
        let surplus = stored.nodes().map(|(id, _)| *id).filter(|id| !is_wanted(id)).collect();
        let voters = voters.iter().map(|node| node.0).collect();
        Ok(ChangeMembers::Batch(vec![
            ChangeMembers::AddNodes(new),
            ChangeMembers::RemoveNodes(surplus),
            ChangeMembers::ReplaceAllVoters(voters),
        ]))
    }
}
