//! The UKI, the EFI system partition, the raw disk and its qcow2 form.

use std::io::Write;

use anyhow::{Context, Result};
use shoal_contract::Arch;
use shoal_format::fat::{self, Variant, Volume};
use shoal_format::gpt::{self, BACKUP_SECTORS, FIRST_USABLE_SECTOR, Partition, SECTOR, TYPE_BIOS_BOOT, TYPE_CONFIG, TYPE_ESP};
use shoal_format::grub::{self, MenuEntry, Source};
use shoal_format::pe::Section;
use shoal_format::sector;
use shoal_format::sparse::SparseImage;
use shoal_format::tree::Tree;
use shoal_format::uki;
use uuid::Uuid;

use crate::build::Build;
use crate::step::{Built, Key};
use crate::steps::config;
use crate::steps::initrd::INITRD_FILE;
use crate::steps::kernel_step::{KERNEL_FILE, KernelStep};
use crate::steps::loaders::Loaders;

/// Name of the UKI in its step's directory.
pub const UKI_FILE: &str = "uki.efi";
/// Name of the table of its sections (JSON).
pub const SECTIONS_FILE: &str = "sections.json";
/// Name of the raw disk in its step's directory.
pub const DISK_FILE: &str = "disk.img";
/// Name of the qcow2 disk in its step's directory.
pub const QCOW2_FILE: &str = "disk.qcow2";

/// First byte of the EFI system partition: 1 MiB, where flash is aligned.
const ESP_START: u64 = 1 << 20;
/// First byte of the configuration: the last sector of its length before the system partition.
const CONFIG_START: u64 = ESP_START - sector::BYTES as u64;
/// Where GRUB's core image looks for its menu.
const GRUB_MENU: &str = "/grub/grub.cfg";
/// The ESP's size is a multiple of this.
const ESP_STEP: u64 = 64 << 20;
/// Besides two UKIs (one being updated), the ESP keeps this much for loaders, configuration and FAT's own tables.
const ESP_SPARE: u64 = 24 << 20;

/// Builds the UKI: stub, kernel, initramfs and command line in one PE file (UAPI.5).
///
/// # Errors
/// If the stub has no room for the sections.
pub fn uki(build: &Build<'_>, arch: Arch, kernel: &KernelStep, initrd: &Built, loaders: &Loaders) -> Result<Built> {
    let recipe = build.recipe;
    let cmdline = recipe.kernel.cmdline.get(&arch).cloned().unwrap_or_default();
    let release = kernel.release()?;
    let key = Key::new("uki", 2)
        .with("cmdline", cmdline.as_bytes())
        .with_built("kernel", &kernel.built)
        .with_built("initrd", initrd)
        .with_built("loaders", &loaders.built)
        .with("name", recipe.name.as_bytes())
        .with("version", recipe.version.as_bytes());
    build.step(&format!("uki.{arch}"), key, |dir| {
        let os_release = format!("ID={0}\nNAME=\"Shoal\"\nPRETTY_NAME=\"Shoal {0} {1}\"\nVERSION_ID={1}\n", recipe.name, recipe.version);
        let linux = kernel.built.read(KERNEL_FILE)?;
        let initrd = initrd.read(INITRD_FILE)?;
        let parts = uki::Parts {
            stub: &loaders.stub,
            os_release: &os_release,
            command_line: &cmdline,
            kernel_release: &release,
            initrd: &initrd,
            linux: &linux,
        };
        let image = uki::build(&parts).context("the UKI cannot be assembled")?;
        std::fs::write(dir.join(UKI_FILE), &image.bytes)?;
        std::fs::write(dir.join(SECTIONS_FILE), serde_json::to_vec_pretty(&image.sections)?)?;
        Ok(())
    })
}

/// Files of the EFI system partition.
///
/// # Errors
/// If the cache is damaged.
pub fn esp_tree(build: &Build<'_>, arch: Arch, uki: &Built, loaders: &Loaders) -> Result<Tree> {
    let boot_path = match arch {
        Arch::Amd64 => "/EFI/BOOT/BOOTX64.EFI",
        Arch::Arm64 => "/EFI/BOOT/BOOTAA64.EFI",
    };
    let mut tree = Tree::new();
    tree.insert_file(boot_path, 0o644, loaders.boot.clone())?;
    tree.insert_file(&uki_path(build), 0o644, uki.read(UKI_FILE)?)?;
    tree.insert_file("/loader/loader.conf", 0o644, &b"timeout 0\neditor no\n"[..])?;
    Ok(tree)
}

/// Path of the UKI in the EFI system partition.
#[must_use]
pub fn uki_path(build: &Build<'_>) -> String {
    format!("/EFI/Linux/{}_{}.efi", build.recipe.name, build.recipe.version)
}

