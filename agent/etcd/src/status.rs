//! etcd's errors, as they go over the wire. Nothing else in this crate knows a gRPC code or a text of etcd.
//!
//! Clients find out what has happened by comparing the text (`api/v3rpc/rpctypes/error.go` of etcd 3.7), and from the code whether to try again.
//! The test of this file holds both against that source.

use shoal_cluster::{LeaseError, MembershipError, MoveLeaderError, ProposeError, ReadError, StorageError};
use shoal_kv::{CompactionError, DeleteRangeError, HashKvError, LeaseGrantError, LeaseRevokeError, PutError, RangeError, TxnError};
use tonic::{Code, Status};

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $code:ident, $text:literal;)*) => {
        /// An error of etcd.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum Error {
            $($(#[$doc])* #[error($text)] $name,)*
        }

        impl Error {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its gRPC code.
            #[must_use]
            pub const fn code(self) -> Code {
                match self {
                    $(Self::$name => Code::$code,)*
                }
            }
        }
    };
}

errors! {
    /// A request without a key.
    EmptyKey = InvalidArgument, "etcdserver: key is not provided";
    /// A put that keeps the value or the lease of a key that does not exist; an operation without a request.
    KeyNotFound = InvalidArgument, "etcdserver: key not found";
    /// A put that keeps the value, with a value.
    ValueProvided = InvalidArgument, "etcdserver: value is provided";
    /// A put that keeps the lease, with a lease.
    LeaseProvided = InvalidArgument, "etcdserver: lease is provided";
    /// A transaction with more operations than `--max-txn-ops`.
    TooManyOps = InvalidArgument, "etcdserver: too many operations in txn request";
    /// A transaction that changes a key twice.
    DuplicateKey = InvalidArgument, "etcdserver: duplicate key given in txn request";
    /// `client-api-version` is not text.
    InvalidClientApiVersion = InvalidArgument, "etcdserver: invalid client api version";
    /// An order or a target that does not exist.
    InvalidSortOption = InvalidArgument, "etcdserver: invalid sort option";
    /// A write of more than `--max-request-bytes`.
    RequestTooLarge = InvalidArgument, "etcdserver: request is too large";
    /// A revision that has been forgotten.
    Compacted = OutOfRange, "etcdserver: mvcc: required revision has been compacted";
    /// A revision that has not happened yet.
    FutureRev = OutOfRange, "etcdserver: mvcc: required revision is a future revision";
    /// A put or a grant while the alarm NOSPACE is raised.
    NoSpace = ResourceExhausted, "etcdserver: mvcc: database space exceeded";
    /// More writes wait than may.
    TooManyRequests = ResourceExhausted, "etcdserver: too many requests";
    /// No lease has this number.
    LeaseNotFound = NotFound, "etcdserver: requested lease not found";
    /// A lease has this number.
    LeaseExist = FailedPrecondition, "etcdserver: lease already exists";
    /// A life longer than leases have.
    LeaseTtlTooLarge = OutOfRange, "etcdserver: too large lease TTL";
    /// The client has ended the stream.
    WatchCanceled = Cancelled, "etcdserver: watch canceled";
    /// A member has this number.
    MemberExist = FailedPrecondition, "etcdserver: member ID already exist";
    /// A member has one of these URLs.
    PeerUrlExist = FailedPrecondition, "etcdserver: Peer URLs already exists";
    /// The change would leave fewer running members than a majority.
    MemberNotEnoughStarted = FailedPrecondition, "etcdserver: re-configuration failed due to not enough started members";
    /// Not URLs that peers have.
    MemberBadUrls = InvalidArgument, "etcdserver: given member URLs are invalid";
    /// No member has this number.
    MemberNotFound = NotFound, "etcdserver: member not found";
    /// The member has a vote already.
    MemberNotLearner = FailedPrecondition, "etcdserver: can only promote a learner member";
    /// The learner has not caught up.
    LearnerNotReady = FailedPrecondition, "etcdserver: can only promote a learner member which is in sync with leader";
    /// There are as many learners as may be.
    TooManyLearners = FailedPrecondition, "etcdserver: too many learner members in cluster";
    /// Every method that would change or use users and roles.
    AuthNotEnabled = FailedPrecondition, "etcdserver: authentication is not enabled";
    /// No leader is known.
    NoLeader = Unavailable, "etcdserver: no leader";
    /// Only the leader does this.
    NotLeader = FailedPrecondition, "etcdserver: not leader";
    /// Another member has become the leader while the request waited.
    LeaderChanged = Unavailable, "etcdserver: leader changed";
    /// This server does not have what was asked for.
    NotCapable = FailedPrecondition, "etcdserver: not capable";
    /// The server is shutting down.
    Stopped = Unavailable, "etcdserver: server stopped";
    /// The cluster has not answered in time. The write may have happened.
    Timeout = Unavailable, "etcdserver: request timed out";
    /// As before, and the leader was lost meanwhile.
    TimeoutDueToLeaderFail = Unavailable, "etcdserver: request timed out, possibly due to previous leader failure";
    /// As before, and too few members could be reached.
    TimeoutDueToConnectionLost = Unavailable, "etcdserver: request timed out, possibly due to connection lost";
    /// This member has not applied what a read has to see.
    TimeoutWaitAppliedIndex = Unavailable, "etcdserver: request timed out, waiting for the applied index took too long";
    /// Too few members are connected for a change of membership.
    Unhealthy = Unavailable, "etcdserver: unhealthy cluster";
    /// The alarm CORRUPT is raised.
    Corrupt = DataLoss, "etcdserver: corrupt cluster";
    /// The cluster has gone into another one. Not one of etcd's.
    Dissolved = FailedPrecondition, "the cluster has dissolved into another one and takes no more writes: write to that";
    /// Members are not added or removed by clients. Not one of etcd's.
    FormsItself = FailedPrecondition, "this cluster forms itself: its members come and go without being added or removed here";
    /// A learner serves only reads that may be old, its status and its snapshot.
    NotSupportedForLearner = FailedPrecondition, "etcdserver: rpc not supported for learner";
    /// No voter has this number.
    BadLeaderTransferee = FailedPrecondition, "etcdserver: bad leader transferee";
    /// A downgrade to something that is not a version.
    WrongDowngradeVersionFormat = InvalidArgument, "etcdserver: wrong downgrade target version format";
    /// A downgrade to any version: there is none that could read what is stored.
    InvalidDowngradeTargetVersion = InvalidArgument, "etcdserver: invalid downgrade target version";
    /// No downgrade can be stopped, since none can be started.
    NoInflightDowngrade = FailedPrecondition, "etcdserver: no inflight downgrade job";
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<RangeError> for Error {
    fn from(error: RangeError) -> Self {
        match error {
            RangeError::EmptyKey => Self::EmptyKey,
            RangeError::InvalidSortOption => Self::InvalidSortOption,
            RangeError::Compacted => Self::Compacted,
            RangeError::FutureRevision => Self::FutureRev,
        }
    }
}

impl From<PutError> for Error {
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

impl From<DeleteRangeError> for Error {
    fn from(error: DeleteRangeError) -> Self {
        match error {
            DeleteRangeError::EmptyKey => Self::EmptyKey,
            DeleteRangeError::RequestTooLarge => Self::RequestTooLarge,
        }
    }
}

impl From<TxnError> for Error {
    fn from(error: TxnError) -> Self {
        match error {
            TxnError::EmptyKey => Self::EmptyKey,
            TxnError::InvalidSortOption => Self::InvalidSortOption,
            TxnError::ValueProvided => Self::ValueProvided,
            TxnError::LeaseProvided => Self::LeaseProvided,
            TxnError::TooManyOperations => Self::TooManyOps,
            TxnError::DuplicateKey => Self::DuplicateKey,
            TxnError::RequestTooLarge => Self::RequestTooLarge,
            TxnError::KeyNotFound => Self::KeyNotFound,
            TxnError::LeaseNotFound => Self::LeaseNotFound,
            TxnError::Compacted => Self::Compacted,
            TxnError::FutureRevision => Self::FutureRev,
            TxnError::NoSpace => Self::NoSpace,
        }
    }
}

impl From<CompactionError> for Error {
    fn from(error: CompactionError) -> Self {
        match error {
            CompactionError::Compacted => Self::Compacted,
            CompactionError::FutureRevision => Self::FutureRev,
        }
    }
}

impl From<HashKvError> for Error {
    fn from(error: HashKvError) -> Self {
        match error {
            HashKvError::Compacted => Self::Compacted,
            HashKvError::FutureRevision => Self::FutureRev,
        }
    }
}

impl From<LeaseGrantError> for Error {
    fn from(error: LeaseGrantError) -> Self {
        match error {
            LeaseGrantError::TtlTooLarge => Self::LeaseTtlTooLarge,
            LeaseGrantError::LeaseExists => Self::LeaseExist,
            LeaseGrantError::LeaseNotFound => Self::LeaseNotFound,
            LeaseGrantError::NoSpace => Self::NoSpace,
        }
    }
}

impl From<LeaseRevokeError> for Error {
    fn from(LeaseRevokeError::LeaseNotFound: LeaseRevokeError) -> Self {
        Self::LeaseNotFound
    }
}

impl From<ProposeError> for Error {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NoLeader => Self::NoLeader,
            ProposeError::LeaderChanged => Self::LeaderChanged,
            ProposeError::Timeout => Self::Timeout,
            ProposeError::TimeoutDueToLeaderFail => Self::TimeoutDueToLeaderFail,
            ProposeError::TimeoutDueToConnectionLost => Self::TimeoutDueToConnectionLost,
            ProposeError::TooManyRequests => Self::TooManyRequests,
            ProposeError::Corrupt => Self::Corrupt,
            ProposeError::Dissolved => Self::Dissolved,
            ProposeError::Stopped => Self::Stopped,
        }
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoLeader => Self::NoLeader,
            ReadError::LeaderChanged => Self::LeaderChanged,
            ReadError::Timeout => Self::Timeout,
            ReadError::TimeoutWaitAppliedIndex => Self::TimeoutWaitAppliedIndex,
            ReadError::TooManyRequests => Self::TooManyRequests,
            ReadError::Stopped => Self::Stopped,
        }
    }
}

