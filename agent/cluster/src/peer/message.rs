//! What members say to each other.

mod failure;
mod introduction;
mod snapshot;

use bytes::Bytes;
use prost::Message;
use shoal_formation::ClusterId;

use crate::raft::wire::{LogIdMessage, VoteMessage};
pub(crate) use failure::Failure;
pub(crate) use introduction::{IntroducedMember, Introduction};
pub(crate) use snapshot::{RevisionMessage, SnapshotAnswer, SnapshotInstalled, SnapshotKey, SnapshotOffer, SnapshotPiece, Wanted};

/// The version of the protocol. A member answers only to its own; fields may be added without a new one.
pub(crate) const VERSION: u32 = 1;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
pub(crate) enum Lane {
    /// Whoever says this wants something that this version does not know.
    Unknown = 0,
    Control = 1,
    Proposals = 2,
    Append = 3,
    Snapshot = 4,
    Introduction = 5,
}

/// The first message of whoever connects.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Hello {
    #[prost(uint32, tag = "1")]
    pub(crate) version: u32,
    /// 0 only for an introduction.
    #[prost(fixed64, tag = "2")]
    pub(crate) cluster: u64,
    /// 0 only for an introduction.
    #[prost(fixed64, tag = "3")]
    pub(crate) from: u64,
    /// 0 only for an introduction.
    #[prost(fixed64, tag = "4")]
    pub(crate) to: u64,
    #[prost(enumeration = "Lane", tag = "5")]
    pub(crate) lane: i32,
    /// The other half of the name of a cluster that forms itself.
    #[prost(fixed64, optional, tag = "6")]
    pub(crate) second_half: Option<u64>,
}

impl Hello {
    pub(crate) fn new(cluster: u64, from: u64, to: u64, lane: Lane) -> Self {
        Self { version: VERSION, cluster, from, to, lane: lane.into(), second_half: None }
    }

    /// The name of the cluster, if it is one that forms itself.
    pub(crate) fn formed(&self) -> Option<ClusterId> {
        self.second_half.map(|half| ClusterId(u128::from(self.cluster) << 64 | u128::from(half)))
    }
}

/// Why a connection is not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("for a reason this version does not know")]
    Unknown = 0,
    #[error("it speaks another version of the protocol")]
    Version = 1,
    #[error("it belongs to another cluster")]
    Cluster = 2,
    #[error("it is another member")]
    Member = 3,
    #[error("this member was removed from the cluster")]
    Removed = 4,
    #[error("it has too many connections")]
    Busy = 5,
    #[error("it does not take this member for the one it says it is")]
    Identity = 6,
}

/// The answer to [`Hello`].
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Welcome {
    #[prost(enumeration = "Refusal", optional, tag = "1")]
    pub(crate) refused: Option<i32>,
}

impl Welcome {
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refused.map(|number| Refusal::try_from(number).unwrap_or(Refusal::Unknown))
    }
}

/// A request on the control or the proposals lane.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Call {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(oneof = "Request", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10")]
    pub(crate) request: Option<Request>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Request {
    #[prost(message, tag = "2")]
    Vote(VoteRequest),
    #[prost(message, tag = "3")]
    PreVote(VoteRequest),
    #[prost(message, tag = "4")]
    Heartbeat(AppendRequest),
    #[prost(message, tag = "5")]
    TransferLeader(TransferLeaderRequest),
    #[prost(message, tag = "6")]
    ReadIndex(Empty),
    #[prost(message, tag = "7")]
    Propose(ProposeRequest),
    #[prost(sfixed64, tag = "8")]
    RenewLease(i64),
    #[prost(sfixed64, tag = "9")]
    RemainingLease(i64),
    #[prost(message, tag = "10")]
    ChangeMembers(ChangeRequest),
}

