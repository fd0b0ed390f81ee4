//! What the flags mean together: checked once, before anything is opened or bound.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use shoal_etcd::Options;
use shoal_kv::Limits;

use crate::{
    flags::{ClusterState, Flags},
    url::{MemberUrl, NotAUrl},
};

/// Bytes of data above which writes are refused, if nothing else is said: etcd's 2 GiB.
const DEFAULT_QUOTA_BYTES: u64 = 2 << 30;

/// The longest election timeout, in milliseconds, as in etcd: a cluster that is without a leader for longer serves nobody.
const ELECTION_TIMEOUT_MAX: u64 = 50_000;

/// Heartbeats that must fit into an election timeout, as in etcd: fewer, and one that is lost ends a leadership.
const HEARTBEATS_PER_ELECTION: u64 = 5;

/// A member, as it is to be started.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) listen_client_urls: Vec<MemberUrl>,
    pub(crate) advertise_client_urls: Vec<MemberUrl>,
    pub(crate) listen_peer_urls: Vec<MemberUrl>,
    /// All members when the cluster begins; one that has several URLs is there several times.
    pub(crate) initial_cluster: Vec<(String, MemberUrl)>,
    pub(crate) initial_cluster_state: ClusterState,
    pub(crate) initial_cluster_token: String,
    pub(crate) client_tls: Option<TlsFiles>,
    pub(crate) peer_tls: Option<PeerTlsFiles>,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) election_timeout: Duration,
    /// 0 for none.
    pub(crate) quota_bytes: u64,
    pub(crate) limits: Limits,
    pub(crate) watch_progress_notify_interval: Duration,
    /// The node's own default if nothing is said.
    pub(crate) snapshot_count: Option<u64>,
    pub(crate) max_learners: usize,
}

/// Files in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Whose certificates the other side must have; `None` if it need not have one.
    pub(crate) authorities: Option<PathBuf>,
}

/// Files in PEM, for connections between members: all of them show a certificate to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerTlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) authority: PathBuf,
}

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

impl Settings {
    /// # Errors
    /// [`SettingsError`] for the first thing that cannot be.
    pub(crate) fn new(flags: Flags) -> Result<Self, SettingsError> {
        let Flags { member, client_tls, peer_tls, tuning, version: _ } = flags;
        let (heartbeat, election) = (tuning.heartbeat_interval, tuning.election_timeout);
        if heartbeat == 0 {
            return Err(SettingsError::ZeroTime { flag: "--heartbeat-interval" });
        }
        if election < heartbeat.saturating_mul(HEARTBEATS_PER_ELECTION) {
            return Err(SettingsError::ElectionTooShort { election, heartbeat });
        }
        if election > ELECTION_TIMEOUT_MAX {
            return Err(SettingsError::ElectionTooLong { election });
        }
        let client_tls = tls("--", client_tls.cert_file, client_tls.key_file, client_tls.trusted_ca_file, client_tls.client_cert_auth)?;
        let peer_tls =
            tls("--peer-", peer_tls.peer_cert_file, peer_tls.peer_key_file, peer_tls.peer_trusted_ca_file, peer_tls.peer_client_cert_auth)?;
        require_certificate(&member.listen_client_urls, client_tls.as_ref(), "--listen-client-urls", "--")?;
        require_certificate(&member.listen_peer_urls, peer_tls.as_ref(), "--listen-peer-urls", "--peer-")?;
        if member.listen_peer_urls.iter().any(|url| url.tls != member.listen_peer_urls[0].tls) {
            return Err(SettingsError::MixedPeerUrls);
        }
        let initial_cluster = cluster_of(&member.name, member.initial_cluster.as_deref(), &member.initial_advertise_peer_urls)?;
        let peer_urls: Vec<MemberUrl> = initial_cluster.iter().map(|(_, url)| url.clone()).collect();
        require_certificate(&peer_urls, peer_tls.as_ref(), "--initial-cluster", "--peer-")?;
        Ok(Self {
            data_dir: member.data_dir.unwrap_or_else(|| PathBuf::from(format!("{}.etcd", member.name))),
            advertise_client_urls: advertised(member.advertise_client_urls, &member.listen_client_urls)?,
            name: member.name,
            listen_client_urls: member.listen_client_urls,
            listen_peer_urls: member.listen_peer_urls,
            initial_cluster,
            initial_cluster_state: member.initial_cluster_state,
            initial_cluster_token: member.initial_cluster_token,
            client_tls,
            peer_tls: peer_tls.map(between_members).transpose()?,
            heartbeat_interval: Duration::from_millis(heartbeat),
            election_timeout: Duration::from_millis(election),
            quota_bytes: match u64::try_from(tuning.quota_backend_bytes) {
                Ok(0) => DEFAULT_QUOTA_BYTES,
                Ok(bytes) => bytes,
                Err(_) => 0,
            },
            limits: Limits { request_bytes: tuning.max_request_bytes, txn_operations: tuning.max_txn_ops },
            watch_progress_notify_interval: tuning.watch_progress_notify_interval,
            snapshot_count: tuning.snapshot_count,
            max_learners: tuning.max_learners,
        })
    }

