//! Changes: decided by the leader, one at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use openraft::{
    ChangeMembers,
    errors::{ChangeMembershipError, ClientWriteError, RaftError},
    raft::Precondition,
};
use tokio::time::Instant;

use super::rules::{check_urls, may_add_voter, may_remove_voter};
use crate::{
    error::{MembershipError, ProposeError, ReadError},
    membership::MemberChange,
    node::Inner,
    peer::{
        PeerError,
        message::{AddMember, Change, ChangeRequest, Failure, Lane, Request, Response, UpdateMember},
    },
    proposals::Answer,
    raft::{Membership, Peer, StoredMembership, entry::Content},
};

impl Inner {
    /// Whether members are added and removed by whoever asks for it.
    pub(in crate::node) fn may_be_changed(&self) -> Result<(), MembershipError> {
        if self.config.formed.is_some() { Err(MembershipError::FormsItself) } else { Ok(()) }
    }

    /// Changes the membership, whoever leads.
    pub(in crate::node) async fn change_members(self: &Arc<Self>, change: Change) -> Result<MemberChange, MembershipError> {
        let deadline = Instant::now() + self.request_timeout();
        let changing = async {
            loop {
                let leadership = self.leader(deadline).await.ok_or(MembershipError::NoLeader)?;
                let changed = match leadership.leader {
                    Some(leader) if leader != self.member() => self.ask_to_change(leader, change.clone(), deadline).await,
                    _ => self.change_as_leader(change.clone(), deadline).await,
                };
                match changed {
                    // Nothing was done.
                    Err(MembershipError::NoLeader) if Instant::now() < deadline => self.leadership_settles(leadership).await,
                    changed => return changed,
                }
            }
        };
        let id = tokio::select! {
            biased;
            () = self.until_ended() => Err(MembershipError::Stopped),
            changed = changing => changed,
        }?;
        // So that the answer, and whoever asks this member next, sees the change.
        self.read_barrier().await.map_err(|error| match error {
            ReadError::Stopped => MembershipError::Stopped,
            _ => MembershipError::Timeout,
        })?;
        Ok(MemberChange { id, members: self.members() })
    }

    async fn ask_to_change(&self, leader: u64, change: Change, deadline: Instant) -> Result<u64, MembershipError> {
        let request = Request::ChangeMembers(ChangeRequest { change: Some(change) });
        let left = deadline.saturating_duration_since(Instant::now());
        match self.peers.link(leader, Lane::Control).call(request, left).await {
            Ok(Response::Changed(id)) => Ok(id),
            // It is the leader that stops, in the middle of the change perhaps; not this member.
            Ok(Response::Failed(failure)) if failure == i32::from(Failure::Stopped) => Err(MembershipError::LeaderChanged),
            Ok(Response::Failed(failure)) => Err(Failure::try_from(failure).unwrap_or(Failure::Unknown).into()),
            // Nobody has read the request.
            Err(PeerError::NoAddress(_) | PeerError::Unreachable { .. } | PeerError::Refused { .. }) => Err(MembershipError::NoLeader),
            Ok(_) | Err(PeerError::Broken { .. } | PeerError::Timeout(_)) => Err(MembershipError::Timeout),
        }
    }

    /// A change that another member's client wants, on the leader.
    pub(in crate::node) async fn answer_change(self: &Arc<Self>, request: ChangeRequest) -> Response {
        let Some(change) = request.change else { return Response::Failed(Failure::Unknown.into()) };
        if let Err(error) = self.may_be_changed() {
            return Response::Failed(Failure::from(error).into());
        }
        match self.change_as_leader(change, Instant::now() + self.request_timeout()).await {
            Ok(id) => Response::Changed(id),
            Err(error) => Response::Failed(Failure::from(error).into()),
        }
    }