impl From<LeaseError> for Error {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::NotFound => Self::LeaseNotFound,
            LeaseError::NoLeader => Self::NoLeader,
            LeaseError::LeaderChanged => Self::LeaderChanged,
            LeaseError::Timeout => Self::Timeout,
            LeaseError::TooManyRequests => Self::TooManyRequests,
            LeaseError::Stopped => Self::Stopped,
        }
    }
}

impl From<MembershipError> for Error {
    fn from(error: MembershipError) -> Self {
        match error {
            MembershipError::MemberExists => Self::MemberExist,
            MembershipError::PeerUrlExists => Self::PeerUrlExist,
            MembershipError::BadUrls => Self::MemberBadUrls,
            MembershipError::MemberNotFound => Self::MemberNotFound,
            MembershipError::MemberNotLearner => Self::MemberNotLearner,
            MembershipError::LearnerNotReady => Self::LearnerNotReady,
            MembershipError::TooManyLearners => Self::TooManyLearners,
            MembershipError::NotEnoughStarted => Self::MemberNotEnoughStarted,
            MembershipError::Unhealthy => Self::Unhealthy,
            MembershipError::FormsItself => Self::FormsItself,
            MembershipError::TooManyRequests => Self::TooManyRequests,
            MembershipError::NoLeader => Self::NoLeader,
            MembershipError::LeaderChanged => Self::LeaderChanged,
            MembershipError::Timeout => Self::Timeout,
            MembershipError::Stopped => Self::Stopped,
        }
    }
}

