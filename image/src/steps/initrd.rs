//! The initramfs of the live profile: PID 1, the modules that mount the root, what the recipe says (`boot.toml`, `services.toml`, and the recipe itself), and the
//! root.
//!
//! Three archives one behind the other, as the kernel's documentation allows (Documentation/driver-api/early-userspace/buffer-format.rst): one that is not
//! compressed, with the configuration, which is written in place; a compressed one with PID 1 and modules; and an uncompressed one with the EROFS image,
//! which is compressed inside.

use std::io::Write;

use anyhow::{Context, Result};
use shoal_cache::Digest;
use shoal_contract::boot::{Image, ModuleSets};
use shoal_contract::{Arch, BOOT_PATH, Boot, INITRAMFS_CONFIG_PATH, INITRAMFS_RECIPE_PATH, INITRAMFS_SERVICES_PATH, SYSTEM_PATH, Services};
use shoal_format::tree::Tree;
use uuid::Uuid;

use crate::build::{Build, NAMESPACE};
use crate::step::{Built, Key};
use crate::steps::config;
use crate::steps::crates::initramfs_binaries;
use crate::steps::kernel_step::KernelStep;
use crate::steps::root::EROFS_FILE;
use crate::steps::trees::read_tree_into;

/// Name of the initramfs in the step's directory.
pub const INITRD_FILE: &str = "initrd";
/// Name of the image id in the step's directory.
pub const ID_FILE: &str = "id";
/// zstd level of the small archive.
const LEVEL: i32 = 19;
/// Directories that PID 1 mounts upon.
const MOUNT_POINTS: &[&str] = &["/dev", "/proc", "/sys", "/run", "/root"];

/// Builds the initramfs of `arch`.
///
/// # Errors
/// If the cache is damaged or cannot be written.
pub fn initrd(build: &Build<'_>, arch: Arch, kernel: &KernelStep, crates: &Built, root: &Built) -> Result<Built> {
    let recipe = build.recipe;
    let binaries = initramfs_binaries(build, crates)?;
    let expanded = recipe.to_expanded();
    let services = Services { services: recipe.services.clone() };
    services.check().context("the recipe's services cannot run")?;
    let id = Uuid::new_v5(
        &NAMESPACE,
        format!(
            "{} {} {arch} {} {} {} {}",
            recipe.name,
            recipe.version,
            root.digest,
            kernel.built.digest,
            crates.digest,
            Digest::of(expanded.as_bytes())
        )
        .as_bytes(),
    );
    let boot = Boot {
        image: Image { name: recipe.name.clone(), version: recipe.version.clone(), arch, id, epoch: recipe.epoch },
        kernel_release: kernel.release()?,
        modules: ModuleSets { early: recipe.kernel.early_modules.clone(), always: names_only(&recipe.kernel.always_modules) },
        state: recipe.state.clone(),
        network: recipe.network.clone(),
        console: recipe.console.clone(),
        watchdog: recipe.watchdog.clone(),
        faults: recipe.faults,
    };
    let boot = boot.to_toml();
    let texts = [(BOOT_PATH, boot), (INITRAMFS_SERVICES_PATH, services.to_toml()), (INITRAMFS_RECIPE_PATH, expanded)];
    let config = config::unclaimed(build)?;
    let key = Key::new("initrd", 4)
        .with("config", &config)
        .with_value("texts", &texts)
        .with_value("binaries", &recipe.crates)
        .with_built("kernel", &kernel.built)
        .with_built("early", &kernel.early)
        .with_built("crates", crates)
        .with_built("root", root);
    build.step(&format!("initrd.{arch}"), key, |dir| {
        let mut tree = Tree::with_merged_usr();
        for point in MOUNT_POINTS {
            tree.insert_dir(point, 0o755)?;
        }
        for (path, bytes) in binaries {
            tree.insert_file(&path, 0o755, bytes)?;
        }
        for (path, text) in texts {
            tree.insert_file(path, 0o644, text.into_bytes())?;
        }
        read_tree_into(&mut tree, &kernel.early)?;
        let mut small = Vec::new();
        shoal_format::cpio::write(&tree, build.epoch()?, &mut small)?;
        let mut file = std::io::BufWriter::new(std::fs::File::create(dir.join(INITRD_FILE))?);
        file.write_all(&shoal_format::sector::archive(INITRAMFS_CONFIG_PATH.trim_start_matches('/'), &config, build.epoch()?))?;
        let mut compressed = zstd::encode_all(&small[..], LEVEL).context("zstd failed")?;
        // The next archive must begin at a multiple of four bytes.
        compressed.resize(compressed.len().next_multiple_of(4), 0);
        file.write_all(&compressed)?;
        let system = root.read(EROFS_FILE)?;
        shoal_format::cpio::write_file(SYSTEM_PATH.trim_start_matches('/'), 0o444, &system, build.epoch()?, &mut file)?;
        file.flush().context("cannot write to the cache")?;
        std::fs::write(dir.join(ID_FILE), id.to_string())?;
        Ok(())
    })
}

/// The image's id.
///
/// # Errors
/// If the cache is damaged.
pub fn image_id(initrd: &Built) -> Result<Uuid> {
    String::from_utf8_lossy(&initrd.read(ID_FILE)?).parse().context("the cache's image id is damaged")
}

/// Entries as PID 1 knows them: without the `?` that allows one to be missing.
fn names_only(entries: &[String]) -> Vec<String> {
    entries.iter().map(|entry| entry.trim_end_matches('?').to_owned()).collect()
}
