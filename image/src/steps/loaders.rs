//! Boot loaders: systemd-boot and its UKI stub for UEFI, GRUB for legacy BIOS on amd64.

use anyhow::{Context, Result};
use shoal_contract::Arch;
use shoal_tools::run::run;

use crate::build::Build;
use crate::step::{Built, Key};
use crate::steps::packages::unpack;

const STUB_FILE: &str = "stub.efi";
const BOOT_FILE: &str = "boot.efi";
const GRUB_BOOT_FILE: &str = "grub-boot.img";
const GRUB_HYBRID_FILE: &str = "grub-boot-hybrid.img";
const GRUB_DISK_FILE: &str = "grub-core-disk.img";
const GRUB_CD_FILE: &str = "grub-core-cd.img";
/// Where Debian keeps GRUB's BIOS modules.
const GRUB_DIR: &str = "usr/lib/grub/i386-pc";

/// Loaders of an architecture.
#[derive(Debug)]
pub struct Loaders {
    /// The UKI stub.
    pub stub: Vec<u8>,
    /// systemd-boot.
    pub boot: Vec<u8>,
    /// GRUB for BIOS, on amd64.
    pub grub: Option<Grub>,
    /// The step, for keys.
    pub built: Built,
}

/// GRUB for legacy BIOS.
#[derive(Debug)]
pub struct Grub {
    /// `boot.img`: the boot sector of disks.
    pub boot_sector: Vec<u8>,
    /// `boot_hybrid.img`: the boot sector of hybrid ISOs.
    pub hybrid_boot_sector: Vec<u8>,
    /// Core image for disks; it reads `/grub/grub.cfg` of partition 2.
    pub disk_core: Vec<u8>,
    /// Core image for El Torito; it reads `/boot/grub/grub.cfg` of the ISO.
    pub cd_core: Vec<u8>,
}

/// Takes the loaders of `arch` from their packages.
///
/// # Errors
/// If a package lacks an expected file, or grub-mkimage fails.
pub fn loaders(build: &Build<'_>, arch: Arch) -> Result<Loaders> {
    let group = build.sources.group(&format!("loaders.{arch}"))?;
    let mut key = Key::new("loaders", 2).with("arch", arch.name().as_bytes()).with_value("modules", &build.recipe.loaders.grub_modules);
    for reference in &group {
        key = key.with("package", build.sources.locked(reference)?.sha256.as_bytes());
    }
    if arch == Arch::Amd64 {
        key = key.with("grub", build.tools.digest("grub")?.as_bytes());
    }
    let built = build.step(&format!("loaders.{arch}"), key, |dir| {
        let mut found = shoal_format::tree::Tree::with_merged_usr();
        for reference in &group {
            found.merge(&unpack(build, reference)?)?;
        }
        let suffix = match arch {
            Arch::Amd64 => "x64",
            Arch::Arm64 => "aa64",
        };
        let take = |path: String| found.read(&path).cloned().with_context(|| format!("the boot loader packages hold no {path}"));
        std::fs::write(dir.join(STUB_FILE), take(format!("/usr/lib/systemd/boot/efi/linux{suffix}.efi.stub"))?)?;
        std::fs::write(dir.join(BOOT_FILE), take(format!("/usr/lib/systemd/boot/efi/systemd-boot{suffix}.efi"))?)?;
        if arch == Arch::Amd64 {
            let tools = build.tools.root("grub")?;
            std::fs::copy(tools.path(&format!("{GRUB_DIR}/boot.img"))?, dir.join(GRUB_BOOT_FILE))?;
            std::fs::copy(tools.path(&format!("{GRUB_DIR}/boot_hybrid.img"))?, dir.join(GRUB_HYBRID_FILE))?;
            make_core(build, dir, "i386-pc", "(,gpt2)/grub", &["biosdisk", "part_gpt", "fat"], GRUB_DISK_FILE)?;
            make_core(
                build,
                dir,
                "i386-pc-eltorito",
                "/boot/grub",
                &["biosdisk", "iso9660", "part_gpt", "part_msdos", "fat"],
                GRUB_CD_FILE,
            )?;
        }
        Ok(())
    })?;
    let grub = (arch == Arch::Amd64)
        .then(|| {
            Ok::<_, anyhow::Error>(Grub {
                boot_sector: built.read(GRUB_BOOT_FILE)?,
                hybrid_boot_sector: built.read(GRUB_HYBRID_FILE)?,
                disk_core: built.read(GRUB_DISK_FILE)?,
                cd_core: built.read(GRUB_CD_FILE)?,
            })
        })
        .transpose()?;
    Ok(Loaders { stub: built.read(STUB_FILE)?, boot: built.read(BOOT_FILE)?, grub, built })
}

fn make_core(build: &Build<'_>, dir: &std::path::Path, format: &str, prefix: &str, needed: &[&str], file: &str) -> Result<()> {
    let tools = build.tools.root("grub")?;
    let mut command = tools.command("grub-mkimage")?;
    command.args(["-O", format, "-C", "xz", "-p", prefix, "-d"]).arg(tools.path(GRUB_DIR)?).arg("-o").arg(dir.join(file));
    let mut modules: Vec<&str> = needed.to_vec();
    modules.extend(build.recipe.loaders.grub_modules.iter().map(String::as_str).filter(|module| !needed.contains(module)));
    run(command.args(modules), &mut |_| ()).map(drop).context("GRUB's core image cannot be made")
}
