//! Arguments of the commands that emulate boxes.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::{Args, Subcommand};
use shoal_contract::Arch;

use super::Common;
use crate::kubeconfig::parse_duration;
use crate::up::place::parse_name;

/// What a cluster is called that nobody gave a name.
const CLUSTER: &str = "shoal";

/// Arguments of `shoal boot`.
#[derive(Debug, Args)]
pub struct BootArgs {
    /// A recipe (a path, or the name of one in recipes/), or an image that was built before (.img, .iso, .qcow2).
    #[arg(default_value = "dev")]
    pub what: String,
    /// Architecture [default: this machine's].
    #[arg(long, value_name = "amd64|arm64")]
    pub arch: Option<Arch>,
    /// End with success as soon as the box prints this [default for the recipe dev: the line its container prints].
    #[arg(long, value_name = "TEXT")]
    pub until: Option<String>,
    /// Keep the box running until Ctrl-C.
    #[arg(long, conflicts_with = "until")]
    pub stay: bool,
    /// Give up after this many seconds; emulated boxes are slow.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    pub deadline: u64,
    /// Memory of the box in MiB.
    #[arg(long, default_value_t = 2048, value_name = "MIB")]
    pub memory: u32,
    /// Processors of the box.
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub cpus: u8,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub common: Common,
}

/// Arguments of `shoal up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// A recipe (a path, or the name of one in recipes/), or a disk image that was built before (.img, .qcow2).
    #[arg(default_value = "shoal")]
    pub what: String,
    /// What the cluster is called: a-z, 0-9 and -. Several can be up at once.
    #[arg(long, default_value = CLUSTER, value_name = "NAME", value_parser = parse_name)]
    pub name: String,
    /// How many boxes. From three on a cluster is highly available.
    #[arg(long, default_value = "3", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=20))]
    pub nodes: u8,
    /// Architecture [default: this machine's].
    #[arg(long, value_name = "amd64|arm64")]
    pub arch: Option<Arch>,
    /// Memory of each box in MiB.
    #[arg(long, default_value = "2048", value_name = "MIB", value_parser = clap::value_parser!(u32).range(512..))]
    pub memory: u32,
    /// Processors of each box.
    #[arg(long, default_value = "2", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub cpus: u8,
    /// Take the cluster down again if its nodes are not all Ready after this time. Where boxes are emulated without KVM, three take a quarter of an hour on two processors.
    #[arg(long, default_value = "30m", value_name = "DURATION", value_parser = parse_duration)]
    pub wait: Duration,
    /// Return when the boxes are switched on.
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
    /// Keep the boxes' disks when the cluster is taken down, or is ended in any other way.
    #[arg(long)]
    pub keep: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub common: Common,
}

/// Arguments of `shoal down`.
#[derive(Debug, Args)]
pub struct DownArgs {
    /// The cluster's name.
    #[arg(default_value = CLUSTER, value_parser = parse_name)]
    pub name: String,
    /// Remove the disks, too, of a cluster that was brought up with --keep.
    #[arg(long)]
    pub delete: bool,
}

/// Arguments of `shoal list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `shoal bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Boot an image several times; print the time to user space and to containerd, and the memory in use then.
    ///
    /// Boots fresh disks in emulated boxes, by UEFI and with QEMU loading the kernel, one box at a time. Times are this machine's, from power-on. Let nothing else
    /// run meanwhile.
    #[command(
        after_help = "Examples:\n  shoal bench boot                      the demonstration image, three boots each way\n  shoal bench boot dev --runs 10 --json"
    )]
    Boot(BenchBootArgs),
    /// Switch on several boxes that were never on; print how long they take to become one cluster.
    ///
    /// They are emulated, on one switch with a DHCP server, and all at once. Times are the boxes' own, from a usable network: that of the box that took longest
    /// counts. Let nothing else run meanwhile; with more boxes than processors, they wait for each other.
    #[command(
        after_help = "Examples:\n  shoal bench formation                 three boxes, once\n  shoal bench formation --boxes 1 --runs 5 --json"
    )]
    Formation(BenchFormationArgs),
}

/// Arguments of `shoal bench formation`.
#[derive(Debug, Args)]
pub struct BenchFormationArgs {
    /// A recipe: a path, or the name of one in recipes/.
    #[arg(default_value = "bare")]
    pub recipe: String,
    /// Architecture [default: this machine's].
    #[arg(long, value_name = "amd64|arm64")]
    pub arch: Option<Arch>,
    /// How many boxes.
    #[arg(long, default_value = "3", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub boxes: u8,
    /// How many formations.
    #[arg(long, default_value = "1", value_name = "N")]
    pub runs: NonZeroU32,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub common: Common,
}

/// Arguments of `shoal bench boot`.
#[derive(Debug, Args)]
pub struct BenchBootArgs {
    /// A recipe: a path, or the name of one in recipes/.
    #[arg(default_value = "dev")]
    pub recipe: String,
    /// Architecture [default: this machine's].
    #[arg(long, value_name = "amd64|arm64")]
    pub arch: Option<Arch>,
    /// How many boots each way.
    #[arg(long, default_value = "3", value_name = "N")]
    pub runs: NonZeroU32,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub common: Common,
}
