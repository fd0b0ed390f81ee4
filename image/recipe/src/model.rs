//! The checked recipe: what a build is made of, with no choice left in it.
//!
//! Lists keep the order of the recipe where order has a meaning (packages, modules, words of a command) and are sorted by name or path
//! elsewhere; every path is checked; every default is filled in. The same recipe always gives an equal value, and equal values give equal
//! images.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shoal_contract::Service;
use shoal_contract::boot::{Arch, Console, Network, State, Watchdog};

/// A recipe with everything it inherits, checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recipe {
    /// Name: lower-case letters, digits and `-`. It begins the names of the outputs.
    pub name: String,
    /// Version of the image, `major.minor.patch`.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// Build time, seconds since 1970: every time stamp in every output.
    pub epoch: i64,
    /// Debian archives, by name.
    pub archives: BTreeMap<String, Archive>,
    /// Debian packages for the root file system, in the order of the file.
    pub packages: Vec<Package>,
    /// Tools that the build itself needs, by name (`qemu`, `erofs`, `rust`, `cc`, `go`, `grub`, ...).
    pub tools: BTreeMap<String, Tool>,
    /// Kernel and initramfs.
    pub kernel: Kernel,
    /// Boot loaders, by role.
    pub loaders: Loaders,
    /// Workspace crates.
    pub crates: Vec<CrateBinary>,
    /// Go programs.
    pub go: Vec<GoProgram>,
    /// C programs of one file.
    pub c: Vec<CProgram>,
    /// Files.
    pub files: Vec<File>,
    /// Symbolic links.
    pub links: Vec<Link>,
    /// Empty directories.
    pub directories: Vec<Directory>,
    /// Container images baked into the root file system as OCI archives.
    pub images: Vec<OciImage>,
    /// Services that PID 1 runs.
    pub services: Vec<Service>,
    /// Where state goes.
    pub state: State,
    /// First network.
    pub network: Network,
    /// Console.
    pub console: Console,
    /// Hardware watchdog.
    pub watchdog: Watchdog,
    /// Accept `shoal.fault=` (test recipes only).
    pub faults: bool,
    /// What a build writes.
    pub outputs: Outputs,
}

/// A Debian archive whose `InRelease` is verified against pinned keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Archive {
    /// Last path segment of the mirror's URI, by which the host's own apt sources are searched: `debian`, `debian-security`.
    pub origin: String,
    /// Suite or code name, e.g. `trixie`.
    pub suite: String,
    /// Components, e.g. `main`.
    pub components: Vec<String>,
    /// Files with the archive's OpenPGP keys, relative to the recipe that names them; resolved to paths relative to the recipes' directory.
    pub keys: Vec<String>,
    /// What to do when a locked version is gone from the archive.
    pub when_gone: WhenGone,
}

/// What to do when a locked version is gone from the archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenGone {
    /// The build fails and names the command that refreshes the lock.
    #[default]
    Fail,
    /// The newest version of the suite takes its place, and the manifest says so.
    Newest,
}

/// Debian packages that are unpacked into the root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Package {
    /// Name in the archive.
    pub name: String,
    /// Name of the archive.
    pub archive: String,
    /// Architectures of images that get it.
    pub arch: Vec<Arch>,
    /// Take what it depends on, too.
    pub depends: Depends,
    /// Paths to keep, as globs relative to `/` (`usr/bin/*`, `**`). Empty: all but documentation, locales and maintainers' data. Applies to
    /// the named package only, not to what it depends on.
    pub include: Vec<String>,
    /// Paths to leave out, as globs, in the named package.
    pub exclude: Vec<String>,
}

/// Whether a package brings what it depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depends {
    /// `Depends` and `Pre-Depends`, transitively, except these packages.
    Closure {
        /// Packages neither taken nor followed.
        except: Vec<String>,
    },
    /// Only the package itself.
    #[default]
    None,
}

/// A tool that the build needs: Debian packages with their closure, unpacked in the cache and run from there. Always for the build
/// machine's architecture (amd64), except packages written `name:arm64`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tool {
    /// Name of the archive.
    pub archive: String,
    /// Packages.
    pub packages: Vec<String>,
    /// Packages of the closure neither taken nor followed.
    pub except: Vec<String>,
}

/// Kernel and initramfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kernel {
    /// Name of the archive.
    pub archive: String,
    /// Package by architecture: a meta package (`linux-image-amd64`) that depends on the one with the kernel.
    pub package: BTreeMap<Arch, String>,
    /// Kernel command line, with per-architecture additions behind it.
    pub cmdline: BTreeMap<Arch, String>,
    /// Modules that go into the initramfs and are loaded before the root is mounted.
    pub early_modules: Vec<String>,
    /// Modules loaded after the root is mounted, whatever the hardware.
    pub always_modules: Vec<String>,
    /// Modules carried in the root, loaded by modalias or on request: names, or globs of paths below `kernel/` (`drivers/net/usb/*`). What they depend on comes along. A
    /// name that an architecture's kernel does not have is an error unless it ends in `?`.
    pub modules: Vec<String>,
    /// Firmware packages; of each only the files that the carried modules name.
    pub firmware: Vec<String>,
}

