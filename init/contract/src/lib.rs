//! What the image builder writes and PID 1 reads: the seam between `image/` and `init/`.
//!
//! Four files, each with one owner on either side:
//!
//! | file | where | type |
//! |---|---|---|
//! | `/shoal/boot.toml` | initramfs | [`Boot`]: which image this is, what to load, where state goes |
//! | `/shoal/services.toml` | initramfs | [`Services`]: what to run, in what order, with which limits |
//! | `/shoal/recipe.toml` | initramfs | what the image was built from; PID 1 does not read it |
//! | `/usr/lib/modules/<release>/shoal.modules` | initramfs and root | [`modules::Index`]: names, aliases and dependencies of modules |
//!
//! Besides, `/shoal.config` is the image's configuration, which `shoal stamp` writes and the agent reads; PID 1 only takes it along.
//!
//! The root file system holds what is large and seldom changes; the initramfs, beside PID 1, what the recipe says about both. It is gone when
//! the box runs, so PID 1 carries over what is still wanted then: see [`CARRIED`].
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
/// Path of [`Services`] in the initramfs.
pub const INITRAMFS_SERVICES_PATH: &str = "/shoal/services.toml";
/// Path of the expanded recipe in the initramfs.
pub const INITRAMFS_RECIPE_PATH: &str = "/shoal/recipe.toml";
/// Path of [`Services`] while the box runs.
pub const SERVICES_PATH: &str = "/run/shoal/services.toml";
/// Path of the expanded recipe while the box runs. `/etc/shoal/recipe.toml` is a link to it.
pub const RECIPE_PATH: &str = "/run/shoal/recipe.toml";
/// Path of the image's configuration in the initramfs: one sector that belongs to whoever owns the image (`shoal_trust::config`). A disk image has it in a
/// partition as well, and there it counts. At the top, since the kernel makes no directories for an archive that has none.
pub const INITRAMFS_CONFIG_PATH: &str = "/shoal.config";
/// Path of the configuration while the box runs. Whoever reads it has the fleet's join secret: mode 0400.
pub const CONFIG_PATH: &str = "/run/shoal/config";
/// Length of the configuration in bytes.
pub const CONFIG_BYTES: usize = 4096;
/// Type of the partition with the configuration, on every form of the image that has a partition table; Shoal's own.
pub const CONFIG_PARTITION_TYPE: uuid::Uuid = uuid::uuid!("8f4ab3c2-6d0e-4b57-9a31-5c7be20f6d19");
/// What PID 1 carries out of the initramfs before it changes to the root: the path there, and the path while the box runs. `/run` moves along.
pub const CARRIED: [(&str, &str); 3] =
    [(INITRAMFS_SERVICES_PATH, SERVICES_PATH), (INITRAMFS_RECIPE_PATH, RECIPE_PATH), (INITRAMFS_CONFIG_PATH, CONFIG_PATH)];
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
