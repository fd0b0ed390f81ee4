//! The pinned tools of a build, unpacked in the cache when first used.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use shoal_cache::{Cache, Digest, StepError};
use shoal_contract::Arch;
use shoal_recipe::Recipe;
use shoal_recipe::lock::LockedGo;
use shoal_tools::cc::CCompiler;
use shoal_tools::go::{GoSettings, GoToolchain};
use shoal_tools::qemu::Qemu;
use shoal_tools::rust::RustToolchain;
use shoal_tools::{Deb, ToolRoot};

use crate::sources::Sources;

/// Tools that a build for an architecture uses.
pub const BUILD_TOOLS: &[&str] = &["erofs", "grub", "rust", "cc", "go"];
/// Tools that booting an image uses.
pub const BOOT_TOOLS: &[&str] = &["qemu"];
/// Tools that tests hold images against.
pub const TEST_TOOLS: &[&str] = &["oracles"];

/// The tools.
#[derive(Debug)]
pub struct Toolbox<'tools> {
    cache: &'tools Cache,
    sources: &'tools Sources,
    offline: bool,
    roots: BTreeMap<String, OnceCell<ToolRoot>>,
    go_settings: OnceCell<GoSettings>,
}

impl<'tools> Toolbox<'tools> {
    /// The recipe's tools. Nothing is unpacked yet.
    #[must_use]
    pub fn new(cache: &'tools Cache, sources: &'tools Sources, recipe: &Recipe, offline: bool) -> Self {
        let roots = recipe.tools.keys().map(|name| (name.clone(), OnceCell::new())).collect();
        Self { cache, sources, offline, roots, go_settings: OnceCell::new() }
    }

    /// Digest of the packages that a tool consists of.
    ///
    /// # Errors
    /// If the recipe has no such tool.
    pub fn digest(&self, name: &str) -> Result<Digest> {
        let mut fields = Vec::new();
        for reference in self.sources.group(&format!("tool.{name}"))? {
            fields.push(self.sources.locked(&reference)?.sha256.clone());
        }
        Ok(Digest::of_fields(fields))
    }

    /// A tool's root, unpacked.
    ///
    /// # Errors
    /// If the recipe has no such tool, or its packages cannot be unpacked.
    pub fn root(&self, name: &str) -> Result<&ToolRoot> {
        let cell = self.roots.get(name).with_context(|| format!("the recipe names no tool `{name}`; add it under [tools]"))?;
        if let Some(root) = cell.get() {
            return Ok(root);
        }
        let root = unpack(self.cache, self.sources, name)?;
        Ok(cell.get_or_init(|| root))
    }

    /// The Rust toolchain.
    ///
    /// # Errors
    /// As [`Self::root`].
    pub fn rust(&self) -> Result<RustToolchain> {
        Ok(RustToolchain::find(self.root("rust")?, self.root("cc")?)?)
    }

    /// The C compiler for `arch`.
    ///
    /// # Errors
    /// As [`Self::root`].
    pub fn cc(&self, arch: Arch) -> Result<CCompiler> {
        Ok(CCompiler::find(self.root("cc")?, arch)?)
    }

    /// The Go toolchain that `locked` pins; fetched with Debian's go when first used.
    ///
    /// # Errors
    /// If it cannot be fetched, or has another hash.
    pub fn go(&self, locked: &LockedGo) -> Result<GoToolchain> {
        let client = self.root("go")?;
        let sum = Some(locked.toolchain_sum.as_str());
        let toolchain = GoToolchain::fetch(self.cache, client, self.go_settings()?, &locked.toolchain, sum, &mut |_| ());
        toolchain.with_context(|| format!("the Go toolchain {} cannot be had", locked.toolchain))
    }

    /// How Go reaches modules: as the host's Go is set up, or not at all.
    ///
    /// # Errors
    /// As [`Self::root`].
    pub fn go_settings(&self) -> Result<&GoSettings> {
        if let Some(settings) = self.go_settings.get() {
            return Ok(settings);
        }
        let settings = if self.offline { GoSettings::offline() } else { GoSettings::of_host(self.root("go")?)? };
        Ok(self.go_settings.get_or_init(|| settings))
    }

    /// QEMU.
    ///
    /// # Errors
    /// As [`Self::root`].
    pub fn qemu(&self) -> Result<Qemu> {
        Ok(Qemu::find(self.root("qemu")?)?)
    }
}

/// Unpacks the tool `name` of a lock.
///
/// # Errors
/// If the lock has no such tool, or a package cannot be unpacked.
pub fn unpack(cache: &Cache, sources: &Sources, name: &str) -> Result<ToolRoot> {
    let deb = |reference: &String| {
        let digest = sources.locked(reference)?.sha256.parse()?;
        Ok(Deb { name: reference.clone(), path: sources.deb(reference)?, digest })
    };
    let debs = sources.group(&format!("tool.{name}"))?.iter().map(deb).collect::<Result<Vec<_>>>()?;
    let unpacked = ToolRoot::unpack(cache, name, &debs).map_err(|error| match error {
        StepError::Run(error) => anyhow::Error::from(error),
        StepError::Cache(error) => error.into(),
    });
    unpacked.with_context(|| format!("the tool `{name}` cannot be unpacked"))
}
