//! What clients ask for: the requests of etcd's rpc.proto, without what only a server cares about.
//!
//! A field keeps its meaning and its default from rpc.proto (`KV` and `Lease` services). Left out are `serializable`, which decides whether a
//! read waits for the leader, and `physical`, which decides when a compaction is answered: both are the server's business.

use bytes::Bytes;

use crate::range::KeyRange;

/// A write on its way through the log. Every member applies the same commands in the same order with [`crate::Store::apply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `KV.Put`.
    Put(PutRequest),
    /// `KV.DeleteRange`.
    DeleteRange(DeleteRangeRequest),
    /// `KV.Txn`, also one that only reads: it may be served by [`crate::Store::read_txn`] instead, without a place in the log.
    Txn(TxnRequest),
    /// `KV.Compact`.
    Compact(CompactionRequest),
    /// `Lease.LeaseGrant`, [prepared](LeaseGrantRequest::prepare) by the proposer.
    LeaseGrant(LeaseGrantRequest),
    /// `Lease.LeaseRevoke`: a client's, or the leader's for a lease that has expired.
    LeaseRevoke(LeaseRevokeRequest),
    /// `Maintenance.Alarm` with the action to raise or to disarm; reading alarms needs no command.
    Alarm(AlarmRequest),
}

/// `RangeRequest`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangeRequest {
    /// The first key. Must not be empty.
    pub key: Bytes,
    /// The upper end, see [`KeyRange`].
    pub range_end: Bytes,
    /// At most so many keys; 0 or less for all.
    pub limit: i64,
    /// The revision to read at; the newest if 0, and outside of transactions also if less.
    pub revision: i64,
    /// Ascending or descending; [`SortOrder::None`] is ascending.
    pub sort_order: SortOrder,
    /// What to sort by. With a target other than the key, or descending, everything in the range is gathered first.
    pub sort_target: SortTarget,
    /// Leave the values out, and, as etcd since 3.7 unless it sorts by them, the leases.
    pub keys_only: bool,
    /// Answer with the count only.
    pub count_only: bool,
    /// Leave out keys modified below this revision; 0 for no bound.
    pub min_mod_revision: i64,
    /// Leave out keys modified above this revision; 0 for no bound.
    pub max_mod_revision: i64,
    /// Leave out keys created below this revision; 0 for no bound.
    pub min_create_revision: i64,
    /// Leave out keys created above this revision; 0 for no bound.
    pub max_create_revision: i64,
}

impl RangeRequest {
    /// The keys asked for.
    #[must_use]
    pub fn range(&self) -> KeyRange {
        KeyRange::new(self.key.clone(), self.range_end.clone())
    }

    /// Whether keys are filtered by a revision.
    #[must_use]
    pub const fn has_revision_filters(&self) -> bool {
        self.min_mod_revision != 0 || self.max_mod_revision != 0 || self.min_create_revision != 0 || self.max_create_revision != 0
    }

    /// Whether the answer comes in the order of the keys, so that a limit can be applied while reading.
    #[must_use]
    pub const fn has_default_order(&self) -> bool {
        matches!((self.sort_order, self.sort_target), (SortOrder::None, _) | (SortOrder::Ascend, SortTarget::Key))
    }
}

/// `RangeRequest.SortOrder`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// Not said: ascending.
    #[default]
    None,
    /// Lowest first.
    Ascend,
    /// Highest first.
    Descend,
}

/// `RangeRequest.SortTarget`. Ties stay in the order of the keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortTarget {
    /// The key.
    #[default]
    Key,
    /// The version.
    Version,
    /// The create revision.
    Create,
    /// The mod revision.
    Mod,
    /// The value.
    Value,
}

/// A number that rpc.proto gives no meaning as a sort order or target: etcd answers "invalid sort option".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("etcdserver: invalid sort option")]
pub struct InvalidSortOption;

impl TryFrom<i32> for SortOrder {
    type Error = InvalidSortOption;

    fn try_from(number: i32) -> Result<Self, InvalidSortOption> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::Ascend),
            2 => Ok(Self::Descend),
            _ => Err(InvalidSortOption),
        }
    }
}

impl TryFrom<i32> for SortTarget {
    type Error = InvalidSortOption;

    fn try_from(number: i32) -> Result<Self, InvalidSortOption> {
        match number {
            0 => Ok(Self::Key),
            1 => Ok(Self::Version),
            2 => Ok(Self::Create),
            3 => Ok(Self::Mod),
            4 => Ok(Self::Value),
            _ => Err(InvalidSortOption),
        }
    }
}

/// `PutRequest`.
///
/// The value is kept as it comes, not copied: it should be a slice of a buffer not much larger than itself (one buffer for each log entry, not
/// one for each packet), because the buffer lives as long as the value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutRequest {
    /// The key. Must not be empty.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The lease to attach the key to; 0 for none.
    pub lease: i64,
    /// Answer with what the key held before.
    pub prev_kv: bool,
    /// Keep the value the key has; it must exist, and `value` be empty.
    pub ignore_value: bool,
    /// Keep the lease the key has; it must exist, and `lease` be 0.
    pub ignore_lease: bool,
}

