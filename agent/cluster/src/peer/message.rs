//! What members say to each other.

use bytes::Bytes;
use prost::Message;

use crate::{
    error::MembershipError,
    raft::wire::{LogIdMessage, VoteMessage},
};

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
}

impl Hello {
    pub(crate) fn new(cluster: u64, from: u64, to: u64, lane: Lane) -> Self {
        Self { version: VERSION, cluster, from, to, lane: lane.into() }
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

/// Why a request was not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
pub(crate) enum Failure {
    Unknown = 0,
    /// Whoever was asked does not lead, or not in the term that was named. Nothing was done.
    NotLeader = 1,
    /// Nothing was done.
    TooManyRequests = 2,
    /// It was appended, and is no longer in the log of whoever was asked.
    Discarded = 3,
    Timeout = 4,
    Stopped = 5,
    LeaseNotFound = 6,
    /// Whoever asks was removed from the cluster.
    Removed = 7,
    MemberExists = 20,
    PeerUrlExists = 21,
    BadUrls = 22,
    MemberNotFound = 23,
    MemberNotLearner = 24,
    LearnerNotReady = 25,
    TooManyLearners = 26,
    NotEnoughStarted = 27,
    Unhealthy = 28,
    LeaderChanged = 29,
}

impl From<MembershipError> for Failure {
    fn from(error: MembershipError) -> Self {
        match error {
            MembershipError::MemberExists => Self::MemberExists,
            MembershipError::PeerUrlExists => Self::PeerUrlExists,
            MembershipError::BadUrls => Self::BadUrls,
            MembershipError::MemberNotFound => Self::MemberNotFound,
            MembershipError::MemberNotLearner => Self::MemberNotLearner,
            MembershipError::LearnerNotReady => Self::LearnerNotReady,
            MembershipError::TooManyLearners => Self::TooManyLearners,
            MembershipError::NotEnoughStarted => Self::NotEnoughStarted,
            MembershipError::Unhealthy => Self::Unhealthy,
            MembershipError::TooManyRequests => Self::TooManyRequests,
            MembershipError::NoLeader => Self::NotLeader,
            MembershipError::LeaderChanged => Self::LeaderChanged,
            MembershipError::Timeout => Self::Timeout,
            MembershipError::Stopped => Self::Stopped,
        }
    }
}

impl From<Failure> for MembershipError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::MemberExists => Self::MemberExists,
            Failure::PeerUrlExists => Self::PeerUrlExists,
            Failure::BadUrls => Self::BadUrls,
            Failure::MemberNotFound => Self::MemberNotFound,
            Failure::MemberNotLearner => Self::MemberNotLearner,
            Failure::LearnerNotReady => Self::LearnerNotReady,
            Failure::TooManyLearners => Self::TooManyLearners,
            Failure::NotEnoughStarted => Self::NotEnoughStarted,
            Failure::Unhealthy => Self::Unhealthy,
            Failure::TooManyRequests => Self::TooManyRequests,
            Failure::NotLeader => Self::NoLeader,
            Failure::LeaderChanged | Failure::Discarded => Self::LeaderChanged,
            Failure::Timeout | Failure::Unknown | Failure::LeaseNotFound | Failure::Removed => Self::Timeout,
            Failure::Stopped => Self::Stopped,
        }
    }
}

/// What a snapshot is offered with.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct SnapshotOffer {
    #[prost(message, required, tag = "1")]
    pub(crate) vote: VoteMessage,
    /// Which snapshot of the sender: of the same bytes if the key is the same.
    #[prost(message, required, tag = "2")]
    pub(crate) key: SnapshotKey,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
pub(crate) struct SnapshotKey {
    #[prost(fixed64, tag = "1")]
    pub(crate) sender: u64,
    /// Random, another one for each life of the sender.
    #[prost(fixed64, tag = "2")]
    pub(crate) life: u64,
    /// Counts the sender's checkpoints.
    #[prost(uint64, tag = "3")]
    pub(crate) checkpoint: u64,
}

/// The answer to an offer.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct SnapshotAnswer {
    #[prost(oneof = "Wanted", tags = "1, 2, 3")]
    pub(crate) wanted: Option<Wanted>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
pub(crate) enum Wanted {
    /// From its beginning.
    #[prost(message, tag = "1")]
    All(Empty),
    /// The head and the rows up to this one are here already.
    #[prost(message, tag = "2")]
    Above(RevisionMessage),
    /// Another snapshot is on its way: later.
    #[prost(message, tag = "3")]
    Later(Empty),
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct RevisionMessage {
    #[prost(int64, tag = "1")]
    pub(crate) main: i64,
    #[prost(uint32, tag = "2")]
    pub(crate) sub: u32,
    /// Rows up to and including this one.
    #[prost(uint64, tag = "3")]
    pub(crate) rows: u64,
}

/// A piece of a snapshot: bytes of its records.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct SnapshotPiece {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) bytes: Bytes,
}

/// The end of a transfer: the receiver's vote, after it has installed the snapshot or found it too old.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct SnapshotInstalled {
    #[prost(message, required, tag = "1")]
    pub(crate) vote: VoteMessage,
}

/// Who belongs to the cluster, for somebody who is about to join it.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Introduction {
    #[prost(fixed64, tag = "1")]
    pub(crate) cluster: u64,
    #[prost(message, repeated, tag = "2")]
    pub(crate) members: Vec<IntroducedMember>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct IntroducedMember {
    #[prost(fixed64, tag = "1")]
    pub(crate) id: u64,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(string, repeated, tag = "3")]
    pub(crate) peer_urls: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub(crate) client_urls: Vec<String>,
    #[prost(bool, tag = "5")]
    pub(crate) is_learner: bool,
}
