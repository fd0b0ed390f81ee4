//! The images that the tests boot, and the tools to do so: built by the `shoal` library into the user's cache, once per process.
//!
//! `$SHOAL_CACHE` names another cache, as it does for the `shoal` command. A failed build is not tried again by every test.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};
use shoal::events::Style;
use shoal::project::Project;
use shoal::run::{Session, open_cache};
use shoal::steps::disk::{DISK_FILE, UKI_FILE};
use shoal::steps::initrd::INITRD_FILE;
use shoal::steps::iso::ISO_FILE;
use shoal::steps::kernel_step::KERNEL_FILE;
use shoal::toolbox::BUILD_TOOLS;
use shoal_contract::Arch;
use shoal_lab::Qemu;
use shoal_recipe::model::Format;

use crate::{full_matrix, words};

/// The recipe that is booted.
pub const RECIPE: &str = "test";
/// The recipe that is booted in its place where [`full_matrix`] is not asked for: the same without Kubernetes and containers.
pub const BARE_RECIPE: &str = "bare";
/// The recipe that is built twice, and booted on arm64, where [`full_matrix`] is not asked for: PID 1 is all of our own that it compiles.
pub const LEAST_RECIPE: &str = "least";
/// The recipe whose box is a cluster, and asks itself whether it is.
pub const CLUSTER_RECIPE: &str = "kube";
/// Names another cache than the user's.
const CACHE_VARIABLE: &str = "SHOAL_CACHE";

/// A built image in its forms. The files are the cache's: nobody may write into them.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its architecture.
    pub arch: Arch,
    /// The recipe it was built from.
    pub recipe: &'static str,
    /// The raw disk image.
    pub disk: PathBuf,
    /// The hybrid ISO, where a test boots it.
    pub iso: Option<PathBuf>,
    /// The UKI, which is the whole live system in one EFI program.
    pub uki: PathBuf,
    /// The kernel by itself.
    pub kernel: PathBuf,
    /// The initramfs by itself.
    pub initrd: PathBuf,
    /// The kernel's command line.
    pub command_line: String,
    /// All programs of Kubernetes in one, where the image has them. It goes by the name it is called by (recipes/kubernetes/README.md).
    pub kube: Option<PathBuf>,
}

impl Image {
    /// The last word of a boot that has gone well: a container's hello, or, where the image has no containers, that all services are ready.
    #[must_use]
    pub fn last_word(&self) -> &'static str {
        if self.recipe == RECIPE { words::HELLO } else { words::ALL_READY }
    }
}

/// What a build left, for all tests of the process.
type Once<T> = OnceLock<Result<T, String>>;

/// The image for `arch`, with containers. What CI runs of arm64 has PID 1 alone, because compiling Kubernetes a second time takes as long as all boots, and
/// the agent as long as many.
///
/// # Errors
/// If it cannot be built; for all tests the same.
pub fn image(arch: Arch) -> Result<&'static Image> {
    static AMD64: Once<Image> = OnceLock::new();
    static ARM64: Once<Image> = OnceLock::new();
    match arch {
        Arch::Amd64 => shared(&AMD64, || build(RECIPE, arch)),
        Arch::Arm64 if full_matrix() => shared(&ARM64, || build(RECIPE, arch)),
        Arch::Arm64 => shared(&ARM64, || build(LEAST_RECIPE, arch)),
    }
}

/// The image for promises in which containers have no part: without them where [`full_matrix`] is not asked for, because most of a boot's time is
/// theirs.
///
/// # Errors
/// If it cannot be built; for all tests the same.
pub fn bare(arch: Arch) -> Result<&'static Image> {
    static AMD64: Once<Image> = OnceLock::new();
    match arch {
        Arch::Amd64 if !full_matrix() => shared(&AMD64, || build(BARE_RECIPE, arch)),
        _ => image(arch),
    }
}

/// The image whose box is a cluster, for x86-64.
///
/// # Errors
/// If it cannot be built; for all tests the same.
pub fn cluster() -> Result<&'static Image> {
    static AMD64: Once<Image> = OnceLock::new();
    shared(&AMD64, || build(CLUSTER_RECIPE, Arch::Amd64))
}

/// The pinned QEMU.
///
/// # Errors
/// If it cannot be fetched; for all tests the same.
pub fn qemu() -> Result<Qemu> {
    static QEMU: Once<Qemu> = OnceLock::new();
    shared(&QEMU, || shoal::boot::qemu(&session()?, &Project::open(RECIPE)?).context("QEMU cannot be had")).cloned()
}

/// Directory of the cache that is used.
///
/// # Errors
/// If the environment names none.
pub fn cache_directory() -> Result<PathBuf> {
    match std::env::var_os(CACHE_VARIABLE) {
        Some(directory) => Ok(directory.into()),
        None => Ok(shoal_cache::Cache::default_dir()?),
    }
}

/// A session with the cache in `directory` that tells what it does in plain lines.
///
/// # Errors
/// If the cache cannot be written.
pub fn session_in(directory: &Path) -> Result<Session> {
    Ok(Session::with(open_cache(Some(directory))?, Style::Plain, Vec::new(), false))
}

fn session() -> Result<Session> {
    session_in(&cache_directory()?)
}

fn shared<T>(once: &'static Once<T>, make: impl FnOnce() -> Result<T>) -> Result<&'static T> {
    once.get_or_init(|| make().map_err(|error| format!("{error:?}"))).as_ref().map_err(|reason| anyhow!(reason.clone()))
}

fn build(recipe: &'static str, arch: Arch) -> Result<Image> {
    build_formats(recipe, arch).with_context(|| format!("the image of recipe {recipe} for {arch} cannot be built"))
}

fn build_formats(recipe: &'static str, arch: Arch) -> Result<Image> {
    let project = Project::open(recipe)?;
    let formats: &[Format] = if arch == Arch::Amd64 && recipe == RECIPE { &[Format::Img, Format::Iso] } else { &[Format::Img] };
    session()?.with_build(&project, &[arch], BUILD_TOOLS, |build| {
        let artifacts = build.run(arch, formats)?;
        Ok(Image {
            arch,
            recipe,
            disk: artifacts.disk.context("the build gave no disk image")?.path(DISK_FILE),
            iso: artifacts.iso.map(|iso| iso.path(ISO_FILE)),
            uki: artifacts.uki.path(UKI_FILE),
            kernel: artifacts.kernel.path(KERNEL_FILE),
            initrd: artifacts.initrd.path(INITRD_FILE),
            kube: artifacts.programs.path("kube"),
            command_line: project.recipe.kernel.cmdline.get(&arch).cloned().unwrap_or_default(),
        })
    })
}
