//! What peers ask of a node.

use std::sync::Arc;

use openraft::{
    raft::{AppendEntriesRequest, AppendEntriesResponse},
    type_config::alias::SnapshotOf,
};

use super::Inner;
use crate::{
    peer::{
        Traffic,
        frame::Guard,
        message::{Call, Failure, Hello, IntroducedMember, Introduction, Lane, Refusal, Request, Response, VERSION},
        transfer::Received,
        transport::Accepted,
    },
    raft::{StoredMembership, Types, Vote, machine::SnapshotData},
};

/// Ids below this are indices of log entries; those of founders are chosen at random above it. See [`crate::bootstrap`].
pub(crate) const FOUNDER_BIT: u64 = 1 << 63;

/// Whether a member does not belong to the cluster any more, going by a configuration that is committed.
///
/// A founder is in the first one. The id of any other is the index of an entry, and no configuration comes between that and the one it is
/// added by, so that one without it that comes later is one that it was removed by.
pub(super) fn is_removed(committed: &StoredMembership, member: u64) -> bool {
    let comes_later = member & FOUNDER_BIT != 0 || committed.log_id().is_some_and(|last| last.index > member);
    comes_later && committed.nodes().next().is_some() && committed.get_node(&member).is_none()
}

impl Inner {
    /// Whether to talk to whoever says hello.
    pub(crate) fn welcome(&self, hello: &Hello, accepted: &Accepted) -> Result<Lane, Refusal> {
        if hello.version != VERSION {
            return Err(Refusal::Version);
        }
        let lane = match Lane::try_from(hello.lane) {
            Ok(Lane::Unknown) | Err(_) => return Err(Refusal::Version),
            // Who wants to know who belongs to a cluster that forms itself asks its core.
            Ok(Lane::Introduction) if self.config.formed.is_some() => return Err(Refusal::Identity),
            Ok(Lane::Introduction) => return Ok(Lane::Introduction),
            Ok(lane) => lane,
        };
        let identity = self.config.identity;
        if hello.cluster != identity.cluster || hello.formed() != self.config.formed.as_ref().map(|formed| formed.cluster) {
            return Err(Refusal::Cluster);
        }
        if hello.to != identity.member || hello.from == identity.member {
            return Err(Refusal::Member);
        }
        if self.config.verify_peer.as_ref().is_some_and(|verify| !verify(hello.from, &accepted.certificates)) {
            return Err(Refusal::Identity);
        }
        if !self.peers.hears(hello.from, accepted.peer) {
            return Err(Refusal::Identity);
        }
        if self.was_removed(hello.from) { Err(Refusal::Removed) } else { Ok(lane) }
    }

    /// Whether a member that this one does not know was removed, or is so new that this one has not heard of it yet.
    fn was_removed(&self, member: u64) -> bool {
        // In a cluster that forms itself, its core says whom raft hears.
        let is_removed = self.config.formed.is_none() && is_removed(&self.machine.state.read().membership, member);
        is_removed && self.effective_membership().get_node(&member).is_none()
    }

    /// Answers one request.
    pub(crate) async fn answer(self: &Arc<Self>, from: u64, call: Call) -> Response {
        let failed = |failure: Failure| Response::Failed(failure.into());
        let Some(request) = call.request else { return failed(Failure::Unknown) };
        match request {
            // A member that is removed is sent nothing any more, not even that. It finds out here, or when it greets anew; what its clients want
            // counts no more from that moment on, however long its connections last. Only what a leader sends is always taken: one that is removed
            // leads until others know of it, and raft's terms say whether it still does.
            Request::Vote(_)
            | Request::PreVote(_)
            | Request::ReadIndex(_)
            | Request::Propose(_)
            | Request::RenewLease(_)
            | Request::RemainingLease(_)
            | Request::ChangeMembers(_)
                if self.was_removed(from) =>
            {
                failed(Failure::Removed)
            }
            Request::Vote(request) => match self.raft.vote(request.into()).await {
                Ok(response) => Response::Vote((&response).into()),
                Err(_) => failed(Failure::Stopped),
            },
            Request::PreVote(request) => match self.raft.pre_vote(request.into()).await {
                Ok(response) => Response::Vote((&response).into()),
                Err(_) => failed(Failure::Stopped),
            },
            Request::Heartbeat(request) => {
                let Ok(request) = AppendEntriesRequest::<Types>::try_from(request) else { return failed(Failure::Unknown) };
                let previous = request.prev_log_id;
                let last = request.entries.last().map(|entry| entry.log_id).or(previous);
                match self.raft.append_entries(request).await {
                    Ok(response) => {
                        // Whoever sends heartbeats that are not turned down leads.
                        if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
                            self.heard.note(from);
                        }
                        Response::Append(response.into_stream_result(previous, last).into())
                    }
                    Err(_) => failed(Failure::Stopped),
                }
            }
            Request::TransferLeader(request) => match self.raft.handle_transfer_leader(request.into()).await {
                Ok(taken) => Response::TransferLeader(taken.is_ok()),
                Err(_) => failed(Failure::Stopped),
            },
            Request::ReadIndex(_) => self.answer_read_index().await,
            Request::Propose(request) => self.append_forwarded(request).await,
            Request::RenewLease(id) => self.answer_renewal(id).await,
            Request::RemainingLease(id) => self.answer_remaining(id).await,
            Request::ChangeMembers(request) => self.answer_change(request).await,
        }
    }

    /// Hands a snapshot to raft, and returns raft's vote.
    pub(crate) async fn install(&self, received: Received) -> Result<Vote, ()> {
        let Received { vote, meta, replacement } = received;
        let snapshot = SnapshotOf::<Types, SnapshotData> { meta, snapshot: SnapshotData::Received(replacement) };
        self.raft.install_full_snapshot(vote, snapshot).await.map(|response| response.vote).map_err(|_| ())
    }

    /// Who belongs to the cluster.
    pub(crate) fn introduction(&self) -> Introduction {
        let members = self.members().into_iter().map(|member| IntroducedMember {
            id: member.id,
            name: member.name,
            peer_urls: member.peer_urls,
            client_urls: member.client_urls,
            is_learner: member.is_learner,
        });
        Introduction { cluster: self.config.identity.cluster, members: members.collect() }
    }

    /// What is asked before each message of a peer.
    pub(crate) fn guard(&self, member: u64, peer: Option<shoal_formation::Peer>) -> Option<Guard> {
        self.peers.guard(member, peer)
    }

    /// Bytes exchanged with a peer.
    pub(crate) fn traffic_with(&self, member: u64) -> Arc<Traffic> {
        self.peers.traffic(member)
    }
}
