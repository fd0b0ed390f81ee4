//! `/shoal/boot.toml`: what PID 1 knows before it has seen a disk or a command line.
//!
//! It lies in the initramfs because firmware and network loaders may drop or replace the kernel command line (iPXE passes the
//! file name as load options, and systemd-stub then ignores the embedded `.cmdline`).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ContractError;

/// A processor architecture, by Debian's and Go's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// 64-bit Arm (ARMv8-A, little endian).
    Arm64,
}

impl Arch {
    /// Both architectures, in the order in which they are listed everywhere.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// Debian's and Go's name: `amd64`, `arm64`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The GNU triplet: `x86_64-linux-gnu`, `aarch64-linux-gnu`.
    #[must_use]
    pub const fn gnu_triplet(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }

    /// Rust's target triple.
    #[must_use]
    pub const fn rust_target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }
}

impl std::fmt::Display for Arch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl std::str::FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "amd64" | "x86_64" | "x86-64" => Ok(Self::Amd64),
            "arm64" | "aarch64" => Ok(Self::Arm64),
            other => Err(format!("`{other}` is not an architecture Shoal builds for; write amd64 or arm64")),
        }
    }
}

/// Contents of `/shoal/boot.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Boot {
    /// Which image this is.
    pub image: Image,
    /// Kernel release (`uname -r`) whose modules the image carries.
    pub kernel_release: String,
    /// Which modules to load, when.
    pub modules: ModuleSets,
    /// Where state goes.
    pub state: State,
    /// First network.
    pub network: Network,
    /// Console and panics.
    pub console: Console,
    /// Hardware watchdog.
    pub watchdog: Watchdog,
    /// Accept `shoal.fault=` on the kernel command line (see `init`'s fault module). Only test recipes set it.
    pub faults: bool,
}

/// Which image this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Image {
    /// Name of the recipe.
    pub name: String,
    /// Version of the recipe.
    pub version: String,
    /// Architecture it is for.
    pub arch: Arch,
    /// UUIDv5 of the image's inputs. It is also the GPT disk GUID of the disk image and of the hybrid ISO, so init knows its medium by it.
    pub id: Uuid,
    /// Build time in seconds since 1970 (SOURCE_DATE_EPOCH): the clock's floor.
    pub epoch: i64,
}

/// Which modules to load, when. Names as in the index, with `-` and `_` alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModuleSets {
    /// Before the root is mounted; these lie in the initramfs.
    pub early: Vec<String>,
    /// After the root is mounted, whatever the hardware.
    pub always: Vec<String>,
}

/// Where state goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct State {
    /// Create and use a state partition on the medium booted from. False: state is always in RAM.
    pub persistent: bool,
    /// The least size of a state partition worth making, in bytes. With less room, state is kept in RAM and the console says so.
    pub minimum_bytes: u64,
    /// How long to wait for the boot medium to appear, in milliseconds. USB sticks take seconds.
    pub medium_timeout_ms: u64,
    /// Size limit of state in RAM, as a percentage of memory.
    pub ram_percent: u8,
}

/// First network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Network {
    /// Ask for DHCPv4 leases on wired links.
    pub dhcp4: bool,
    /// Accept IPv6 router advertisements.
    pub ipv6_ra: bool,
    /// What the host name begins with. Eight digits of the machine id follow, after a hyphen.
    pub hostname: String,
}

/// Console and panics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Console {
    /// Devices that show the status screen, e.g. `tty0`, `ttyS0`. Those that do not exist are passed over; `console=` of the kernel
    /// command line adds to them.
    pub devices: Vec<String>,
    /// Least severe level of service output that goes to the console.
    pub level: Level,
    /// Seconds between a panic of the kernel or of PID 1 and the reboot.
    pub panic_reboot_seconds: u32,
}

/// Severity of a log line, most severe first (syslog's order, RFC 5424, without its three rarest).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something failed.
    Error,
    /// Something will fail, or runs degraded.
    Warning,
    /// What the box is doing.
    Info,
    /// For developers.
    Debug,
}

/// Hardware watchdog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Watchdog {
    /// Use `/dev/watchdog` where there is one.
    pub enabled: bool,
    /// Time without a keep-alive after which the hardware resets the box, in seconds.
    pub timeout_seconds: u32,
}

impl Boot {
    /// Reads `boot.toml`.
    ///
    /// # Errors
    /// [`ContractError::Syntax`] if `text` is not TOML of this shape.
    pub fn parse(text: &str) -> Result<Self, ContractError> {
        toml::from_str(text).map_err(|source| ContractError::Syntax { what: "boot.toml", source: Box::new(source) })
    }

    /// Writes `boot.toml`; the same value always gives the same bytes.
    ///
    /// # Panics
    /// Never: every field of the type has a TOML form.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("Boot has no value that TOML cannot express")
    }
}