    /// Changes the membership on the leader, and returns the member it was about.
    async fn change_as_leader(self: &Arc<Self>, change: Change, deadline: Instant) -> Result<u64, MembershipError> {
        let changing = async {
            let _changing = self.changing_members.lock().await;
            loop {
                // A leader that has just begun may not have applied yet what it is to decide on: who has started, for one.
                self.read_barrier().await.map_err(read_error)?;
                let changed = match &change {
                    Change::Add(AddMember { urls, is_learner }) => self.add(urls, *is_learner).await,
                    Change::Promote(id) => self.promote(*id).await.map(|()| *id),
                    Change::Update(UpdateMember { id, urls }) => self.update(*id, urls).await.map(|()| *id),
                    Change::Remove(id) => self.remove(*id).await.map(|()| *id),
                };
                match changed {
                    // The change before this one is not through yet, or this member has only begun to lead.
                    Err(MembershipError::TooManyRequests) => tokio::time::sleep(self.config.heartbeat_interval / 4).await,
                    changed => return changed,
                }
            }
        };
        tokio::time::timeout_at(deadline, changing).await.map_err(|_| MembershipError::Timeout)?
    }

    async fn add(self: &Arc<Self>, urls: &[String], is_learner: bool) -> Result<u64, MembershipError> {
        let stored = self.effective_membership();
        let members = self.members_of(stored.membership());
        check_urls(urls, &members, None)?;
        if is_learner {
            if members.iter().filter(|member| member.is_learner).count() >= self.config.max_learners {
                return Err(MembershipError::TooManyLearners);
            }
        } else {
            may_add_voter(&members)?;
            self.all_voters_are_connected()?;
        }
        let id = match self.propose(Content::Admit).await.map_err(propose_error)? {
            Answer::Admitted(id) => id,
            Answer::Outcome(_) | Answer::Published | Answer::Control(_) | Answer::Dissolved => return Err(MembershipError::Stopped),
        };
        let peer = Peer { urls: urls.to_vec(), is_voter: !is_learner, key: None };
        self.change_to(&stored, ChangeMembers::AddNodes(BTreeMap::from([(id, peer)])), |now| now.get_node(&id).is_some()).await?;
        Ok(id)
    }

    async fn promote(self: &Arc<Self>, id: u64) -> Result<(), MembershipError> {
        let stored = self.effective_membership();
        let members = self.members_of(stored.membership());
        let member = members.iter().find(|member| member.id == id).ok_or(MembershipError::MemberNotFound)?;
        if !member.is_learner {
            return Err(MembershipError::MemberNotLearner);
        }
        may_add_voter(&members)?;
        if !self.has_caught_up(id) {
            return Err(MembershipError::LearnerNotReady);
        }
        let peer = Peer::voter(member.peer_urls.clone());
        let changes = vec![ChangeMembers::SetNodes(BTreeMap::from([(id, peer)])), ChangeMembers::AddVoterIds(BTreeSet::from([id]))];
        self.change_to(&stored, ChangeMembers::Batch(changes), |now| now.voter_ids().any(|voter| voter == id)).await
    }

    async fn update(self: &Arc<Self>, id: u64, urls: &[String]) -> Result<(), MembershipError> {
        let stored = self.effective_membership();
        let members = self.members_of(stored.membership());
        let peer = stored.membership().get_node(&id).ok_or(MembershipError::MemberNotFound)?;
        check_urls(urls, &members, Some(id))?;
        let changes = ChangeMembers::SetNodes(BTreeMap::from([(id, Peer { urls: urls.to_vec(), ..peer.clone() })]));
        self.change_to(&stored, changes, |now| now.get_node(&id).is_some_and(|peer| peer.urls == urls)).await
    }

    async fn remove(self: &Arc<Self>, id: u64) -> Result<(), MembershipError> {
        let stored = self.effective_membership();
        let members = self.members_of(stored.membership());
        let member = members.iter().find(|member| member.id == id).ok_or(MembershipError::MemberNotFound)?;
        let votes = stored.membership().voter_ids().any(|voter| voter == id);
        if !member.is_learner {
            may_remove_voter(id, &members)?;
            self.removing_keeps_a_majority(id, &stored)?;
        }
        let ids = BTreeSet::from([id]);
        let changes = if votes { ChangeMembers::RemoveVoters(ids) } else { ChangeMembers::RemoveNodes(ids) };
        self.change_to(&stored, changes, |now| now.get_node(&id).is_none()).await
    }

