//! raft's own data as protocol buffers: for the log, the checkpoint and peers.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::{impls::leader_id_std, vote::RaftVote};
use prost::Message;

use super::{LogId, Membership, Peer, StoredMembership, Vote, log_id, term_of};
use crate::codec::DecodeError;

/// A term and an index. Index 0 exists: it is the first entry of a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct LogIdMessage {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) index: u64,
}

impl From<&LogId> for LogIdMessage {
    fn from(id: &LogId) -> Self {
        Self { term: term_of(id), index: id.index }
    }
}

impl From<LogIdMessage> for LogId {
    fn from(message: LogIdMessage) -> Self {
        log_id(message.term, message.index)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct VoteMessage {
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) voted_for: u64,
    #[prost(bool, tag = "3")]
    pub(crate) committed: bool,
}

impl From<&Vote> for VoteMessage {
    fn from(vote: &Vote) -> Self {
        Self { term: vote.leader_id.term, voted_for: vote.leader_id.voted_for, committed: vote.committed }
    }
}

impl From<VoteMessage> for Vote {
    fn from(message: VoteMessage) -> Self {
        Self::from_leader_id(leader_id_std::LeaderId { term: message.term, voted_for: message.voted_for }, message.committed)
    }
}

/// A configuration of the cluster; several sets of voters while it is changing (joint consensus).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MembershipMessage {
    #[prost(message, repeated, tag = "1")]
    voters: Vec<VotersMessage>,
    /// Everybody, learners too.
    #[prost(btree_map = "uint64, message", tag = "2")]
    nodes: BTreeMap<u64, PeerMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct VotersMessage {
    #[prost(uint64, repeated, tag = "1")]
    ids: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct PeerMessage {
    #[prost(string, repeated, tag = "1")]
    urls: Vec<String>,
    #[prost(bool, tag = "2")]
    is_voter: bool,
    /// 32 bytes.
    #[prost(bytes = "bytes", optional, tag = "3")]
    key: Option<Bytes>,
}

impl From<&Peer> for PeerMessage {
    fn from(peer: &Peer) -> Self {
        let key = peer.key.as_ref().map(|key| Bytes::copy_from_slice(key));
        Self { urls: peer.urls.clone(), is_voter: peer.is_voter, key }
    }
}

impl From<&Membership> for MembershipMessage {
    fn from(membership: &Membership) -> Self {
        let voters = membership.get_joint_config().iter().map(|ids| VotersMessage { ids: ids.iter().copied().collect() }).collect();
        let nodes = membership.nodes().map(|(&id, peer)| (id, PeerMessage::from(peer))).collect();
        Self { voters, nodes }
    }
}

impl TryFrom<MembershipMessage> for Membership {
    type Error = DecodeError;

    fn try_from(message: MembershipMessage) -> Result<Self, DecodeError> {
        let voters: Vec<BTreeSet<u64>> = message.voters.into_iter().map(|voters| voters.ids.into_iter().collect()).collect();
        let peer = |(id, PeerMessage { urls, is_voter, key }): (u64, PeerMessage)| {
            let key = key.map(|key| key[..].try_into().map_err(|_| DecodeError::Unknown("key of a node"))).transpose()?;
            Ok((id, Peer { urls, is_voter, key }))
        };
        let nodes: BTreeMap<u64, Peer> = message.nodes.into_iter().map(peer).collect::<Result<_, DecodeError>>()?;
        if voters.is_empty() && nodes.is_empty() {
            // The state before the first configuration, which `new` takes for a mistake.
            return Ok(Self::default());
        }
        Self::new(voters, nodes).map_err(|_| DecodeError::Unknown("membership"))
    }
}

/// A configuration with the entry it was in.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StoredMembershipMessage {
    #[prost(message, optional, tag = "1")]
    log_id: Option<LogIdMessage>,
    #[prost(message, optional, tag = "2")]
    membership: Option<MembershipMessage>,
}

impl From<&StoredMembership> for StoredMembershipMessage {
    fn from(stored: &StoredMembership) -> Self {
        Self { log_id: stored.log_id().as_ref().map(Into::into), membership: Some(stored.membership().into()) }
    }
}

impl TryFrom<StoredMembershipMessage> for StoredMembership {
    type Error = DecodeError;

    fn try_from(message: StoredMembershipMessage) -> Result<Self, DecodeError> {
        let membership = message.membership.unwrap_or_default().try_into()?;
        Ok(Self::new(message.log_id.map(Into::into), membership))
    }
}
