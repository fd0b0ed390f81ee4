//! What can be wrong with flags, each told with what to add or change.

use super::{ELECTION_TIMEOUT_MAX, HEARTBEATS_PER_ELECTION};
use crate::url::NotAUrl;

/// Flags that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    /// Some member of the initial cluster is not written as one.
    #[error("--initial-cluster has {entry:?}: write members as NAME=URL, with commas between them")]
    InitialCluster { entry: String },
    /// Or its URL is not.
    #[error("--initial-cluster has a URL that cannot be used")]
    InitialClusterUrl(#[source] NotAUrl),
    /// This member is not part of it.
    #[error("--initial-cluster has no member {name:?}, which is this one's --name: add {name}=URL")]
    NotInInitialCluster { name: String },
    /// It is, but with other URLs than this member says.
    #[error(
        "--initial-cluster and --initial-advertise-peer-urls differ for {name:?} ({cluster} and {advertised}): give the same URLs in both"
    )]
    PeerUrlsDiffer { name: String, cluster: String, advertised: String },
    /// Clients would be told an address that is none.
    #[error("clients cannot be told to come to {url}: add --advertise-client-urls with an address of this machine")]
    Advertise { url: String },
    /// `https` without what it needs.
    #[error("{flag} has https, but there is no certificate: add {prefix}cert-file and {prefix}key-file")]
    NoCertificate { flag: &'static str, prefix: &'static str },
    /// Half of what TLS needs.
    #[error("{prefix}cert-file and {prefix}key-file belong together: add the one that is missing")]
    HalfCertificate { prefix: &'static str },
    /// Clients are to be verified by nothing.
    #[error("{prefix}client-cert-auth needs the authorities to verify by: add {prefix}trusted-ca-file")]
    NoAuthority { prefix: &'static str },
    /// Nor are members.
    #[error("members need the authorities to verify each other by: add --peer-trusted-ca-file")]
    NoPeerAuthority,
    /// Members would not know whom to believe.
    #[error("--listen-peer-urls has http and https: give one kind only")]
    MixedPeerUrls,
    /// One of the two times is 0.
    #[error("{flag} must be above 0 milliseconds")]
    ZeroTime { flag: &'static str },
    /// A lost heartbeat would end a leadership.
    #[error("--election-timeout ({election} ms) must be at least {HEARTBEATS_PER_ELECTION} times --heartbeat-interval ({heartbeat} ms)")]
    ElectionTooShort { election: u64, heartbeat: u64 },
    /// A cluster without a leader would wait too long.
    #[error("--election-timeout ({election} ms) must not be above {ELECTION_TIMEOUT_MAX} ms")]
    ElectionTooLong { election: u64 },
}
