//! The flags of `shoal-store`, with etcd's names, defaults and environment (`ETCD_NAME` for `--name`), as they are written.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, ValueEnum};

use crate::{duration, url::MemberUrl};

/// A member of a store that speaks etcd's API.
#[derive(Debug, Parser)]
#[command(
    name = "shoal-store",
    disable_version_flag = true,
    after_help = "The flags are etcd's, and so is their meaning; --FLAG=VALUE and --FLAG VALUE are the same. Each may come from the environment \
                  instead: ETCD_DATA_DIR for --data-dir.\n\n`shoal-store snapshot --help` tells of backups.\n\nIt ends with 0 after SIGINT or \
                  SIGTERM, with 1 if it cannot start or go on, with 2 if the flags are wrong, and with 3 if this member was removed from its \
                  cluster, so that starting it again is of no use."
)]
pub(crate) struct Flags {
    /// Print the version and end.
    #[arg(long)]
    pub(crate) version: bool,
    #[command(flatten)]
    pub(crate) member: MemberFlags,
    #[command(flatten)]
    pub(crate) client_tls: ClientTlsFlags,
    #[command(flatten)]
    pub(crate) peer_tls: PeerTlsFlags,
    #[command(flatten)]
    pub(crate) tuning: TuningFlags,
}

/// Who it is, where it is reached and what it keeps.
#[derive(Debug, Args)]
#[command(next_help_heading = "Member")]
pub(crate) struct MemberFlags {
    /// Name of this member.
    #[arg(long, env = "ETCD_NAME", default_value = "default")]
    pub(crate) name: String,
    /// Where this member keeps its data. The default is NAME.etcd in the working directory. With data in it, the --initial flags are ignored.
    #[arg(long, env = "ETCD_DATA_DIR", value_name = "DIRECTORY")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where to listen for clients.
    #[arg(long, env = "ETCD_LISTEN_CLIENT_URLS", value_name = "URLS", value_delimiter = ',', default_value = "http://localhost:2379")]
    pub(crate) listen_client_urls: Vec<MemberUrl>,
    /// Where clients are told to come. The default is --listen-client-urls.
    #[arg(long, env = "ETCD_ADVERTISE_CLIENT_URLS", value_name = "URLS", value_delimiter = ',')]
    pub(crate) advertise_client_urls: Vec<MemberUrl>,
    /// Where to listen for peers.
    #[arg(long, env = "ETCD_LISTEN_PEER_URLS", value_name = "URLS", value_delimiter = ',', default_value = "http://localhost:2380")]
    pub(crate) listen_peer_urls: Vec<MemberUrl>,
    /// Where peers are told to come.
    #[arg(
        long,
        env = "ETCD_INITIAL_ADVERTISE_PEER_URLS",
        value_name = "URLS",
        value_delimiter = ',',
        default_value = "http://localhost:2380"
    )]
    pub(crate) initial_advertise_peer_urls: Vec<MemberUrl>,
    /// All members of the cluster when it begins: NAME=URL,NAME=URL. The default is this member alone.
    #[arg(long, env = "ETCD_INITIAL_CLUSTER", value_name = "MEMBERS")]
    pub(crate) initial_cluster: Option<String>,
    /// Whether the cluster begins now, or this member joins one that has added it.
    #[arg(long, env = "ETCD_INITIAL_CLUSTER_STATE", value_name = "STATE", default_value = "new")]
    pub(crate) initial_cluster_state: ClusterState,
    /// Tells clusters apart that begin with the same members.
    #[arg(long, env = "ETCD_INITIAL_CLUSTER_TOKEN", value_name = "TOKEN", default_value = "etcd-cluster")]
    pub(crate) initial_cluster_token: String,
}

/// `--initial-cluster-state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClusterState {
    /// All members of --initial-cluster start a cluster together.
    New,
    /// This member joins.
    Existing,
}

/// Certificates towards clients.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS with clients")]
pub(crate) struct ClientTlsFlags {
    /// Certificate of this member, in PEM.
    #[arg(long, env = "ETCD_CERT_FILE", value_name = "FILE")]
    pub(crate) cert_file: Option<PathBuf>,
    /// Its key, in PEM.
    #[arg(long, env = "ETCD_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Authorities that certify clients, in PEM. Clients then must have a certificate.
    #[arg(long, env = "ETCD_TRUSTED_CA_FILE", value_name = "FILE")]
    pub(crate) trusted_ca_file: Option<PathBuf>,
    /// Require certificates of clients.
    #[arg(long, env = "ETCD_CLIENT_CERT_AUTH", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) client_cert_auth: bool,
}

/// Certificates between members.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS between members")]
pub(crate) struct PeerTlsFlags {
    /// Certificate of this member, in PEM.
    #[arg(long, env = "ETCD_PEER_CERT_FILE", value_name = "FILE")]
    pub(crate) peer_cert_file: Option<PathBuf>,
    /// Its key, in PEM.
    #[arg(long, env = "ETCD_PEER_KEY_FILE", value_name = "FILE")]
    pub(crate) peer_key_file: Option<PathBuf>,
    /// Authorities that certify members, in PEM: each member must have a certificate of theirs.
    #[arg(long, env = "ETCD_PEER_TRUSTED_CA_FILE", value_name = "FILE")]
    pub(crate) peer_trusted_ca_file: Option<PathBuf>,
    /// Require certificates of members.
    #[arg(long, env = "ETCD_PEER_CLIENT_CERT_AUTH", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) peer_client_cert_auth: bool,
}

