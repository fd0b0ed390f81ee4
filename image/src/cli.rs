//! The command line of `shoal`, and with it the help, the completions and the man pages.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use shoal_contract::Arch;

use crate::kubeconfig::parse_duration;
use crate::kubeconfig::server::Server;

/// Builds bootable, immutable edge appliance images, and boots them.
///
/// A recipe names what goes into an image: Debian packages, crates, Go programs, files. Its lock pins every source by SHA-256. From both, `shoal build` makes a
/// disk image, a hybrid ISO, a qcow2 disk and a network-boot image for Intel and Arm: the same bits on every machine, without root, and without
/// anything installed but cargo and a C linker.
#[derive(Debug, Parser)]
#[command(
    name = "shoal",
    version,
    after_help = "Start here:\n  shoal boot            build the demonstration image and boot it in an emulated box\n  shoal build           build the product's images into ./out\n  shoal inspect IMAGE   what an image is made of\n  shoal stamp IMAGE     make an image one of your fleet\n  shoal kubeconfig      let kubectl into a cluster of your boxes"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build the images of a recipe.
    ///
    /// Writes NAME-VERSION-ARCH.img, .iso, .qcow2 and .efi, vmlinuz and initrd, the zstd forms, sbom.cdx.json, manifest.json and SHA256SUMS into --out. A build that
    /// fails leaves --out as it was. What was built before and has not changed is taken from the cache.
    #[command(
        after_help = "Examples:\n  shoal build                          the product, for this machine's architecture\n  shoal build --arch amd64 --arch arm64\n  shoal build my.toml --out /tmp/my --offline\n  sudo dd if=out/shoal-0.1.0-amd64.img of=/dev/sdX bs=4M conv=fsync"
    )]
    Build(BuildArgs),
    /// Build an image and boot it in an emulated box on this machine.
    ///
    /// Needs no root and touches no network: the box's cable is unplugged. Its serial console is shown here. Ctrl-C ends the box; nothing of it is left.
    #[command(
        after_help = "Examples:\n  shoal boot                                     build the demonstration image, boot it, wait for its container\n  shoal boot shoal --until 'services starting'\n  shoal boot out/shoal-0.1.0-amd64.img           boot an image built before"
    )]
    Boot(BootArgs),
    /// Write or check the lock of a recipe.
    ///
    /// The lock stands next to the recipe (RECIPE.lock) and pins every Debian package, Go module, crate, download and local file by SHA-256. Without --update, what is
    /// locked already stays as it is, and only what the recipe newly needs is added.
    #[command(
        after_help = "Examples:\n  shoal lock              after changing what a recipe takes in\n  shoal lock --update     take the archives' newest versions"
    )]
    Lock(LockArgs),
    /// Show what an image is made of and what each part weighs.
    Inspect(InspectArgs),
    /// Make and show fleet files: the key with which an owner administers boxes.
    Fleet(FleetArgs),
    /// Make images those of a fleet.
    ///
    /// Writes one sector of each image in place, in milliseconds; nothing is built anew. Boxes of one fleet find and trust each other, and obey whoever has its fleet
    /// file. Without --fleet that is your default fleet, which is made at its first use. Takes .img, .iso, .qcow2, .efi and initrd; a stick or disk that the image was
    /// written to works as well (/dev/sdX).
    #[command(
        after_help = "Examples:\n  shoal stamp out/*.img                         your default fleet\n  shoal stamp edge.iso --fleet site1.fleet --expect 3\n  shoal stamp out/*.img --unclaimed             for a published image"
    )]
    Stamp(StampArgs),
    /// Make a kubeconfig for a cluster of your fleet.
    ///
    /// Waits until the cluster's API answers, makes sure that it is your fleet's, and prints a kubeconfig for kubectl: with a certificate of your own that ends by
    /// itself, signed here with the key in the fleet file, which does not leave this machine. Make another one when it has ended.
    #[command(
        after_help = "Examples:\n  shoal kubeconfig --server 192.168.1.20 --out site1.kubeconfig && kubectl --kubeconfig site1.kubeconfig get nodes\n  shoal kubeconfig --server box.example:6443 --fleet site1.fleet --hours 1"
    )]
    Kubeconfig(KubeconfigArgs),
    /// Show or empty the cache.
    Cache(CacheArgs),
    /// Measure images on this machine.
    Bench(BenchArgs),
    /// Print completions for a shell.
    #[command(after_help = "Example:\n  shoal completions bash > ~/.local/share/bash-completion/completions/shoal")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a directory.
    Man {
        /// The directory; it is created.
        dir: PathBuf,
    },
}

/// Where things come from and how progress is shown: the same for all commands that build.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The cache of sources, tools and build results [default: $XDG_CACHE_HOME/shoal or ~/.cache/shoal].
    #[arg(long, env = "SHOAL_CACHE", value_name = "DIR", global = true)]
    pub cache: Option<PathBuf>,
    /// Use nothing but the cache: no network.
    #[arg(long, global = true)]
    pub offline: bool,
    /// Take packages of the archives named ORIGIN (debian, debian-security) from URI instead of from this machine's apt settings.
    #[arg(long, value_name = "ORIGIN=URI", value_parser = parse_mirror, global = true)]
    pub mirror: Vec<(String, String)>,
    /// Print one JSON object per event on standard output.
    #[arg(long, global = true, conflicts_with = "plain")]
    pub json: bool,
    /// Print plain lines even on a terminal.
    #[arg(long, global = true)]
    pub plain: bool,
}

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

fn parse_mirror(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((origin, uri)) if uri.contains("://") => Ok((origin.to_owned(), uri.trim_end_matches('/').to_owned())),
        _ => Err("write ORIGIN=URI, such as debian=http://mirror.example/debian".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_argument_has_help() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "`{}` has no help", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "`{}` of `{}` has no help", argument.get_id(), command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn a_mirror_without_an_origin_is_refused() {
        assert!(parse_mirror("http://mirror.example/debian").is_err());
        assert_eq!(parse_mirror("debian=http://m.example/debian/").unwrap().1, "http://m.example/debian");
    }
}