    /// What the services need to know.
    pub(crate) fn options(&self) -> Options {
        Options { watch_progress_notify_interval: self.watch_progress_notify_interval }
    }

    /// Where this member's peers reach it.
    pub(crate) fn peer_urls(&self) -> impl Iterator<Item = &MemberUrl> {
        self.initial_cluster.iter().filter(|(name, _)| *name == self.name).map(|(_, url)| url)
    }
}

/// The members of `--initial-cluster`, which is that of the member `name` with the peer URLs `advertised`; without the flag, that member alone. One
/// that has several URLs is there several times.
///
/// # Errors
/// [`SettingsError`] if the two flags do not go together.
pub(crate) fn cluster_of(name: &str, flag: Option<&str>, advertised: &[MemberUrl]) -> Result<Vec<(String, MemberUrl)>, SettingsError> {
    let cluster = match flag {
        Some(text) => initial_cluster(text)?,
        None => advertised.iter().map(|url| (name.to_owned(), url.clone())).collect(),
    };
    check_membership(&cluster, name, advertised)?;
    Ok(cluster)
}

/// The peer URLs of each member.
pub(crate) fn by_name(cluster: &[(String, MemberUrl)]) -> BTreeMap<String, Vec<String>> {
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, url) in cluster {
        members.entry(name.clone()).or_default().push(url.to_string());
    }
    members
}

fn initial_cluster(text: &str) -> Result<Vec<(String, MemberUrl)>, SettingsError> {
    text.split(',')
        .map(|entry| match entry.split_once('=') {
            Some((name, url)) if !name.is_empty() => Ok((name.to_owned(), url.parse().map_err(SettingsError::InitialClusterUrl)?)),
            _ => Err(SettingsError::InitialCluster { entry: entry.to_owned() }),
        })
        .collect()
}

fn check_membership(cluster: &[(String, MemberUrl)], name: &str, advertised: &[MemberUrl]) -> Result<(), SettingsError> {
    let sorted = |urls: Vec<&MemberUrl>| {
        let mut urls: Vec<String> = urls.into_iter().map(MemberUrl::to_string).collect();
        urls.sort();
        urls.join(",")
    };
    let own: Vec<&MemberUrl> = cluster.iter().filter(|(member, _)| member == name).map(|(_, url)| url).collect();
    if own.is_empty() {
        return Err(SettingsError::NotInInitialCluster { name: name.to_owned() });
    }
    let (cluster, advertised) = (sorted(own), sorted(advertised.iter().collect()));
    if cluster == advertised { Ok(()) } else { Err(SettingsError::PeerUrlsDiffer { name: name.to_owned(), cluster, advertised }) }
}

fn advertised(given: Vec<MemberUrl>, listening: &[MemberUrl]) -> Result<Vec<MemberUrl>, SettingsError> {
    if !given.is_empty() {
        return Ok(given);
    }
    match listening.iter().find(|url| url.is_unspecified()) {
        Some(url) => Err(SettingsError::Advertise { url: url.to_string() }),
        None => Ok(listening.to_vec()),
    }
}

fn tls(
    prefix: &'static str,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    authorities: Option<PathBuf>,
    required: bool,
) -> Result<Option<TlsFiles>, SettingsError> {
    if required && authorities.is_none() {
        return Err(SettingsError::NoAuthority { prefix });
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key, authorities })),
        (None, None) => Ok(None),
        _ => Err(SettingsError::HalfCertificate { prefix }),
    }
}