/// Times, limits and logging.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tuning")]
pub(crate) struct TuningFlags {
    /// Milliseconds between heartbeats of the leader.
    #[arg(long, env = "ETCD_HEARTBEAT_INTERVAL", value_name = "MILLISECONDS", default_value_t = 100)]
    pub(crate) heartbeat_interval: u64,
    /// Milliseconds without a heartbeat after which a member stands for election.
    #[arg(long, env = "ETCD_ELECTION_TIMEOUT", value_name = "MILLISECONDS", default_value_t = 1000)]
    pub(crate) election_timeout: u64,
    /// Bytes of data above which writes are refused; 0 for 2 GiB, less for no limit.
    #[arg(long, env = "ETCD_QUOTA_BACKEND_BYTES", value_name = "BYTES", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) quota_backend_bytes: i64,
    /// Bytes of the largest write.
    #[arg(long, env = "ETCD_MAX_REQUEST_BYTES", value_name = "BYTES", default_value_t = shoal_kv::limits::DEFAULT_REQUEST_BYTES)]
    pub(crate) max_request_bytes: usize,
    /// Operations in the largest transaction.
    #[arg(long, env = "ETCD_MAX_TXN_OPS", value_name = "NUMBER", default_value_t = shoal_kv::limits::DEFAULT_TXN_OPERATIONS)]
    pub(crate) max_txn_ops: usize,
    /// How often a quiet watcher is told how far it is, if it wants that: 10m, 5s.
    #[arg(long, env = "ETCD_WATCH_PROGRESS_NOTIFY_INTERVAL", value_name = "DURATION", default_value = "10m", value_parser = duration::parse)]
    pub(crate) watch_progress_notify_interval: Duration,
    /// Entries of the log after which the state is written down at the latest, which shortens a restart and wears the medium. The default is
    /// 100000, as it was etcd's for long: the entries' bytes count, too, and come first.
    #[arg(long, env = "ETCD_SNAPSHOT_COUNT", value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) snapshot_count: Option<u64>,
    /// Members without a vote that there may be.
    #[arg(long, env = "ETCD_MAX_LEARNERS", value_name = "NUMBER", default_value_t = 1)]
    pub(crate) max_learners: usize,
    /// What to log.
    #[arg(long, env = "ETCD_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: LogLevel,
}

/// `--log-level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
    /// As error.
    Panic,
    /// As error.
    Fatal,
}

/// Arguments as clap knows them: Go's flags may begin with one dash, too.
pub(crate) fn normalize(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    arguments
        .into_iter()
        .map(|argument| match argument.to_str() {
            Some(text) if text.len() > 2 && text.starts_with('-') && text.as_bytes()[1].is_ascii_lowercase() => format!("-{text}").into(),
            _ => argument,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Flags, clap::Error> {
        Flags::try_parse_from(normalize(["shoal-store"].iter().chain(arguments).map(OsString::from)))
    }

    #[test]
    fn flags_are_written_in_each_of_gos_forms() {
        for arguments in [&["--name=one"][..], &["--name", "one"], &["-name=one"], &["-name", "one"]] {
            assert_eq!(parse(arguments).expect("it is a flag").member.name, "one", "{arguments:?}");
        }
        for (arguments, required) in [
            (&["--client-cert-auth"][..], true),
            (&["--client-cert-auth=true"], true),
            (&["--client-cert-auth=false"], false),
            (&["--client-cert-auth", "--name=one"], true),
            (&[], false),
        ] {
            assert_eq!(parse(arguments).expect("it is a flag").client_tls.client_cert_auth, required, "{arguments:?}");
        }
        assert_eq!(parse(&["--quota-backend-bytes", "-1"]).expect("a number").tuning.quota_backend_bytes, -1);
        assert_eq!(parse(&["--quota-backend-bytes=-1"]).expect("a number").tuning.quota_backend_bytes, -1);
    }

    #[test]
    fn the_defaults_are_etcds() {
        let flags = parse(&[]).expect("nothing need be said");
        assert_eq!(flags.member.name, "default");
        assert_eq!(flags.member.listen_client_urls[0].to_string(), "http://localhost:2379");
        assert_eq!(flags.member.listen_peer_urls[0].to_string(), "http://localhost:2380");
        assert_eq!(flags.member.initial_cluster_token, "etcd-cluster");
        assert_eq!((flags.tuning.heartbeat_interval, flags.tuning.election_timeout), (100, 1000));
        assert_eq!((flags.tuning.max_request_bytes, flags.tuning.max_txn_ops), (1_572_864, 128));
        assert_eq!(flags.tuning.watch_progress_notify_interval, Duration::from_secs(600));
    }

    #[test]
    fn bad_values_are_told_how_to_be_written() {
        for (arguments, text) in [
            (&["--listen-client-urls=127.0.0.1:2379"][..], "write it like http://"),
            (&["--watch-progress-notify-interval=5"], "write numbers with units"),
            (&["--initial-cluster-state=old"], "[possible values: new, existing]"),
            (&["--log-level=loud"], "possible values: debug, info"),
            (&["--heartbeat-intervall=5"], "--heartbeat-interval"),
            (&["--max-txn-ops=many"], "invalid digit"),
        ] {
            let error = parse(arguments).expect_err("it is wrong").to_string();
            assert!(error.contains(text), "{arguments:?}: {error}");
        }
    }
}
