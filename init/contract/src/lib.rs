//! What the image builder writes and PID 1 reads: the seam between `image/` and `init/`.
//!
//! Three files, each with one owner on either side:
//!
//! | file | where | type |
//! |---|---|---|
//! | `/shoal/boot.toml` | initramfs | [`Boot`]: which image this is, what to load, where state goes |
//! | `/etc/shoal/services.toml` | root file system | [`Services`]: what to run, in what order, with which limits |
//! | `/usr/lib/modules/<release>/shoal.modules` | initramfs and root | [`modules::Index`]: names, aliases and dependencies of modules |
//!
//! Both sides compile against these types, so a box never meets a file that its init cannot read. This crate holds data and
//! its checks; it opens no file and takes no decision.

pub mod boot;
pub mod modules;
pub mod service;

pub use boot::{Arch, Boot};
pub use service::{Service, Services};

/// Path of [`Boot`] in the initramfs.
pub const BOOT_PATH: &str = "/shoal/boot.toml";
/// Path of [`Services`] in the root file system.
pub const SERVICES_PATH: &str = "/etc/shoal/services.toml";
/// File name of [`modules::Index`] below `/usr/lib/modules/<release>/`.
pub const MODULE_INDEX_NAME: &str = "shoal.modules";
/// Path of the root file system (EROFS) in the initramfs of the live profile.
pub const SYSTEM_PATH: &str = "/system.erofs";

/// A contract file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The text is not TOML of the expected shape. Nothing was changed.
    #[error("not a valid {what}")]
    Syntax {
        /// Which file: "boot.toml" or "services.toml".
        what: &'static str,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The values have the right shape but contradict each other. Nothing was changed.
    #[error("{what}: {reason}")]
    Invalid {
        /// Which file.
        what: &'static str,
        /// What is contradictory, and what to write instead.
        reason: String,
    },
}
