//! What clients are answered: the responses of etcd's rpc.proto. `revision` is the one field of the header that the store knows.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    error::{CompactionError, DeleteRangeError, LeaseGrantError, LeaseRevokeError, PutError, TxnError},
    event::{KeyValue, RevisionBatch},
    request::{Alarm, AlarmRequest},
};

/// What became of a [`crate::Command`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The answer for whoever asked, the same on every member.
    pub outcome: Outcome,
    /// The events, if the command took a revision: for [`crate::watch::Hub::publish`].
    pub batch: Option<Arc<RevisionBatch>>,
}

/// The answer to a command. An error changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// To [`crate::Command::Put`].
    Put(Result<PutResponse, PutError>),
    /// To [`crate::Command::DeleteRange`].
    DeleteRange(Result<DeleteRangeResponse, DeleteRangeError>),
    /// To [`crate::Command::Txn`].
    Txn(Result<TxnResponse, TxnError>),
    /// To [`crate::Command::Compact`].
    Compact(Result<CompactionResponse, CompactionError>),
    /// To [`crate::Command::LeaseGrant`].
    LeaseGrant(Result<LeaseGrantResponse, LeaseGrantError>),
    /// To [`crate::Command::LeaseRevoke`].
    LeaseRevoke(Result<LeaseRevokeResponse, LeaseRevokeError>),
    /// To [`crate::Command::Alarm`].
    Alarm(AlarmResponse),
}

/// `RangeResponse`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangeResponse {
    /// The newest revision of the store, also if an older one was read.
    pub revision: i64,
    /// The page.
    pub kvs: Vec<KeyValue>,
    /// Whether the limit cut keys off.
    pub more: bool,
    /// How many keys the whole range has at the revision that was read, whatever the limit and the filters.
    pub count: i64,
}

/// `PutResponse`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutResponse {
    /// The revision of the put.
    pub revision: i64,
    /// What the key held before, if it existed and was asked for.
    pub prev_kv: Option<KeyValue>,
}

/// `DeleteRangeResponse`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteRangeResponse {
    /// The revision of the deletion; the store's, if nothing was deleted.
    pub revision: i64,
    /// How many keys were deleted.
    pub deleted: i64,
    /// What they held, if it was asked for.
    pub prev_kvs: Vec<KeyValue>,
}

/// `TxnResponse`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TxnResponse {
    /// The revision after the transaction. As in etcd, 0 in the response of a nested transaction.
    pub revision: i64,
    /// Whether the comparisons held.
    pub succeeded: bool,
    /// One response for each request of the branch taken.
    pub responses: Vec<ResponseOp>,
}

/// `ResponseOp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseOp {
    /// `response_range`.
    Range(RangeResponse),
    /// `response_put`.
    Put(PutResponse),
    /// `response_delete_range`.
    DeleteRange(DeleteRangeResponse),
    /// `response_txn`.
    Txn(TxnResponse),
}

/// `CompactionResponse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionResponse {
    /// The newest revision of the store.
    pub revision: i64,
}

/// `LeaseGrantResponse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseGrantResponse {
    /// The newest revision of the store.
    pub revision: i64,
    /// The lease's id.
    pub id: i64,
    /// The time granted, in seconds.
    pub ttl: i64,
}

/// `LeaseRevokeResponse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRevokeResponse {
    /// The newest revision of the store: the deletion's, if the lease had keys.
    pub revision: i64,
}

/// A lease as the store knows it, for `LeaseTimeToLive`; how much of it is left, the leader's [`crate::lessor::Lessor`] knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseStatus {
    /// The time granted, in seconds.
    pub granted_ttl: i64,
    /// The keys attached, in their order; empty if they were not asked for.
    pub keys: Vec<Bytes>,
}

/// `AlarmResponse`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlarmResponse {
    /// The alarms: for a command the one it raised or disarmed, if any, as in etcd.
    pub alarms: Vec<AlarmMember>,
}

/// `AlarmMember`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlarmMember {
    /// The member.
    pub member: u64,
    /// What is wrong with it.
    pub alarm: Alarm,
}

impl From<AlarmRequest> for AlarmMember {
    fn from(request: AlarmRequest) -> Self {
        Self { member: request.member, alarm: request.alarm }
    }
}

/// `HashKVResponse`, for members to compare with each other. See [`crate::Store::hash_kv`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKvResponse {
    /// The newest revision of the store.
    pub revision: i64,
    /// The revision that was hashed.
    pub hash_revision: i64,
    /// The revision below which history was forgotten; -1 if never. Hashes with different ones are not comparable.
    pub compact_revision: i64,
    /// The hash.
    pub hash: u32,
}
