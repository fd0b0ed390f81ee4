//! The steps around [`super::kernel`]: the kernel, the root's modules and firmware, and the initramfs' modules.

use anyhow::{Context, Result};
use shoal_contract::Arch;
use shoal_format::tree::{NodeKind, Tree};

use crate::build::Build;
use crate::step::{Built, Key};
use crate::steps::kernel::{KernelPackage, select};
use crate::steps::packages::unpack;
use crate::steps::trees::write_tree;

/// Name of the kernel in the step's directory.
pub const KERNEL_FILE: &str = "vmlinuz";
const RELEASE_FILE: &str = "release";
/// Where firmware lies in packages and in the root.
const FIRMWARE_DIR: &str = "/usr/lib/firmware";

/// What the kernel steps left.
pub struct KernelStep {
    /// The kernel, its release, and the tree with the root's modules and firmware.
    pub built: Built,
    /// The tree with the initramfs' modules.
    pub early: Built,
}

impl KernelStep {
    /// `uname -r` of the kernel.
    ///
    /// # Errors
    /// If the cache is damaged.
    pub fn release(&self) -> Result<String> {
        String::from_utf8(self.built.read(RELEASE_FILE)?).context("the cache's kernel release is damaged")
    }
}

/// Unpacks the kernel of `arch` and picks modules and firmware.
///
/// # Errors
/// If the package cannot be unpacked, or a module of the recipe does not exist.
pub fn kernel(build: &Build<'_>, arch: Arch) -> Result<KernelStep> {
    let recipe = &build.recipe.kernel;
    let group = build.sources.group(&format!("kernel.{arch}"))?;
    let firmware = build.sources.group(&format!("firmware.{arch}"))?;
    let mut key = Key::new("kernel", 2)
        .with_value("early", &recipe.early_modules)
        .with_value("always", &recipe.always_modules)
        .with_value("modules", &recipe.modules);
    for reference in group.iter().chain(&firmware) {
        key = key.with("package", build.sources.locked(reference)?.sha256.as_bytes());
    }
    let built = build.step(&format!("kernel.{arch}"), key.clone().with("part", b"root"), |dir| {
        let (package, selection) = open(build, &group)?;
        let all = selection.index.modules.keys().cloned().collect();
        let mut tree = package.tree_of(&selection.index, &all)?;
        let mut wanted = selection.firmware.clone();
        for reference in &firmware {
            take_firmware(&unpack(build, reference)?, &mut wanted, &mut tree)?;
        }
        std::fs::write(dir.join(KERNEL_FILE), &package.vmlinuz)?;
        std::fs::write(dir.join(RELEASE_FILE), &package.release)?;
        write_tree(dir, &tree)
    })?;
    let early = build.step(&format!("kernel-early.{arch}"), key.with("part", b"early"), |dir| {
        let (package, selection) = open(build, &group)?;
        write_tree(dir, &package.tree_of(&selection.index, &selection.early)?)
    })?;
    Ok(KernelStep { built, early })
}

fn open(build: &Build<'_>, group: &[String]) -> Result<(KernelPackage, super::kernel::Selection)> {
    let mut whole = Tree::with_merged_usr();
    for reference in group {
        whole.merge(&unpack(build, reference)?)?;
    }
    let package = KernelPackage::from_tree(&whole)?;
    let selection = select(&package, &build.recipe.kernel)?;
    Ok((package, selection))
}

/// Copies the `wanted` files, and what they link to, from a firmware package; those found are struck from the list.
fn take_firmware(package: &Tree, wanted: &mut std::collections::BTreeSet<String>, tree: &mut Tree) -> Result<()> {
    let found: Vec<String> = wanted.iter().filter(|name| package.read(&format!("{FIRMWARE_DIR}/{name}")).is_ok()).cloned().collect();
    for name in found {
        let path = format!("{FIRMWARE_DIR}/{name}");
        let bytes = package.read(&path)?.clone();
        tree.insert_file(&path, 0o644, bytes)?;
        wanted.remove(&name);
    }
    for (path, node) in package.iter() {
        if let NodeKind::File(bytes) = &node.kind
            && path.starts_with("/usr/share/doc/")
            && path.ends_with("/copyright")
        {
            tree.insert_file(path, 0o644, bytes.clone())?;
        }
    }
    Ok(())
}