impl From<MoveLeaderError> for Error {
    fn from(error: MoveLeaderError) -> Self {
        match error {
            MoveLeaderError::NotLeader => Self::NotLeader,
            MoveLeaderError::BadTransferee => Self::BadLeaderTransferee,
            MoveLeaderError::Timeout => Self::Timeout,
            MoveLeaderError::Stopped => Self::Stopped,
        }
    }
}

/// The one error with a text of its own: what is wrong with a member's files is for its operator.
pub(crate) fn storage(error: StorageError) -> Status {
    match error {
        StorageError::Failed(text) => Status::unknown(text),
        StorageError::TooManyRequests => Error::TooManyRequests.into(),
        StorageError::Timeout => Error::Timeout.into(),
        StorageError::Stopped => Error::Stopped.into(),
    }
}

/// What tonic says, in OUT_OF_RANGE, of a message above the limit. etcd's server says the same as [`too_large`].
const TONIC_TOO_LARGE: &str = "Error, decoded message length too large: found ";

/// The status that etcd gives for a message above the limit of its size, if this is tonic's.
pub(crate) fn too_large(status: &Status) -> Option<Status> {
    let sizes = status.message().strip_prefix(TONIC_TOO_LARGE).filter(|_| status.code() == Code::OutOfRange)?;
    let mut numbers = sizes.split(|character: char| !character.is_ascii_digit()).filter(|number| !number.is_empty());
    let (found, limit) = (numbers.next()?, numbers.next()?);
    Some(Status::resource_exhausted(format!("grpc: received message larger than max ({found} vs. {limit})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_says_the_same_as_the_wire() {
        // The core prints etcd's texts, too; one that is mapped to another error of the wire would show here.
        for error in [RangeError::EmptyKey, RangeError::InvalidSortOption, RangeError::Compacted, RangeError::FutureRevision] {
            assert_eq!(error.to_string(), Error::from(error).to_string());
        }
    }
}
