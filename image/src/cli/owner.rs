//! Arguments of the commands of a fleet's owner.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::kubeconfig::parse_duration;
use crate::kubeconfig::server::Server;

/// Arguments of `shoal fleet`.
#[derive(Debug, Args)]
pub struct FleetArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: FleetCommand,
}

/// What to do with fleet files.
#[derive(Debug, Subcommand)]
pub enum FleetCommand {
    /// Make a fleet.
    ///
    /// Writes NAME.fleet, readable by you alone, with a new operator's key and a new join secret. A file that is there is never written over.
    #[command(after_help = "Example:\n  shoal fleet new site1 && shoal stamp edge.img --fleet site1.fleet")]
    New {
        /// What you call it: a-z, 0-9 and -.
        name: String,
        /// Where to write it [default: NAME.fleet].
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Show a fleet, without its secrets.
    Show {
        /// The fleet file [default: your default fleet].
        file: Option<PathBuf>,
    },
}

/// Arguments of `shoal stamp`.
#[derive(Debug, Args)]
pub struct StampArgs {
    /// Images (.img, .iso, .qcow2, .efi, initrd).
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// The fleet file [default: your default fleet].
    #[arg(long, value_name = "FILE")]
    pub fleet: Option<PathBuf>,
    /// Make them nobody's, as they are built.
    #[arg(long, conflicts_with = "fleet")]
    pub unclaimed: bool,
    /// How many nodes there will be: a cluster is founded only where more than half of them see each other. 0: not known.
    #[arg(long, value_name = "N")]
    pub expect: Option<u32>,
    /// What a box with such an image may become once a cluster is in use.
    #[arg(long, value_enum)]
    pub admission: Option<AdmissionArg>,
}

/// Arguments of `shoal kubeconfig`.
#[derive(Debug, Args)]
pub struct KubeconfigArgs {
    /// Where a box of the cluster with a control plane is reached: an address or a name, and a port if it is not 6443.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = Server::parse)]
    pub server: Server,
    /// The fleet that its image was stamped with: a file, or the name of one here or in ~/.config/shoal [default: the only one there].
    #[arg(long, value_name = "NAME|FILE")]
    pub fleet: Option<String>,
    /// Where to write it, readable by you alone; what this command wrote before is replaced [default: standard output].
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// For how many hours it lets somebody in, by the boxes' clocks.
    #[arg(long, default_value = "24", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=8760))]
    pub hours: u32,
    /// Give up after this time; a cluster needs some minutes from power-on until its API answers.
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Duration,
}

/// Who is let in, as it is written on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AdmissionArg {
    /// Anything: a new stick replaces a dead box with no command.
    Open,
    /// A worker; to vote, an operator has to approve it.
    Guarded,
    /// Nothing until an operator approves it.
    Strict,
}
