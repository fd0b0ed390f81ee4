//! Why a peer did not do what it was asked for.

use crate::error::MembershipError;

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
    FormsItself = 30,
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
            MembershipError::FormsItself => Self::FormsItself,
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
            Failure::FormsItself => Self::FormsItself,
            Failure::TooManyRequests => Self::TooManyRequests,
            Failure::NotLeader => Self::NoLeader,
            Failure::LeaderChanged | Failure::Discarded => Self::LeaderChanged,
            Failure::Timeout | Failure::Unknown | Failure::LeaseNotFound | Failure::Removed => Self::Timeout,
            Failure::Stopped => Self::Stopped,
        }
    }
}