    /// Changes the configuration. If another member begins to lead meanwhile, which may or may not have the change in its log, waits until it is
    /// known: what that leader has committed holds, and what is not in there never will.
    async fn change_to(
        self: &Arc<Self>,
        before: &StoredMembership,
        changes: ChangeMembers<u64, Peer>,
        is_done: impl Fn(&Membership) -> bool,
    ) -> Result<(), MembershipError> {
        match self.change(before, changes).await {
            Err(MembershipError::LeaderChanged) => {
                self.read_barrier().await.map_err(|_| MembershipError::LeaderChanged)?;
                // Nothing was done: whoever leads now may be asked.
                if is_done(self.machine.state.read().membership.membership()) { Ok(()) } else { Err(MembershipError::NoLeader) }
            }
            changed => changed,
        }
    }

    /// Changes the configuration, if it is still the one that the change was decided on.
    pub(crate) async fn change(&self, before: &StoredMembership, changes: ChangeMembers<u64, Peer>) -> Result<(), MembershipError> {
        let unchanged = Precondition::LastMembershipLogId { last_membership_log_id: *before.log_id() };
        match self.raft.change_membership_if(changes, false, [unchanged]).await {
            Ok(_) => Ok(()),
            Err(RaftError::Fatal(_)) => Err(MembershipError::Stopped),
            Err(RaftError::APIError(error)) => Err(match error {
                ClientWriteError::ForwardToLeader(_) => MembershipError::NoLeader,
                ClientWriteError::LogEntryDiscarded(_) => MembershipError::LeaderChanged,
                ClientWriteError::PreconditionFailed(_) | ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_)) => {
                    MembershipError::TooManyRequests
                }
                ClientWriteError::ChangeMembershipError(ChangeMembershipError::EmptyMembership(_)) => MembershipError::NotEnoughStarted,
                ClientWriteError::ChangeMembershipError(ChangeMembershipError::LearnerNotFound(_)) => MembershipError::MemberNotFound,
                ClientWriteError::ChangeMembershipError(_) => MembershipError::Unhealthy,
            }),
        }
    }

    fn all_voters_are_connected(&self) -> Result<(), MembershipError> {
        let stored = self.effective_membership();
        let connected = stored.membership().voter_ids().all(|id| self.is_connected(id));
        if connected { Ok(()) } else { Err(MembershipError::Unhealthy) }
    }

    /// A voter that is not connected may go in any case: it is no part of the majority that is at work.
    fn removing_keeps_a_majority(&self, id: u64, stored: &StoredMembership) -> Result<(), MembershipError> {
        let voters: Vec<u64> = stored.membership().voter_ids().collect();
        if !voters.contains(&id) || !self.is_connected(id) {
            return Ok(());
        }
        let left = voters.len() - 1;
        let connected = voters.iter().filter(|&&voter| voter != id && self.is_connected(voter)).count();
        if connected > left / 2 { Ok(()) } else { Err(MembershipError::Unhealthy) }
    }
}

fn read_error(error: ReadError) -> MembershipError {
    match error {
        ReadError::NoLeader => MembershipError::NoLeader,
        ReadError::TooManyRequests => MembershipError::TooManyRequests,
        ReadError::Stopped => MembershipError::Stopped,
        ReadError::LeaderChanged => MembershipError::NoLeader,
        ReadError::Timeout | ReadError::TimeoutWaitAppliedIndex => MembershipError::Timeout,
    }
}

fn propose_error(error: ProposeError) -> MembershipError {
    match error {
        ProposeError::NoLeader => MembershipError::NoLeader,
        ProposeError::LeaderChanged => MembershipError::LeaderChanged,
        ProposeError::TooManyRequests => MembershipError::TooManyRequests,
        ProposeError::Stopped => MembershipError::Stopped,
        ProposeError::Corrupt | ProposeError::Dissolved => MembershipError::Unhealthy,
        ProposeError::Timeout | ProposeError::TimeoutDueToLeaderFail | ProposeError::TimeoutDueToConnectionLost => MembershipError::Timeout,
    }
}