/// Boot loaders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Loaders {
    /// Name of the archive.
    pub archive: String,
    /// Package with systemd-boot and the UKI stub, for every architecture.
    pub uefi: String,
    /// Package with GRUB's i386-pc modules, for legacy BIOS on amd64.
    pub bios: String,
    /// Modules linked into GRUB's core image.
    pub grub_modules: Vec<String>,
}

/// A binary of a workspace crate, static, compiled by the pinned Rust toolchain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CrateBinary {
    /// Cargo package.
    pub package: String,
    /// Binary of it.
    pub binary: String,
    /// Where it goes.
    pub path: String,
    /// Goes into the initramfs, not into the root.
    pub initramfs: bool,
}

/// A Go program, static (`CGO_ENABLED=0`), compiled by the pinned Go toolchain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GoProgram {
    /// Name, for events and for [`Content::Go`].
    pub name: String,
    /// Directory with `go.mod`, relative to the recipes' directory.
    pub module: String,
    /// Package to build: `./cmd/kube`, or an import path that `go.mod` requires.
    pub package: String,
    /// Build tags.
    pub tags: Vec<String>,
    /// `-X` definitions, `importpath.name` to value.
    pub define: BTreeMap<String, String>,
    /// Where it goes in the root; none: it is only content of images.
    pub path: Option<String>,
    /// Other names for it: absolute paths of symbolic links.
    pub links: Vec<String>,
}

/// A C program of one file, static, compiled by the pinned C compiler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CProgram {
    /// Name, for events and for [`Content::C`].
    pub name: String,
    /// Directory with `go.mod` whose module cache has the source.
    pub module: String,
    /// Go module that carries the source, e.g. `k8s.io/kubernetes`.
    pub from: String,
    /// Path in that module, e.g. `build/pause/linux/pause.c`.
    pub source: String,
    /// Compiler flags.
    pub flags: Vec<String>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct File {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// What is in it.
    pub content: Content,
    /// Architectures of images that get it.
    pub arch: Vec<Arch>,
}

/// Content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Text written in the recipe.
    Text(String),
    /// A local file, relative to the recipes' directory.
    Source(String),
    /// A download, pinned by SHA-256 in the lock. `{arch}` stands for the architecture.
    Url(String),
    /// A Go program of this recipe.
    Go(String),
    /// A C program of this recipe.
    C(String),
    /// A file of a Debian package of the image's architecture.
    Debian {
        /// Name of the archive.
        archive: String,
        /// Package.
        package: String,
        /// Path in it, relative to `/`.
        path: String,
    },
}

/// A symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Absolute path of the link.
    pub path: String,
    /// What it says.
    pub target: String,
}

/// An empty directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
}

/// A container image that the build writes itself, as an OCI archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OciImage {
    /// Reference it is imported under, e.g. `registry.k8s.io/pause:3.10.2`.
    pub reference: String,
    /// Where the archive goes in the root, e.g. `/usr/share/shoal/images/pause.tar`.
    pub path: String,
    /// Files of its only layer, sorted by path.
    pub files: Vec<File>,
    /// Symbolic links of its layer.
    pub links: Vec<Link>,
    /// Entry point.
    pub entrypoint: Vec<String>,
    /// Arguments.
    pub cmd: Vec<String>,
    /// Environment, `NAME=value`.
    pub env: Vec<String>,
    /// User, `uid:gid`.
    pub user: String,
    /// Architectures of root file systems that get it.
    pub arch: Vec<Arch>,
}

/// What a build writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outputs {
    /// Formats.
    pub formats: Vec<Format>,
    /// zstd level of the compressed forms, 1 to 22.
    pub zstd_level: i32,
    /// EROFS compression as mkfs.erofs names it (`zstd,level=12`), or `none`.
    pub erofs_compression: String,
    /// EROFS cluster size in bytes.
    pub erofs_cluster: u32,
}

/// A form in which an image is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Raw disk: GPT; UEFI, and on amd64 legacy BIOS.
    Img,
    /// Hybrid ISO: CD and `dd`; UEFI, and on amd64 legacy BIOS.
    Iso,
    /// qcow2 of the raw disk.
    Qcow2,
    /// The live UKI, for UEFI network boot.
    Efi,
    /// `vmlinuz` and `initrd`, for iPXE and direct kernel boot.
    Kernel,
}
