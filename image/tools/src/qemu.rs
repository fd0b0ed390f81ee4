//! Where QEMU and the firmware of its machines lie.

use std::path::PathBuf;
use std::process::Command;

use shoal_contract::boot::Arch;

use crate::root::{MissingTool, ToolRoot};
use crate::run::{self, RunError};

/// First major version that can be used: 7.2 corrupts guests with several processors under emulation.
const LEAST_MAJOR_VERSION: u32 = 10;

/// Directories with data, relative to the root: QEMU's own, and PC firmware, to which QEMU's has links in an installed system only.
const DATA_DIRECTORIES: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];

/// QEMU, unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qemu {
    /// Version, as it says itself.
    pub version: String,
    /// `qemu-system-x86_64`.
    pub x86_64: PathBuf,
    /// `qemu-system-aarch64`.
    pub aarch64: PathBuf,
    /// `qemu-img`.
    pub img: PathBuf,
    /// Value of `QEMU_MODULE_DIR`.
    pub module_dir: PathBuf,
    /// Directories for `-L`: option ROMs, BIOS, keymaps.
    pub data_dirs: Vec<PathBuf>,
    /// UEFI firmware of x86-64 machines.
    pub ovmf: Firmware,
    /// UEFI firmware of 64-bit Arm machines.
    pub aavmf: Firmware,
}

/// UEFI firmware in two flash images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// Code, read-only.
    pub code: PathBuf,
    /// Variables as they are in a new machine: to be copied, and the copy written.
    pub vars: PathBuf,
}

/// QEMU cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// Something is not in the tool root.
    #[error(transparent)]
    Missing(#[from] MissingTool),
    /// It does not run.
    #[error("QEMU does not run on this machine")]
    Run(#[from] RunError),
    /// It is too old.
    #[error("QEMU says that it is `{found}`, and {LEAST_MAJOR_VERSION} or newer is needed: take it from a newer suite in the recipe")]
    TooOld {
        /// First line of what `--version` says.
        found: String,
    },
}

impl Qemu {
    /// Finds everything in a tool root with `qemu-system-x86`, `qemu-system-arm`, `qemu-utils`, `ovmf` and `qemu-efi-aarch64`.
    ///
    /// # Errors
    /// Something is missing, or QEMU is too old.
    pub fn find(root: &ToolRoot) -> Result<Self, QemuError> {
        let output = run::run(root.command("qemu-system-x86_64")?.arg("--version"), &mut |_| ())?;
        let output = String::from_utf8_lossy(&output);
        let version = output.lines().next().unwrap_or_default();
        if major_version(version).is_none_or(|major| major < LEAST_MAJOR_VERSION) {
            return Err(QemuError::TooOld { found: version.to_owned() });
        }
        let firmware = |code, vars| Ok::<_, MissingTool>(Firmware { code: root.path(code)?, vars: root.path(vars)? });
        Ok(Self {
            version: version.to_owned(),
            x86_64: root.program("qemu-system-x86_64")?,
            aarch64: root.program("qemu-system-aarch64")?,
            img: root.program("qemu-img")?,
            module_dir: root.path("usr/lib/x86_64-linux-gnu/qemu")?,
            data_dirs: DATA_DIRECTORIES.iter().map(|directory| root.path(directory)).collect::<Result<_, _>>()?,
            ovmf: firmware("usr/share/OVMF/OVMF_CODE_4M.fd", "usr/share/OVMF/OVMF_VARS_4M.fd")?,
            aavmf: firmware("usr/share/AAVMF/AAVMF_CODE.no-secboot.fd", "usr/share/AAVMF/AAVMF_VARS.fd")?,
        })
    }

    /// A command that runs a machine of this architecture, with nothing of the caller's environment; the machine is up to the caller.
    #[must_use]
    pub fn system(&self, arch: Arch) -> Command {
        let mut command = Command::new(match arch {
            Arch::Amd64 => &self.x86_64,
            Arch::Arm64 => &self.aarch64,
        });
        command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").env("QEMU_MODULE_DIR", &self.module_dir);
        for directory in &self.data_dirs {
            command.arg("-L").arg(directory);
        }
        command
    }

    /// The firmware of machines of this architecture.
    #[must_use]
    pub fn firmware(&self, arch: Arch) -> &Firmware {
        match arch {
            Arch::Amd64 => &self.ovmf,
            Arch::Arm64 => &self.aavmf,
        }
    }
}

/// From `QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)`.
fn major_version(line: &str) -> Option<u32> {
    line.split("version ").nth(1)?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read() {
        assert_eq!(major_version("QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)"), Some(10));
        assert_eq!(major_version("QEMU emulator version 7.2.22"), Some(7));
        assert_eq!(major_version("something else"), None);
    }
}
