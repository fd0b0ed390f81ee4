//! `<recipe>.lock`: every source of a recipe with its SHA-256.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A lock, written by `shoal lock` next to the recipe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// Version of this format: 1.
    pub format: u32,
    /// SHA-256 (hex) of the recipe's sources section: a lock of an older recipe is told apart from a complete one.
    pub sources: String,
    /// Archives as they were when the lock was written, by name.
    #[serde(default)]
    pub archives: BTreeMap<String, LockedArchive>,
    /// Packages for the root file system and for tools, sorted by (archive, name, arch).
    #[serde(default, rename = "package")]
    pub packages: Vec<LockedPackage>,
    /// Which packages each group consists of, as `name:arch` in unpacking order. Groups: `root.amd64`, `root.arm64`, `kernel.amd64`, `kernel.arm64`,
    /// `firmware.amd64`, `loaders.amd64`, `loaders.arm64`, `content.amd64`, `content.arm64`, `tool.<name>`.
    #[serde(default)]
    pub groups: BTreeMap<String, LockedGroup>,
    /// Go modules, by directory.
    #[serde(default)]
    pub go: BTreeMap<String, LockedGo>,
    /// Downloads and local files: URL or path to SHA-256 (hex).
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// SHA-256 (hex) of the workspace's `Cargo.lock`.
    #[serde(default)]
    pub cargo: Option<String>,
}

/// An archive as it was when the lock was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedArchive {
    /// SHA-256 (hex) of `InRelease`.
    pub release: String,
    /// Its `Date`.
    pub date: String,
}

/// A Debian package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedPackage {
    /// Name of the archive.
    pub archive: String,
    /// Name.
    pub name: String,
    /// Architecture: `amd64`, `arm64` or `all`.
    pub arch: String,
    /// Version.
    pub version: String,
    /// Path below the mirror's root (`pool/main/...`).
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 (hex).
    pub sha256: String,
    /// Source package, for the SBOM.
    pub source: String,
}

/// The packages of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedGroup {
    /// `archive/name:arch`, in unpacking order.
    pub packages: Vec<String>,
}

/// A Go module directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedGo {
    /// Toolchain version, e.g. `go1.26.8`.
    pub toolchain: String,
    /// Its module hash (`h1:...`), as in `go.sum`.
    pub toolchain_sum: String,
    /// SHA-256 (hex) of `go.mod`.
    pub go_mod: String,
    /// SHA-256 (hex) of `go.sum`, which pins every module.
    pub go_sum: String,
}

impl Lock {
    /// Version of the format.
    pub const FORMAT: u32 = 1;
}
