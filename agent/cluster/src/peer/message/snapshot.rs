//! What is said while a snapshot is on its way.

use bytes::Bytes;
use prost::Message;

use super::Empty;
use crate::raft::wire::VoteMessage;

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
