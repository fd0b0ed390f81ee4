//! What somebody who is about to join is told.

use prost::Message;

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
