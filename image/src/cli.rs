//! The command line of `shoal`, and with it the help, the completions and the man pages.

mod boxes;
mod images;
mod owner;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use boxes::{BenchArgs, BenchBootArgs, BenchCommand, BenchFormationArgs, BootArgs, DownArgs, ListArgs, UpArgs};
pub use images::{BuildArgs, CacheArgs, CacheCommand, FormatArg, InspectArgs, LockArgs};
pub use owner::{AdmissionArg, FleetArgs, FleetCommand, KubeconfigArgs, StampArgs};

/// Builds bootable, immutable edge appliance images, and boots them.
///
/// A recipe names what goes into an image: Debian packages, crates, Go programs, files. Its lock pins every source by SHA-256. From both, `shoal build` makes a
/// disk image, a hybrid ISO, a qcow2 disk and a network-boot image for Intel and Arm: the same bits on every machine, without root, and without
/// anything installed but cargo and a C linker.
#[derive(Debug, Parser)]
#[command(
    name = "shoal",
    version,
    after_help = "Start here:\n  shoal boot            build the demonstration image and boot it in an emulated box\n  shoal up              a Kubernetes cluster of emulated boxes on this machine\n  shoal build           build the product's images into ./out\n  shoal inspect IMAGE   what an image is made of\n  shoal stamp IMAGE     make an image one of your fleet\n  shoal kubeconfig      let kubectl into a cluster of your boxes"
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
    /// Bring up a cluster of emulated boxes on this machine.
    ///
    /// Builds an image or takes one, makes it that of a fleet of the cluster's own, boots it in several emulated boxes, waits until all are Ready nodes of Kubernetes, and
    /// leaves a kubeconfig that works from here. Needs no root; the boxes are on a switch of their own and reach nothing outside. The cluster stays until `shoal down`, and if
    /// this command is ended before it is up, nothing is left of it.
    #[command(
        after_help = "Examples:\n  shoal up                                        three boxes of the product\n  shoal up --nodes 1 --name ci-7 --wait 20m       in CI\n  shoal up out/shoal-0.1.0-amd64.img --keep       an image built before; its disks outlive `shoal down`"
    )]
    Up(UpArgs),
    /// Take a cluster of emulated boxes down.
    ///
    /// Cuts the boxes' power. Nothing is left of the cluster, unless it was brought up with --keep: then its disks are, and `shoal up` with its name goes on where it was.
    Down(DownArgs),
    /// Show the clusters of emulated boxes on this machine, and what each box is at.
    List(ListArgs),
    /// Keep the boxes of a cluster: what `shoal up` starts.
    #[command(hide = true)]
    Keep,
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