/// GRUB's menu: it boots kernel and initramfs out of the UKI, so that nothing is stored twice.
///
/// # Errors
/// If the cache is damaged.
pub fn grub_menu(build: &Build<'_>, arch: Arch, uki: &Built, source: &Source) -> Result<String> {
    let sections: Vec<Section> = serde_json::from_slice(&uki.read(SECTIONS_FILE)?).context("the cache's table of sections is damaged")?;
    let find = |name: &str| {
        let section = sections.iter().find(|section| section.name == name);
        section.cloned().with_context(|| format!("the UKI has no section {name}"))
    };
    let entry = MenuEntry {
        title: format!("{} {}", build.recipe.name, build.recipe.version),
        image: uki_path(build),
        command_line: build.recipe.kernel.cmdline.get(&arch).cloned().unwrap_or_default(),
        linux: find(".linux")?,
        initrd: find(".initrd")?,
    };
    Ok(grub::menu(source, &[entry]))
}

/// Size of an EFI system partition for a UKI of this size: room for two, because an update writes the new one beside the old one.
#[must_use]
pub const fn esp_size(uki_bytes: u64) -> u64 {
    (2 * uki_bytes + ESP_SPARE).next_multiple_of(ESP_STEP)
}

/// An EFI system partition with the files of `tree`, to lie at `disk_offset`.
///
/// # Errors
/// If the files do not fit.
pub fn esp(build: &Build<'_>, id: Uuid, disk_offset: u64, bytes: u64, tree: &Tree) -> Result<SparseImage> {
    let volume =
        Volume { variant: Variant::Fat32, bytes, label: "SHOAL-ESP", serial: id.as_fields().0, epoch: build.epoch()?, disk_offset };
    fat::write(tree, &volume).context("the EFI system partition cannot be written")
}

/// Builds the raw disk: GPT, BIOS boot partition (amd64), EFI system partition, configuration. The state partition is made by the box at its first boot.
///
/// # Errors
/// If the parts do not fit.
pub fn disk(build: &Build<'_>, arch: Arch, id: Uuid, uki: &Built, loaders: &Loaders) -> Result<Built> {
    let config = config::unclaimed(build)?;
    let key =
        Key::new("disk", 3).with("id", id.as_bytes()).with("config", &config).with_built("uki", uki).with_built("loaders", &loaders.built);
    build.step(&format!("disk.{arch}"), key, |dir| {
        let image = disk_image(build, arch, id, uki, loaders, &config)?;
        let file = std::fs::File::create(dir.join(DISK_FILE))?;
        image.write_sparse(file).context("cannot write the disk image to the cache")
    })
}

fn disk_image(build: &Build<'_>, arch: Arch, id: Uuid, uki: &Built, loaders: &Loaders, config: &[u8]) -> Result<SparseImage> {
    let mut tree = esp_tree(build, arch, uki, loaders)?;
    if loaders.grub.is_some() {
        tree.insert_file(GRUB_MENU, 0o644, grub_menu(build, arch, uki, &Source::SameFileSystem)?.into_bytes())?;
    }
    let size = esp_size(std::fs::metadata(uki.path(UKI_FILE))?.len());
    let partition = |type_guid, role: &str, first_sector, sectors| Partition {
        type_guid,
        unique_guid: Uuid::new_v5(&id, role.as_bytes()),
        name: role.to_owned(),
        first_sector,
        sectors,
        attributes: 0,
    };
    // The entry stays where there is no BIOS: partitions have the same numbers on every architecture.
    let bios = partition(TYPE_BIOS_BOOT, "bios", FIRST_USABLE_SECTOR, CONFIG_START / SECTOR - FIRST_USABLE_SECTOR);
    let system = partition(TYPE_ESP, "esp", ESP_START / SECTOR, size / SECTOR);
    let owner = partition(TYPE_CONFIG, sector::PARTITION, CONFIG_START / SECTOR, (ESP_START - CONFIG_START) / SECTOR);
    let mut image = SparseImage::new(ESP_START + size + BACKUP_SECTORS * SECTOR);
    image.write_at(CONFIG_START, config)?;
    gpt::write(&mut image, id, &[bios.clone(), system, owner]).context("the partition table cannot be written")?;
    image.embed(ESP_START, &esp(build, id, ESP_START, size, &tree)?)?;
    if let Some(parts) = &loaders.grub {
        grub::install(&mut image, &parts.boot_sector, &parts.disk_core, &bios).context("GRUB cannot be installed")?;
    }
    Ok(image)
}

/// Builds the qcow2 form of the raw disk.
///
/// # Errors
/// If the cache cannot be written.
pub fn qcow2(build: &Build<'_>, arch: Arch, id: Uuid, uki: &Built, loaders: &Loaders) -> Result<Built> {
    let config = config::unclaimed(build)?;
    let key =
        Key::new("qcow2", 3).with("id", id.as_bytes()).with("config", &config).with_built("uki", uki).with_built("loaders", &loaders.built);
    build.step(&format!("qcow2.{arch}"), key, |dir| {
        let image = disk_image(build, arch, id, uki, loaders, &config)?;
        let mut target = std::io::BufWriter::new(std::fs::File::create(dir.join(QCOW2_FILE))?);
        shoal_format::qcow2::write(&image, &mut target).context("the qcow2 disk cannot be written")?;
        target.flush().context("cannot write to the cache")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_partition_holds_two_images() {
        for megabytes in [1_u64, 60, 90, 140] {
            let size = esp_size(megabytes << 20);
            assert!(size > 2 * (megabytes << 20) && size.is_multiple_of(ESP_STEP));
        }
    }
}
