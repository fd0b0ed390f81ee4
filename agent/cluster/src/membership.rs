//! Who belongs to the cluster, as etcd's `Cluster` service shows it.

/// `Member`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Never used again after the member is removed.
    pub id: u64,
    /// The name the member gave itself when it first started; empty before that.
    pub name: String,
    /// Where its peers reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it, as it said itself when it started; empty before that.
    pub client_urls: Vec<String>,
    /// Whether it has no vote.
    pub is_learner: bool,
}

/// The answer to a change of the membership.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberChange {
    /// The id of the member added, promoted, updated or removed.
    pub id: u64,
    /// The members after the change, ordered by id.
    pub members: Vec<Member>,
}
