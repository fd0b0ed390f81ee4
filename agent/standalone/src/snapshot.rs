//! `shoal-store snapshot`: backups of a cluster.

mod save;

use std::{ffi::OsString, path::PathBuf};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

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

/// Does what the arguments after `snapshot` say.
pub(crate) fn run(arguments: Vec<OsString>) -> anyhow::Result<()> {
    let SnapshotFlags { command } = SnapshotFlags::parse_from(arguments);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    match command {
        Command::Save(SaveFlags { file, from }) => runtime.block_on(save::save(&file, &from)),
    }
}
