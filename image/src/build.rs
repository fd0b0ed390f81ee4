//! A build: from a recipe and its lock to the forms of an image, for one architecture.
//!
//! ```text
//!   packages ─┐            ┌─ early modules ─┐
//!   kernel ───┤            │                 │
//!   crates ───┼─► root ─► initrd ─► UKI ─► ESP ─► disk ─► qcow2
//!   programs ─┤  (EROFS)                     └──► ISO
//!   images ───┘
//! ```

use std::path::{Path, PathBuf};

use anyhow::Result;
use shoal_cache::Cache;
use shoal_contract::Arch;
use shoal_format::epoch::Epoch;
use shoal_recipe::Recipe;
use shoal_recipe::model::Format;
use uuid::Uuid;

use crate::events::Reporter;
use crate::project::Project;
use crate::sources::Sources;
use crate::step::{self, Built, Key};
use crate::steps::crates::crates;
use crate::steps::images::images;
use crate::steps::initrd::{image_id, initrd};
use crate::steps::kernel_step::{KernelStep, kernel};
use crate::steps::loaders::{Loaders, loaders};
use crate::steps::packages::root_packages;
use crate::steps::programs::{Programs, programs};
use crate::steps::root::{Parts, root};
use crate::steps::{disk, iso};
use crate::toolbox::Toolbox;

/// Namespace of every UUID that Shoal derives (a random UUID, fixed once and for all).
pub const NAMESPACE: Uuid = Uuid::from_u128(0x6b0f_2a3d_9d5c_4e6a_8f1e_5a0a_1c7b_3e42);

/// Everything a build works with.
#[derive(Debug)]
pub struct Build<'build> {
    /// The recipe and where it lies.
    pub project: &'build Project,
    /// The recipe (of `project`).
    pub recipe: &'build Recipe,
    /// The cache.
    pub cache: &'build Cache,
    /// Where events go.
    pub reporter: &'build Reporter,
    /// What the lock pins, in the cache.
    pub sources: &'build Sources,
    /// The pinned tools.
    pub tools: &'build Toolbox<'build>,
    /// Use nothing but the cache.
    pub offline: bool,
}

/// The results of a build for one architecture, in the cache.
#[derive(Debug)]
pub struct Artifacts {
    /// Architecture.
    pub arch: Arch,
    /// The image's id.
    pub id: Uuid,
    /// The kernel step (vmlinuz).
    pub kernel: Built,
    /// The root (EROFS image and table of parts).
    pub root: Built,
    /// The Go and C programs.
    pub programs: Programs,
    /// The initramfs.
    pub initrd: Built,
    /// The UKI, with its sections.
    pub uki: Built,
    /// The raw disk image, if asked for.
    pub disk: Option<Built>,
    /// The ISO, if asked for.
    pub iso: Option<Built>,
    /// The qcow2 disk, if asked for.
    pub qcow2: Option<Built>,
}

impl Build<'_> {
    /// The time stamp of everything in the image.
    ///
    /// # Errors
    /// If the recipe's is outside the years that the formats can carry.
    pub fn epoch(&self) -> Result<Epoch> {
        Ok(Epoch::try_from(self.recipe.epoch)?)
    }

    /// Runs a step; see [`step::step`].
    ///
    /// # Errors
    /// As [`step::step`].
    pub fn step(&self, name: &str, key: Key, run: impl FnOnce(&Path) -> Result<()>) -> Result<Built> {
        step::step(self.cache, self.reporter, name, key, run)
    }

    /// A directory that survives builds, for compilers' own caches. Nothing in it is taken for a result.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        Ok(self.cache.shared(name)?)
    }

    /// Builds `formats` for `arch`.
    ///
    /// # Errors
    /// If a step fails; what was finished before stays in the cache.
    pub fn run(&self, arch: Arch, formats: &[Format]) -> Result<Artifacts> {
        let kernel_step: KernelStep = kernel(self, arch)?;
        let packages = root_packages(self, arch)?;
        let crates = crates(self, arch)?;
        let programs = programs(self, arch)?;
        let images = images(self, arch, &programs)?;
        let parts = Parts { packages: &packages, kernel: &kernel_step.built, crates: &crates, programs: &programs, images: &images };
        let root = root(self, arch, &parts)?;
        let initrd = initrd(self, arch, &kernel_step, &crates, &root)?;
        let id = image_id(&initrd)?;
        let loaders: Loaders = loaders(self, arch)?;
        let uki = disk::uki(self, arch, &kernel_step, &initrd, &loaders)?;
        let wants = |format| formats.contains(&format);
        let disk = wants(Format::Img).then(|| disk::disk(self, arch, id, &uki, &loaders)).transpose()?;
        let qcow2 = wants(Format::Qcow2).then(|| disk::qcow2(self, arch, id, &uki, &loaders)).transpose()?;
        let iso = wants(Format::Iso).then(|| iso::iso(self, arch, id, &uki, &loaders)).transpose()?;
        Ok(Artifacts { arch, id, kernel: kernel_step.built, root, programs, initrd, uki, disk, iso, qcow2 })
    }
}
