//! What can become of a request, one enum for each operation. A variant is one of etcd's errors and prints as its description
//! (`api/v3rpc/rpctypes/error.go`); the gRPC code is for the server to add. What the store itself refuses is not here but in the
//! [`Outcome`](shoal_kv::Outcome).

/// What became of a proposal that has no outcome.
///
/// After [`Timeout`](Self::Timeout), [`TimeoutDueToLeaderFail`](Self::TimeoutDueToLeaderFail),
/// [`TimeoutDueToConnectionLost`](Self::TimeoutDueToConnectionLost) and [`Stopped`](Self::Stopped) it may still happen, or have happened. After
/// the others it never will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// No leader is known, and none came up in time.
    #[error("etcdserver: no leader")]
    NoLeader,
    /// Another member became the leader, and the proposal is lost for certain.
    #[error("etcdserver: leader changed")]
    LeaderChanged,
    /// Not decided in time.
    #[error("etcdserver: request timed out")]
    Timeout,
    /// Not decided in time, and the leader was lost meanwhile.
    #[error("etcdserver: request timed out, possibly due to previous leader failure")]
    TimeoutDueToLeaderFail,
    /// Not decided in time, and the leader or a majority could not be reached.
    #[error("etcdserver: request timed out, possibly due to connection lost")]
    TimeoutDueToConnectionLost,
    /// More proposals wait than may: nothing was done, try again later.
    #[error("etcdserver: too many requests")]
    TooManyRequests,
    /// The alarm CORRUPT is raised: nothing is written until an operator disarms it.
    #[error("etcdserver: corrupt cluster")]
    Corrupt,
    /// The cluster has dissolved into another one, which its nodes go to: nothing of it is kept, and nothing was written. Not one of etcd's.
    #[error("the cluster has dissolved into another one and takes no more writes: write to that")]
    Dissolved,
    /// This member is shutting down, or its storage has failed.
    #[error("etcdserver: server stopped")]
    Stopped,
}

/// Why a linearizable read cannot be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No leader is known, and none came up in time.
    #[error("etcdserver: no leader")]
    NoLeader,
    /// The leader changed while it was asked, and there was no time left to ask the next.
    #[error("etcdserver: leader changed")]
    LeaderChanged,
    /// The leader, or a majority behind it, did not answer in time.
    #[error("etcdserver: request timed out")]
    Timeout,
    /// The leader answered, but this member did not apply what it has to in time.
    #[error("etcdserver: request timed out, waiting for the applied index took too long")]
    TimeoutWaitAppliedIndex,
    /// More reads wait than may.
    #[error("etcdserver: too many requests")]
    TooManyRequests,
    /// This member is shutting down, or its storage has failed.
    #[error("etcdserver: server stopped")]
    Stopped,
}

/// Why a lease was not renewed, or its remaining time is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// No such lease. `LeaseKeepAlive` answers with a TTL of 0, `LeaseTimeToLive` with -1.
    #[error("etcdserver: requested lease not found")]
    NotFound,
    /// No leader is known, and none came up in time.
    #[error("etcdserver: no leader")]
    NoLeader,
    /// The leader changed while it was asked, and there was no time left to ask the next.
    #[error("etcdserver: leader changed")]
    LeaderChanged,
    /// The leader did not answer in time.
    #[error("etcdserver: request timed out")]
    Timeout,
    /// More requests wait than may.
    #[error("etcdserver: too many requests")]
    TooManyRequests,
    /// This member is shutting down, or its storage has failed.
    #[error("etcdserver: server stopped")]
    Stopped,
}

impl From<ReadError> for LeaseError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoLeader => Self::NoLeader,
            ReadError::LeaderChanged => Self::LeaderChanged,
            ReadError::Timeout | ReadError::TimeoutWaitAppliedIndex => Self::Timeout,
            ReadError::TooManyRequests => Self::TooManyRequests,
            ReadError::Stopped => Self::Stopped,
        }
    }
}

/// Why the membership was not changed. After [`Timeout`](Self::Timeout) and [`Stopped`](Self::Stopped) it may still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// A member has this id.
    #[error("etcdserver: member ID already exist")]
    MemberExists,
    /// A member has one of these peer URLs.
    #[error("etcdserver: Peer URLs already exists")]
    PeerUrlExists,
    /// Not URLs that peers can have.
    #[error("etcdserver: given member URLs are invalid")]
    BadUrls,
    /// No member has this id.
    #[error("etcdserver: member not found")]
    MemberNotFound,
    /// The member votes already.
    #[error("etcdserver: can only promote a learner member")]
    MemberNotLearner,
    /// The learner has not caught up with the leader.
    #[error("etcdserver: can only promote a learner member which is in sync with leader")]
    LearnerNotReady,
    /// There are as many learners as may be.
    #[error("etcdserver: too many learner members in cluster")]
    TooManyLearners,
    /// The change would leave fewer started voters than a majority.
    #[error("etcdserver: re-configuration failed due to not enough started members")]
    NotEnoughStarted,
    /// Too few voters are connected for a change.
    #[error("etcdserver: unhealthy cluster")]
    Unhealthy,
    /// The cluster forms itself ([`crate::formation`]). Not one of etcd's.
    #[error("this cluster forms itself: its members come and go without being added or removed here")]
    FormsItself,
    /// Another change is under way.
    #[error("etcdserver: too many requests")]
    TooManyRequests,
    /// No leader is known, and none came up in time.
    #[error("etcdserver: no leader")]
    NoLeader,
    /// The leader changed meanwhile.
    #[error("etcdserver: leader changed")]
    LeaderChanged,
    /// Not decided in time.
    #[error("etcdserver: request timed out")]
    Timeout,
    /// This member is shutting down, or its storage has failed.
    #[error("etcdserver: server stopped")]
    Stopped,
}

/// Why the leadership was not handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoveLeaderError {
    /// Only the leader hands over.
    #[error("etcdserver: not leader")]
    NotLeader,
    /// No voter has this id, or it has not caught up.
    #[error("etcdserver: bad leader transferee")]
    BadTransferee,
    /// It did not happen in time. It may still.
    #[error("etcdserver: request timed out")]
    Timeout,
    /// This member is shutting down, or its storage has failed.
    #[error("etcdserver: server stopped")]
    Stopped,
}

/// Something went wrong with this member's own files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// What was read is not what was written, or could not be read or written. The text says what to do.
    #[error("{0}")]
    Failed(String),
    /// As many snapshots are being read as may be.
    #[error("etcdserver: too many requests")]
    TooManyRequests,
    /// It took longer than it may, and what it read is about to be forgotten: begin anew.
    #[error("etcdserver: request timed out")]
    Timeout,
    /// This member is shutting down, or its storage has failed.
    #[error("etcdserver: server stopped")]
    Stopped,
}
