//! Refusals, one enum for each operation. A variant is one of etcd's errors and prints as its description, which clients parse
//! (`api/v3rpc/rpctypes/error.go`); the gRPC code is for the server to add. A refused operation has changed nothing.

use crate::request::InvalidSortOption;

/// Why a range was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The request has no key.
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    /// Unknown sort order or target.
    #[error("etcdserver: invalid sort option")]
    InvalidSortOption,
    /// The revision asked for lies below the compaction.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    /// The revision asked for has not happened yet.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
}

impl From<InvalidSortOption> for RangeError {
    fn from(_: InvalidSortOption) -> Self {
        Self::InvalidSortOption
    }
}

/// Why nothing was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// The request has no key.
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    /// `ignore_value` together with a value.
    #[error("etcdserver: value is provided")]
    ValueProvided,
    /// `ignore_lease` together with a lease.
    #[error("etcdserver: lease is provided")]
    LeaseProvided,
    /// The request is larger than the limit.
    #[error("etcdserver: request is too large")]
    RequestTooLarge,
    /// `ignore_value` or `ignore_lease` for a key that does not exist.
    #[error("etcdserver: key not found")]
    KeyNotFound,
    /// No such lease.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    /// The alarm for lack of space is raised.
    #[error("etcdserver: mvcc: database space exceeded")]
    NoSpace,
}

/// Why nothing was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeleteRangeError {
    /// The request has no key.
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    /// The request is larger than the limit.
    #[error("etcdserver: request is too large")]
    RequestTooLarge,
}

/// Why a transaction did not happen. It is all or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TxnError {
    /// A request or a comparison has no key.
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    /// A range with an unknown sort order or target.
    #[error("etcdserver: invalid sort option")]
    InvalidSortOption,
    /// A put with `ignore_value` and a value.
    #[error("etcdserver: value is provided")]
    ValueProvided,
    /// A put with `ignore_lease` and a lease.
    #[error("etcdserver: lease is provided")]
    LeaseProvided,
    /// More comparisons or requests than the limit.
    #[error("etcdserver: too many operations in txn request")]
    TooManyOperations,
    /// One branch would change a key twice.
    #[error("etcdserver: duplicate key given in txn request")]
    DuplicateKey,
    /// The request is larger than the limit.
    #[error("etcdserver: request is too large")]
    RequestTooLarge,
    /// A put with `ignore_value` or `ignore_lease` for a key that does not exist, or an operation without a request.
    #[error("etcdserver: key not found")]
    KeyNotFound,
    /// A put with a lease that does not exist.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    /// A range at a revision below the compaction.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    /// A range at a revision that has not happened yet.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
    /// The alarm for lack of space is raised and the transaction has a put.
    #[error("etcdserver: mvcc: database space exceeded")]
    NoSpace,
}

impl From<RangeError> for TxnError {
    fn from(error: RangeError) -> Self {
        match error {
            RangeError::EmptyKey => Self::EmptyKey,
            RangeError::InvalidSortOption => Self::InvalidSortOption,
            RangeError::Compacted => Self::Compacted,
            RangeError::FutureRevision => Self::FutureRevision,
        }
    }
}

impl From<PutError> for TxnError {
    fn from(error: PutError) -> Self {
        match error {
            PutError::EmptyKey => Self::EmptyKey,
            PutError::ValueProvided => Self::ValueProvided,
            PutError::LeaseProvided => Self::LeaseProvided,
            PutError::RequestTooLarge => Self::RequestTooLarge,
            PutError::KeyNotFound => Self::KeyNotFound,
            PutError::LeaseNotFound => Self::LeaseNotFound,
            PutError::NoSpace => Self::NoSpace,
        }
    }
}

impl From<DeleteRangeError> for TxnError {
    fn from(error: DeleteRangeError) -> Self {
        match error {
            DeleteRangeError::EmptyKey => Self::EmptyKey,
            DeleteRangeError::RequestTooLarge => Self::RequestTooLarge,
        }
    }
}

/// Why nothing was compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompactionError {
    /// The revision is not above that of the last compaction.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    /// The revision has not happened yet.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
}

/// Why no lease was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeaseGrantError {
    /// The time to live is larger than the limit.
    #[error("etcdserver: too large lease TTL")]
    TtlTooLarge,
    /// There is a lease with this id.
    #[error("etcdserver: lease already exists")]
    LeaseExists,
    /// The id is 0 although the proposer should have chosen one.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    /// The alarm for lack of space is raised.
    #[error("etcdserver: mvcc: database space exceeded")]
    NoSpace,
}

/// Why no lease was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeaseRevokeError {
    /// No such lease.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
}

/// Why there is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashKvError {
    /// The revision asked for lies below the compaction.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    /// The revision asked for has not happened yet.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
}