/// `DeleteRangeRequest`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteRangeRequest {
    /// The first key. Must not be empty.
    pub key: Bytes,
    /// The upper end, see [`KeyRange`].
    pub range_end: Bytes,
    /// Answer with what was deleted.
    pub prev_kv: bool,
}

impl DeleteRangeRequest {
    /// The keys to delete.
    #[must_use]
    pub fn range(&self) -> KeyRange {
        KeyRange::new(self.key.clone(), self.range_end.clone())
    }
}

/// `TxnRequest`: if all of `compare` hold, do `success`, else do `failure`.
///
/// Every comparison, nested ones too, looks at the state before the transaction, as in etcd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TxnRequest {
    /// The conditions; none hold always.
    pub compare: Vec<Compare>,
    /// What to do if they hold, in order.
    pub success: Vec<RequestOp>,
    /// What to do otherwise, in order.
    pub failure: Vec<RequestOp>,
}

impl TxnRequest {
    /// Whether the transaction cannot change anything, so that it needs no place in the log. A nested transaction counts as a write, as in
    /// etcd.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.success.iter().chain(&self.failure).all(|op| matches!(op, RequestOp::Range(_)))
    }
}

/// `RequestOp`. One without a request is refused by etcd with "key not found" ([`crate::TxnError::KeyNotFound`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestOp {
    /// `request_range`.
    Range(RangeRequest),
    /// `request_put`.
    Put(PutRequest),
    /// `request_delete_range`.
    DeleteRange(DeleteRangeRequest),
    /// `request_txn`.
    Txn(TxnRequest),
}

/// `Compare`: `target` of every key in the range stands in relation `result` to the operand.
///
/// A range without keys compares as one key that has zero everywhere, except that a comparison of values then always fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// The first key. Must not be empty.
    pub key: Bytes,
    /// The upper end, see [`KeyRange`].
    pub range_end: Bytes,
    /// The relation that has to hold.
    pub result: CompareResult,
    /// What to compare, and with what.
    pub target: CompareTarget,
}

impl Compare {
    /// The keys to compare.
    #[must_use]
    pub fn range(&self) -> KeyRange {
        KeyRange::new(self.key.clone(), self.range_end.clone())
    }
}

/// `Compare.CompareResult`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareResult {
    /// The key's is equal to the operand.
    Equal,
    /// The key's is greater than the operand.
    Greater,
    /// The key's is less than the operand.
    Less,
    /// The key's is not equal to the operand.
    NotEqual,
    /// A number that rpc.proto gives no meaning: it holds for every key, as in etcd.
    Unrecognized,
}

impl From<i32> for CompareResult {
    fn from(number: i32) -> Self {
        match number {
            0 => Self::Equal,
            1 => Self::Greater,
            2 => Self::Less,
            3 => Self::NotEqual,
            _ => Self::Unrecognized,
        }
    }
}

/// `Compare.target` together with its operand, `Compare.target_union`. Where the two do not belong together, etcd takes the target and an operand
/// of 0 or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompareTarget {
    /// The number of puts since the key was created; 0 if it does not exist.
    Version(i64),
    /// The revision that created the key; 0 if it does not exist.
    CreateRevision(i64),
    /// The revision that last changed the key; 0 if it does not exist.
    ModRevision(i64),
    /// The value, byte by byte.
    Value(Bytes),
    /// The lease; 0 for none.
    Lease(i64),
    /// A number that rpc.proto gives no meaning: the key's is equal to the operand, as in etcd.
    Unrecognized,
}

/// `CompactionRequest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionRequest {
    /// The revision below which history may be forgotten. Reads at it remain possible.
    pub revision: i64,
}

/// `LeaseGrantRequest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseGrantRequest {
    /// The id. A client may leave the choice to the server with 0; in the log it is never 0.
    pub id: i64,
    /// Time to live, in seconds. In the log it is the time granted, at least the minimum.
    pub ttl: i64,
}

/// `LeaseRevokeRequest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRevokeRequest {
    /// The lease to revoke, with all its keys.
    pub id: i64,
}

/// `AlarmRequest` with one of the actions that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlarmRequest {
    /// Raise or disarm.
    pub action: AlarmAction,
    /// The member whose alarm it is.
    pub member: u64,
    /// Which alarm.
    pub alarm: Alarm,
}

/// `AlarmRequest.AlarmAction` without `GET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmAction {
    /// Raise the alarm.
    Activate,
    /// Disarm it.
    Deactivate,
}

/// `AlarmType` without `NONE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alarm {
    /// A member is out of space: while any member's is raised, puts and lease grants are refused.
    NoSpace,
    /// A member's data is damaged. The store only remembers it; what to refuse is the server's business.
    Corrupt,
}
