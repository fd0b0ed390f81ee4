//! `shoal-store snapshot`: backups of a cluster. `save` is etcdctl's, `status` and `restore` are etcdutl's, with their flags.

mod restore;
mod save;
mod status;

use std::{ffi::OsString, path::PathBuf};

use anyhow::Context;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::url::MemberUrl;

/// Backups of a cluster.
#[derive(Debug, Parser)]
#[command(name = "shoal-store snapshot", bin_name = "shoal-store snapshot")]
struct SnapshotFlags {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write everything that a member has to a file.
    Save(SaveFlags),
    /// Check every byte of a backup, and say what is in it.
    Status(StatusFlags),
    /// Make the data directory of a member of a new cluster from a backup.
    Restore(RestoreFlags),
}

#[derive(Debug, Args)]
struct SaveFlags {
    /// The file to write. It appears only when it is complete.
    file: PathBuf,
    #[command(flatten)]
    from: Endpoint,
}

/// The member to ask, in etcdctl's words.
#[derive(Debug, Args)]
struct Endpoint {
    /// Where the member serves clients.
    #[arg(long = "endpoints", env = "ETCDCTL_ENDPOINTS", value_name = "URL", default_value = "http://127.0.0.1:2379")]
    url: MemberUrl,
    /// Authorities that certify the member, in PEM.
    #[arg(long, env = "ETCDCTL_CACERT", value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Certificate to show to the member, in PEM.
    #[arg(long, env = "ETCDCTL_CERT", value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key, in PEM.
    #[arg(long, env = "ETCDCTL_KEY", value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct StatusFlags {
    /// The backup.
    file: PathBuf,
    /// How to print it.
    #[arg(short, long, value_name = "FORMAT", default_value = "simple")]
    write_out: Format,
}

/// `--write-out`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Hash, revision, keys, size and version, with commas between them.
    Simple,
    /// The same with names, on a line each.
    Fields,
    Json,
    Table,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A backup is restored for every member of the new cluster, from the same file and with the same --initial-cluster, \
                        --initial-cluster-token and --bump-revision; then all of them are started. Nobody who belonged to the old cluster \
                        belongs to the new one.\n\nA member of a cluster that is running is not brought back by this: remove it, and add a new \
                        one with `etcdctl member add`.\n\nWhere clients remember revisions, as the API servers of Kubernetes do, raise the \
                        revision by more than the old cluster can have made since the backup (--bump-revision=1000000000 --mark-compacted): \
                        otherwise they may be shown two histories under the same revisions, and never notice."
)]
struct RestoreFlags {
    /// The backup.
    file: PathBuf,
    /// The data directory to make. It appears only when it is complete. The default is NAME.etcd in the working directory.
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// Name of the member.
    #[arg(long, default_value = "default")]
    name: String,
    /// All members of the new cluster: NAME=URL,NAME=URL. The default is this member alone.
    #[arg(long, value_name = "MEMBERS")]
    initial_cluster: Option<String>,
    /// Tells clusters apart that are restored from the same backup for the same members: another one each time.
    #[arg(long, value_name = "TOKEN", default_value = "etcd-cluster")]
    initial_cluster_token: String,
    /// Where the other members reach this one.
    #[arg(long, value_name = "URLS", value_delimiter = ',', default_value = "http://localhost:2380")]
    initial_advertise_peer_urls: Vec<MemberUrl>,
    /// By how much the newest revision is to be larger than that of the backup.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    bump_revision: u64,
    /// Tell clients that want to go on from a revision before that that it is compacted. Needed with --bump-revision, and only then.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", value_name = "BOOL")]
    mark_compacted: bool,
    /// etcdutl's; refused.
    #[arg(long, hide = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", value_name = "BOOL")]
    skip_hash_check: bool,
}

/// Does what the arguments after `shoal-store` say, of which the first is `snapshot`.
pub(crate) fn run(arguments: Vec<OsString>) -> anyhow::Result<()> {
    let SnapshotFlags { command } = SnapshotFlags::parse_from(arguments);
    match command {
        Command::Save(SaveFlags { file, from }) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
            runtime.block_on(save::save(&file, &from))
        }
        Command::Status(StatusFlags { file, write_out }) => status::status(&file, write_out),
        Command::Restore(flags) => restore::restore(flags),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restore(arguments: &[&str]) -> Result<RestoreFlags, clap::Error> {
        let Command::Restore(flags) = SnapshotFlags::try_parse_from([&["snapshot", "restore", "file"], arguments].concat())?.command else {
            panic!("it is the one command that was given");
        };
        Ok(flags)
    }

    #[test]
    fn the_flags_and_defaults_are_etcdutls() {
        let flags = restore(&[]).expect("nothing need be said");
        assert_eq!((flags.name.as_str(), flags.initial_cluster_token.as_str()), ("default", "etcd-cluster"));
        assert_eq!(flags.initial_advertise_peer_urls[0].to_string(), "http://localhost:2380");
        assert!(flags.bump_revision == 0 && !flags.mark_compacted && !flags.skip_hash_check);
        let flags = restore(&["--bump-revision", "7", "--mark-compacted", "--data-dir=d"]).expect("they are flags");
        assert!(flags.bump_revision == 7 && flags.mark_compacted && flags.data_dir == Some("d".into()));
        assert!(!restore(&["--mark-compacted=false"]).expect("it is a flag").mark_compacted);
        restore(&["--bump-revision=-1"]).expect_err("revisions do not go back");
    }

    #[test]
    fn formats_are_written_as_gos_shorthands() {
        for arguments in [&["-w", "json"][..], &["-w=json"], &["-wjson"], &["--write-out=json"], &["--write-out", "json"]] {
            let parsed = SnapshotFlags::try_parse_from([&["snapshot", "status", "file"], arguments].concat()).expect("it is a flag");
            assert!(matches!(parsed.command, Command::Status(StatusFlags { write_out: Format::Json, .. })), "{arguments:?}");
        }
    }
}