/// Unlike etcd, which then believes whatever authorities the system has: a member of this cluster is nobody that they know.
fn between_members(files: TlsFiles) -> Result<PeerTlsFiles, SettingsError> {
    let TlsFiles { certificate, key, authorities } = files;
    let authority = authorities.ok_or(SettingsError::NoPeerAuthority)?;
    Ok(PeerTlsFiles { certificate, key, authority })
}

fn require_certificate(urls: &[MemberUrl], tls: Option<&TlsFiles>, flag: &'static str, prefix: &'static str) -> Result<(), SettingsError> {
    if tls.is_none() && urls.iter().any(|url| url.tls) { Err(SettingsError::NoCertificate { flag, prefix }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn settings(arguments: &[&str]) -> Result<Settings, SettingsError> {
        Settings::new(Flags::try_parse_from(["shoal-store"].iter().chain(arguments)).expect("the flags are well written"))
    }

    #[test]
    fn a_member_alone_needs_no_flags() {
        let settings = settings(&[]).expect("it does not");
        assert_eq!(settings.data_dir, PathBuf::from("default.etcd"));
        assert_eq!(settings.initial_cluster, [("default".to_owned(), "http://localhost:2380".parse().expect("a URL"))]);
        assert_eq!(settings.advertise_client_urls, settings.listen_client_urls);
        assert_eq!(settings.quota_bytes, 2 << 30);
    }

    #[test]
    fn a_quota_below_nothing_is_none() {
        assert_eq!(settings(&["--quota-backend-bytes=-1"]).expect("a number").quota_bytes, 0);
        assert_eq!(settings(&["--quota-backend-bytes=1000"]).expect("a number").quota_bytes, 1000);
    }

    #[test]
    fn trusted_authorities_alone_make_certificates_necessary() {
        let arguments = ["--cert-file=c", "--key-file=k", "--trusted-ca-file=a", "--listen-client-urls=https://localhost:2379"];
        let tls = settings(&arguments).expect("it is complete").client_tls.expect("there is a certificate");
        assert_eq!(tls.authorities, Some(PathBuf::from("a")));
    }

    #[test]
    fn flags_that_do_not_go_together_are_told_what_to_add() {
        let three = "--initial-cluster=one=http://h1:1,two=http://h2:1,three=http://h3:1";
        for (arguments, text) in [
            (&["--initial-cluster=http://h:1"][..], "write members as NAME=URL"),
            (&["--initial-cluster=default=h:1"], "URL that cannot be used"),
            (&[three, "--name=four"], "add four=URL"),
            (&[three, "--name=two", "--initial-advertise-peer-urls=http://other:1"], "give the same URLs in both"),
            (&["--listen-client-urls=http://0.0.0.0:2379"], "add --advertise-client-urls"),
            (&["--listen-client-urls=https://localhost:2379"], "add --cert-file and --key-file"),
            (&["--listen-peer-urls=https://localhost:2380"], "add --peer-cert-file and --peer-key-file"),
            (&["--cert-file=c"], "add the one that is missing"),
            (&["--client-cert-auth", "--cert-file=c", "--key-file=k"], "add --trusted-ca-file"),
            (&["--peer-cert-file=c", "--peer-key-file=k"], "add --peer-trusted-ca-file"),
            (&["--initial-advertise-peer-urls=https://localhost:2380"], "add --peer-cert-file and --peer-key-file"),
            (
                &[
                    "--listen-peer-urls=http://localhost:2380,https://localhost:2381",
                    "--peer-cert-file=c",
                    "--peer-key-file=k",
                    "--peer-trusted-ca-file=a",
                ],
                "give one kind only",
            ),
            (&["--heartbeat-interval=0"], "above 0"),
            (&["--heartbeat-interval=300"], "at least 5 times"),
            (&["--election-timeout=60000"], "must not be above 50000 ms"),
        ] {
            let error = settings(arguments).expect_err("it cannot be").to_string();
            assert!(error.contains(text), "{arguments:?}: {error}");
        }
    }
}
