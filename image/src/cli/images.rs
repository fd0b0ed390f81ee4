//! Arguments of the commands that make images, and of the cache.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use shoal_contract::Arch;

use super::Common;

/// Arguments of `shoal build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// A recipe: a path, or the name of one in recipes/.
    #[arg(default_value = "shoal")]
    pub recipe: String,
    /// Architecture to build for; may be given twice [default: this machine's].
    #[arg(long, value_name = "amd64|arm64")]
    pub arch: Vec<Arch>,
    /// Directory for the results.
    #[arg(long, short, default_value = "out", value_name = "DIR")]
    pub out: PathBuf,
    /// Write only these forms [default: the recipe's].
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FORMATS")]
    pub format: Vec<FormatArg>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub common: Common,
}

/// A form of an image, as it is written on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Raw disk image for dd.
    Img,
    /// Hybrid ISO.
    Iso,
    /// qcow2 disk.
    Qcow2,
    /// UKI for UEFI network boot.
    Efi,
    /// vmlinuz and initrd.
    Kernel,
}

/// Arguments of `shoal lock`.
#[derive(Debug, Args)]
pub struct LockArgs {
    /// A recipe: a path, or the name of one in recipes/.
    #[arg(default_value = "shoal")]
    pub recipe: String,
    /// Take the newest versions, also of what is locked already.
    #[arg(long)]
    pub update: bool,
    /// Change nothing; fail if the lock would change.
    #[arg(long, conflicts_with = "update")]
    pub check: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub common: Common,
}

/// Arguments of `shoal inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// An image (.img, .iso, .qcow2, .efi), its zstd form, or the directory of a build.
    pub image: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print Markdown tables, as they stand in docs/.
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
}

/// Arguments of `shoal cache`.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// What to do [default: show].
    #[command(subcommand)]
    pub command: Option<CacheCommand>,
    /// The cache [default: $XDG_CACHE_HOME/shoal or ~/.cache/shoal].
    #[arg(long, env = "SHOAL_CACHE", value_name = "DIR", global = true)]
    pub cache: Option<PathBuf>,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Show how large the cache is.
    Show,
    /// Remove what was not used lately, and what killed builds left behind. What a running build uses stays.
    Prune {
        /// Remove everything.
        #[arg(long, conflicts_with = "days")]
        all: bool,
        /// Remove what was not used for this many days.
        #[arg(long, default_value_t = 30, value_name = "N")]
        days: u32,
    },
}
