//! The hybrid ISO: a CD, and by `dd` a USB stick; UEFI, and on amd64 legacy BIOS. It holds one FAT image with one UKI, which all four ways boot.

use anyhow::{Context, Result};
use shoal_contract::Arch;
use shoal_format::grub::Source;
use shoal_format::iso::{self, Bios, Iso, UEFI_IMAGE};
use shoal_format::tree::Tree;
use uuid::Uuid;

use crate::build::Build;
use crate::step::{Built, Key};
use crate::steps::config;
use crate::steps::disk::{UKI_FILE, esp, esp_tree, grub_menu};
use crate::steps::loaders::Loaders;

/// Name of the ISO in its step's directory.
pub const ISO_FILE: &str = "cd.iso";
/// Where GRUB's El Torito image looks for its menu.
const GRUB_MENU: &str = "/boot/grub/grub.cfg";
/// FAT's own tables and the loader, besides the UKI.
const ESP_SPARE: u64 = 4 << 20;

/// Builds the ISO.
///
/// # Errors
/// If the parts do not fit.
pub fn iso(build: &Build<'_>, arch: Arch, id: Uuid, uki: &Built, loaders: &Loaders) -> Result<Built> {
    let config = config::unclaimed(build)?;
    let key =
        Key::new("iso", 3).with("id", id.as_bytes()).with("config", &config).with_built("uki", uki).with_built("loaders", &loaders.built);
    build.step(&format!("iso.{arch}"), key, |dir| {
        let uki_bytes = std::fs::metadata(uki.path(UKI_FILE))?.len();
        let size = (uki_bytes + ESP_SPARE).next_multiple_of(1 << 20);
        let uefi = esp(build, id, 0, size, &esp_tree(build, arch, uki, loaders)?)?;
        let mut tree = Tree::new();
        if loaders.grub.is_some() {
            let menu = grub_menu(build, arch, uki, &Source::FatImage(UEFI_IMAGE.to_owned()))?;
            tree.insert_file(GRUB_MENU, 0o644, menu.into_bytes())?;
        }
        let bios = loaders.grub.as_ref().map(|grub| Bios { eltorito: &grub.cd_core, boot_hybrid: &grub.hybrid_boot_sector });
        let layout = Iso { volume_id: "SHOAL", tree: &tree, uefi: &uefi, bios, config: &config, disk_guid: id, epoch: build.epoch()? };
        let image = iso::write(&layout).context("the ISO cannot be assembled")?;
        let file = std::fs::File::create(dir.join(ISO_FILE))?;
        image.write_sparse(file).context("cannot write the ISO to the cache")
    })
}
