//! openraft, and everything that knows its types: nothing outside of this module's crate does.

pub(crate) mod convert;
pub(crate) mod entry;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod network;
pub(crate) mod runtime;
#[cfg(test)]
mod suite;
pub(crate) mod wire;

use entry::Proposal;
use openraft::impls::leader_id_std;
use runtime::Runtime;

/// What a member's raft node knows of another. Names and client URLs are not in here but published by each member: they need no agreement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Where its peers reach it.
    pub(crate) urls: Vec<String>,
    /// Whether it is to vote: it does once it has caught up.
    pub(crate) is_voter: bool,
    /// What it is known by in a cluster that forms itself, where nobody has an address.
    pub(crate) key: Option<[u8; 32]>,
}

impl Peer {
    pub(crate) const fn voter(urls: Vec<String>) -> Self {
        Self { urls, is_voter: true, key: None }
    }

    /// A member of a cluster that forms itself. Who votes is not for raft's own housekeeping to decide there.
    pub(crate) const fn with_key(key: [u8; 32]) -> Self {
        Self { urls: Vec::new(), is_voter: false, key: Some(key) }
    }
}

openraft::declare_raft_types!(
    /// Standard raft: one leader for each term, so that an entry is identified by term and index.
    pub(crate) Types:
        D = Proposal,
        R = (),
        NodeId = u64,
        Node = Peer,
        Term = u64,
        LeaderId = leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = Runtime,
);

pub(crate) type LogId = openraft::type_config::alias::LogIdOf<Types>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<Types>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<Types>;
pub(crate) type Payload = openraft::type_config::alias::EntryPayloadOf<Types>;
pub(crate) type Membership = openraft::Membership<u64, Peer>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;

/// The id of the entry at `index`, proposed by the leader of `term`.
pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    use openraft::vote::RaftLeaderId;
    LogId::new(leader_id_std::LeaderId::new(term, 0).to_committed(), index)
}

/// The term of an entry.
pub(crate) fn term_of(id: &LogId) -> u64 {
    **id.committed_leader_id()
}
