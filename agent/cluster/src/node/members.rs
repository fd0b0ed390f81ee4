//! The membership: changed by the leader, one change at a time, with etcd's rules about what may be changed.
//!
//! A member that is added with a vote gets it once it has caught up: until then it counts for no majority, so that adding one that never starts
//! takes nothing from the cluster. It is shown as a voter from the beginning, as in etcd.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use openraft::{
    ChangeMembers, Instant as _,
    async_runtime::WatchReceiver,
    errors::{ChangeMembershipError, ClientWriteError, RaftError},
    raft::Precondition,
};
use tokio::time::Instant;

use super::{Begin, Inner};
use crate::{
    error::{MembershipError, MoveLeaderError, ProposeError, ReadError},
    membership::{Member, MemberChange},
    peer::{
        message::{AddMember, Change, ChangeRequest, Failure, Lane, Request, Response, UpdateMember},
        transport::parse_url,
    },
    proposals::Answer,
    raft::{
        Membership, Peer, StoredMembership,
        entry::{Attributes, Content},
    },
};

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
                peer_urls: peer.urls.clone(),
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
        let attributes = self.attributes();
        let mut applied = self.machine.applied.subscribe();
        while !(self.is_published(&attributes) && self.votes_if_it_is_to()) && applied.changed().await.is_ok() {}
        let _ = self.leadership.subscribe().wait_for(|now| now.leader.is_some()).await;
    }

    fn votes_if_it_is_to(&self) -> bool {
        let stored = self.effective_membership();
        let member = self.member();
        stored.get_node(&member).is_some_and(|peer| !peer.is_voter || stored.membership().voter_ids().any(|voter| voter == member))
    }

    /// Changes the membership, whoever leads.
    pub(super) async fn change_members(self: &Arc<Self>, change: Change) -> Result<MemberChange, MembershipError> {
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
            Ok(Response::Failed(failure)) => Err(Failure::try_from(failure).unwrap_or(Failure::Unknown).into()),
            Ok(_) | Err(_) => Err(MembershipError::Timeout),
        }
    }

    /// A change that another member's client wants, on the leader.
    pub(super) async fn answer_change(self: &Arc<Self>, request: ChangeRequest) -> Response {
        let Some(change) = request.change else { return Response::Failed(Failure::Unknown.into()) };
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

    async fn add(&self, urls: &[String], is_learner: bool) -> Result<u64, MembershipError> {
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
            Answer::Outcome(_) | Answer::Published => return Err(MembershipError::Stopped),
        };
        let peer = Peer { urls: urls.to_vec(), is_voter: !is_learner };
        self.change(&stored, ChangeMembers::AddNodes(BTreeMap::from([(id, peer)]))).await?;
        Ok(id)
    }

    async fn promote(&self, id: u64) -> Result<(), MembershipError> {
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
        let peer = Peer { urls: member.peer_urls.clone(), is_voter: true };
        let changes = vec![ChangeMembers::SetNodes(BTreeMap::from([(id, peer)])), ChangeMembers::AddVoterIds(BTreeSet::from([id]))];
        self.change(&stored, ChangeMembers::Batch(changes)).await
    }

    async fn update(&self, id: u64, urls: &[String]) -> Result<(), MembershipError> {
        let stored = self.effective_membership();
        let members = self.members_of(stored.membership());
        let peer = stored.membership().get_node(&id).ok_or(MembershipError::MemberNotFound)?;
        check_urls(urls, &members, Some(id))?;
        self.change(&stored, ChangeMembers::SetNodes(BTreeMap::from([(id, Peer { urls: urls.to_vec(), ..peer.clone() })]))).await
    }

    async fn remove(&self, id: u64) -> Result<(), MembershipError> {
        let stored = self.effective_membership();
        let members = self.members_of(stored.membership());
        let member = members.iter().find(|member| member.id == id).ok_or(MembershipError::MemberNotFound)?;
        let votes = stored.membership().voter_ids().any(|voter| voter == id);
        if !member.is_learner {
            may_remove_voter(id, &members)?;
            self.removing_keeps_a_majority(id, &stored)?;
        }
        let ids = BTreeSet::from([id]);
        self.change(&stored, if votes { ChangeMembers::RemoveVoters(ids) } else { ChangeMembers::RemoveNodes(ids) }).await
    }

    /// The last configuration this member knows of, committed or not.
    fn effective_membership(&self) -> Arc<StoredMembership> {
        self.metrics().membership_config
    }

    /// Changes the configuration, if it is still the one that the change was decided on.
    async fn change(&self, before: &StoredMembership, changes: ChangeMembers<u64, Peer>) -> Result<(), MembershipError> {
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

    /// Whether a member's log is nearly the leader's, by etcd's measure and by ours.
    fn has_caught_up(&self, id: u64) -> bool {
        let metrics = self.metrics();
        let last = metrics.last_log_index.unwrap_or_default();
        let matched = metrics.replication.as_ref().and_then(|replication| replication.get(&id).copied().flatten());
        let Some(matched) = matched.map(|matched| matched.index) else { return false };
        matched >= last - last / 10 && last.saturating_sub(matched) <= PROMOTABLE_LAG_ENTRIES
    }

    /// Whether a member has answered the leader lately.
    fn is_connected(&self, id: u64) -> bool {
        if id == self.member() {
            return true;
        }
        let heartbeats = self.metrics().heartbeat;
        let last = heartbeats.as_ref().and_then(|heartbeats| heartbeats.get(&id).copied().flatten());
        last.is_some_and(|last| last.elapsed() < 2 * self.config.election_timeout)
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

    /// Waits until a member is connected and has nearly everything, but for no longer than an election would take. The leadership is only
    /// handed to one that can take it at once: until it does, nobody is answered.
    async fn is_ready_to_lead(&self, id: u64) -> bool {
        let ready = async {
            while !(self.is_connected(id) && self.has_caught_up(id)) {
                tokio::time::sleep(self.config.heartbeat_interval / 4).await;
            }
        };
        tokio::time::timeout(self.config.election_timeout, ready).await.is_ok()
    }

    /// [`Replica::move_leader`](crate::Replica::move_leader).
    pub(super) async fn move_leader(&self, to: u64) -> Result<(), MoveLeaderError> {
        let mut leadership = self.leadership.subscribe();
        if !leadership.borrow().is_self {
            return Err(MoveLeaderError::NotLeader);
        }
        if to == self.member() {
            return Ok(());
        }
        let votes = self.effective_membership().membership().voter_ids().any(|voter| voter == to);
        if !votes || !self.is_ready_to_lead(to).await {
            return Err(MoveLeaderError::BadTransferee);
        }
        let moving = async {
            self.raft.trigger().transfer_leader(to).await.map_err(|_| MoveLeaderError::Stopped)?;
            leadership.wait_for(|now| now.leader == Some(to)).await.map(|_| ()).map_err(|_| MoveLeaderError::Stopped)
        };
        tokio::select! {
            biased;
            () = self.until_ended() => Err(MoveLeaderError::Stopped),
            moved = tokio::time::timeout(self.request_timeout(), moving) => moved.unwrap_or(Err(MoveLeaderError::Timeout)),
        }
    }
}

fn propose_error(error: ProposeError) -> MembershipError {
    match error {
        ProposeError::NoLeader => MembershipError::NoLeader,
        ProposeError::LeaderChanged => MembershipError::LeaderChanged,
        ProposeError::TooManyRequests => MembershipError::TooManyRequests,
        ProposeError::Stopped => MembershipError::Stopped,
        ProposeError::Corrupt => MembershipError::Unhealthy,
        ProposeError::Timeout | ProposeError::TimeoutDueToLeaderFail | ProposeError::TimeoutDueToConnectionLost => MembershipError::Timeout,
    }
}

fn check_urls(urls: &[String], members: &[Member], but: Option<u64>) -> Result<(), MembershipError> {
    if urls.is_empty() || urls.iter().any(|url| parse_url(url).is_err()) {
        return Err(MembershipError::BadUrls);
    }
    let taken = |url| members.iter().any(|member| Some(member.id) != but && member.peer_urls.contains(url));
    if urls.iter().any(taken) { Err(MembershipError::PeerUrlExists) } else { Ok(()) }
}

fn voters(members: &[Member]) -> impl Iterator<Item = &Member> {
    members.iter().filter(|member| !member.is_learner)
}

/// etcd's `IsReadyToAddVotingMember`: after the change, those that have started must still be a majority. A member alone may be joined by one
/// that has not started.
fn may_add_voter(members: &[Member]) -> Result<(), MembershipError> {
    let started = voters(members).filter(|member| !member.name.is_empty()).count();
    let all = voters(members).count() + 1;
    let is_first = started == 1 && all == 2;
    if is_first || started > all / 2 { Ok(()) } else { Err(MembershipError::NotEnoughStarted) }
}

/// etcd's `IsReadyToRemoveVotingMember`.
fn may_remove_voter(id: u64, members: &[Member]) -> Result<(), MembershipError> {
    let others = || voters(members).filter(|member| member.id != id);
    let started = others().filter(|member| !member.name.is_empty()).count();
    if started > others().count() / 2 { Ok(()) } else { Err(MembershipError::NotEnoughStarted) }
}

/// Gives those who are to vote a vote once they have caught up, while this member leads.
pub(super) async fn promotion(inner: Arc<Inner>) {
    let mut leadership = inner.leadership.subscribe();
    let mut server = inner.raft.server_metrics();
    loop {
        if leadership.wait_for(|now| now.is_self).await.is_err() {
            return;
        }
        let stored = inner.effective_membership();
        let voters: BTreeSet<u64> = stored.membership().voter_ids().collect();
        let waits = |(id, peer): &(&u64, &Peer)| peer.is_voter && !voters.contains(id);
        let waiting: Vec<u64> = stored.membership().nodes().filter(waits).map(|(&id, _)| id).collect();
        if waiting.is_empty() {
            if server.changed().await.is_err() {
                return;
            }
            continue;
        }
        if let Some(id) = waiting.into_iter().find(|&id| inner.has_caught_up(id)) {
            let _changing = inner.changing_members.lock().await;
            match inner.change(&stored, ChangeMembers::AddVoterIds(BTreeSet::from([id]))).await {
                Ok(()) => tracing::info!(member = format!("{id:x}"), "a member has caught up and votes"),
                Err(error) => tracing::info!(member = format!("{id:x}"), %error, "a member that has caught up has no vote yet"),
            }
        }
        tokio::time::sleep(inner.config.heartbeat_interval).await;
    }
}

/// Tells the cluster what this member calls itself and where clients reach it, once it belongs to it, and keeps the addresses of peers.
pub(super) async fn publish(inner: Arc<Inner>) {
    let attributes = inner.attributes();
    let mut applied = inner.machine.applied.subscribe();
    let mut server = inner.raft.server_metrics();
    loop {
        let stored = inner.effective_membership();
        if stored.membership().nodes().next().is_some() {
            inner.peers.set_members(stored.membership().nodes().map(|(&id, peer)| (id, peer.urls.clone())).collect());
        }
        let belongs = inner.machine.state.read().membership.get_node(&inner.member()).is_some();
        let published = inner.is_published(&attributes);
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
        if published {
            // From here on only the membership matters.
            if server.changed().await.is_err() {
                return;
            }
        } else if applied.changed().await.is_err() {
            return;
        }
    }
}