/// The answer to a [`Call`].
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Reply {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(oneof = "Response", tags = "2, 4, 5, 6, 7, 8, 9, 10, 15")]
    pub(crate) response: Option<Response>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Response {
    #[prost(message, tag = "2")]
    Vote(VoteResponse),
    #[prost(message, tag = "4")]
    Append(AppendResponse),
    /// Whether the target takes over.
    #[prost(bool, tag = "5")]
    TransferLeader(bool),
    /// The index up to which to apply.
    #[prost(uint64, tag = "6")]
    ReadIndex(u64),
    /// The proposal was applied, or will be if it is in the log that wins.
    #[prost(message, tag = "7")]
    Proposed(Empty),
    /// The time to live, in seconds.
    #[prost(int64, tag = "8")]
    Renewed(i64),
    /// What is left, in milliseconds.
    #[prost(uint64, tag = "9")]
    Remaining(u64),
    /// The id of the member that the change was about.
    #[prost(fixed64, tag = "10")]
    Changed(u64),
    #[prost(enumeration = "Failure", tag = "15")]
    Failed(i32),
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Empty {}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct VoteRequest {
    #[prost(message, required, tag = "1")]
    pub(crate) vote: VoteMessage,
    #[prost(message, optional, tag = "2")]
    pub(crate) last: Option<LogIdMessage>,
    #[prost(bool, tag = "3")]
    pub(crate) leadership_transfer: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct VoteResponse {
    #[prost(message, required, tag = "1")]
    pub(crate) vote: VoteMessage,
    #[prost(message, optional, tag = "2")]
    pub(crate) last: Option<LogIdMessage>,
    #[prost(bool, tag = "3")]
    pub(crate) granted: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AppendRequest {
    #[prost(message, required, tag = "1")]
    pub(crate) vote: VoteMessage,
    #[prost(message, optional, tag = "2")]
    pub(crate) previous: Option<LogIdMessage>,
    #[prost(message, optional, tag = "3")]
    pub(crate) committed: Option<LogIdMessage>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) entries: Vec<EntryMessage>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct EntryMessage {
    #[prost(message, required, tag = "1")]
    pub(crate) id: LogIdMessage,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) payload: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct AppendResponse {
    #[prost(oneof = "Appended", tags = "1, 2, 3, 4")]
    pub(crate) appended: Option<Appended>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
pub(crate) enum Appended {
    /// Everything up to this entry is durable.
    #[prost(message, tag = "1")]
    Through(LogIdMessage),
    /// Accepted, and there is no entry.
    #[prost(message, tag = "2")]
    Nothing(Empty),
    /// The entry before those sent is another one.
    #[prost(message, tag = "3")]
    Conflict(LogIdMessage),
    /// There is a later vote.
    #[prost(message, tag = "4")]
    HigherVote(VoteMessage),
}

/// A request on the append lane.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StreamedAppend {
    /// Which of the streams that follow each other on this connection. One ends with the first answer that is no success; what was sent on
    /// it after that is never answered.
    #[prost(uint64, tag = "1")]
    pub(crate) stream: u64,
    #[prost(message, required, tag = "2")]
    pub(crate) request: AppendRequest,
}

/// An answer on the append lane, in the order of the requests.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct StreamedAppended {
    #[prost(uint64, tag = "1")]
    pub(crate) stream: u64,
    #[prost(message, required, tag = "2")]
    pub(crate) response: AppendResponse,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct TransferLeaderRequest {
    #[prost(message, required, tag = "1")]
    pub(crate) from: VoteMessage,
    #[prost(fixed64, tag = "2")]
    pub(crate) to: u64,
    #[prost(message, optional, tag = "3")]
    pub(crate) last: Option<LogIdMessage>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ProposeRequest {
    /// The only term in which it may be appended.
    #[prost(uint64, tag = "1")]
    pub(crate) term: u64,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) proposal: Bytes,
}

/// A change of the membership that a follower's client wants.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ChangeRequest {
    #[prost(oneof = "Change", tags = "1, 2, 3, 4")]
    pub(crate) change: Option<Change>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Change {
    #[prost(message, tag = "1")]
    Add(AddMember),
    #[prost(fixed64, tag = "2")]
    Promote(u64),
    #[prost(message, tag = "3")]
    Update(UpdateMember),
    #[prost(fixed64, tag = "4")]
    Remove(u64),
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct AddMember {
    #[prost(string, repeated, tag = "1")]
    pub(crate) urls: Vec<String>,
    #[prost(bool, tag = "2")]
    pub(crate) is_learner: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct UpdateMember {
    #[prost(fixed64, tag = "1")]
    pub(crate) id: u64,
    #[prost(string, repeated, tag = "2")]
    pub(crate) urls: Vec<String>,
}
