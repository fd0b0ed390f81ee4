//! `<recipe>.lock`: every source of a recipe with its SHA-256.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Content, File, Recipe};

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

/// A lock that cannot be read. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is not TOML, or not of this shape.
    #[error("this is not a lock; delete it and write it anew with `shoal lock`")]
    Syntax {
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// It was written by another version of `shoal`.
    #[error("this lock has format {found}, and this version of shoal reads format {}; write it anew with `shoal lock`", Lock::FORMAT)]
    Format {
        /// Its format.
        found: u32,
    },
}

/// Why a lock does not fit a recipe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StaleReason {
    /// The recipe names an archive that the lock does not.
    #[error("the recipe uses the archive `{0}`, which is not locked")]
    Archive(String),
    /// The recipe names a Go module that the lock does not.
    #[error("the recipe uses the Go module in `{0}`, which is not locked")]
    Go(String),
    /// The recipe names a file that the lock does not.
    #[error("the recipe uses `{0}`, which is not locked")]
    File(String),
    /// The recipe names other sources than it did.
    #[error("the recipe's archives, packages, tools or files have changed since it was written")]
    Sources,
}

/// Written above the values.
const HEADER: &str =
    "# Every source of a recipe with its SHA-256. Written by `shoal lock`; keep it beside the recipe, and do not edit it.\n";

/// What every format of a lock begins with.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Lock {
    /// Version of the format.
    pub const FORMAT: u32 = 1;

    /// Reads a lock.
    ///
    /// # Errors
    /// [`LockError`] if `text` is no lock, or one of another format.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let syntax = |source| LockError::Syntax { source: Box::new(source) };
        let Format { format: found } = toml::from_str(text).map_err(syntax)?;
        if found != Self::FORMAT {
            return Err(LockError::Format { found });
        }
        toml::from_str(text).map_err(syntax)
    }

    /// The lock as TOML, with its packages sorted: equal locks give equal bytes, and one package more is one entry more in a diff.
    ///
    /// # Panics
    /// Never: every field has a TOML form.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut sorted = self.clone();
        sorted.packages.sort();
        let values = toml::to_string_pretty(&sorted).expect("a lock has no value that TOML cannot express");
        format!("{HEADER}\n{values}")
    }

    /// Why this lock does not fit `recipe`; none if it does.
    #[must_use]
    pub fn stale_reason(&self, recipe: &Recipe) -> Option<StaleReason> {
        if self.sources == recipe.sources() {
            return None;
        }
        let archive = recipe.archives.keys().find(|name| !self.archives.contains_key(*name)).cloned().map(StaleReason::Archive);
        let go = || recipe.go_modules().into_iter().find(|name| !self.go.contains_key(*name)).map(|name| StaleReason::Go(name.to_owned()));
        let file = || {
            let literal = |file: &'_ File| match &file.content {
                // An address with `{arch}` in it is locked under others, one for each architecture.
                Content::Url(name) if !name.contains("{arch}") => Some(name.clone()),
                Content::Source(name) => Some(name.clone()),
                _ => None,
            };
            recipe.all_files().filter_map(literal).find(|name| !self.files.contains_key(name)).map(StaleReason::File)
        };
        archive.or_else(go).or_else(file).or(Some(StaleReason::Sources))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> LockedPackage {
        let text = |text: &str| text.to_owned();
        LockedPackage {
            archive: text("debian"),
            name: text(name),
            arch: text("amd64"),
            version: text("1:2.0-1"),
            path: format!("pool/main/{name}.deb"),
            size: 5,
            sha256: "00".repeat(32),
            source: text(name),
        }
    }

    #[test]
    fn the_order_in_which_packages_were_found_does_not_show() {
        let lock = |packages| Lock { format: Lock::FORMAT, sources: String::new(), packages, ..Lock::default() };
        let (one, other) = (lock(vec![package("a"), package("b")]), lock(vec![package("b"), package("a")]));
        assert_eq!(one.to_toml(), other.to_toml());
        assert_eq!(Lock::parse(&other.to_toml()).unwrap(), one);
    }

    #[test]
    fn a_lock_of_another_format_is_told_apart_from_a_broken_one() {
        assert!(matches!(Lock::parse("format = 7\nnew-things = true\n"), Err(LockError::Format { found: 7 })));
        assert!(matches!(Lock::parse("format = 1\nsources = 5\n"), Err(LockError::Syntax { .. })));
        assert!(matches!(Lock::parse("<<<<<<< HEAD\n"), Err(LockError::Syntax { .. })));
    }
}
