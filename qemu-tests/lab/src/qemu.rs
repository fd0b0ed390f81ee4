//! The tools: which QEMU and which firmware. The caller gives them; nothing is looked for on the host.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::machine::Arch;

/// Paths of QEMU 10 or newer and of its firmware. The programs can be run as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qemu {
    /// `qemu-system-x86_64`.
    pub x86_64: PathBuf,
    /// `qemu-system-aarch64`.
    pub aarch64: PathBuf,
    /// `qemu-img`.
    pub img: PathBuf,
    /// The loadable modules.
    pub module_dir: PathBuf,
    /// SeaBIOS, VGA BIOS and iPXE option ROMs.
    pub data_dirs: Vec<PathBuf>,
    /// `OVMF_CODE_4M.fd`.
    pub ovmf_code: PathBuf,
    /// `OVMF_VARS_4M.fd`: copied for each box.
    pub ovmf_vars: PathBuf,
    /// `AAVMF_CODE.fd`.
    pub aavmf_code: PathBuf,
    /// `AAVMF_VARS.fd`: copied for each box.
    pub aavmf_vars: PathBuf,
}

impl Qemu {
    /// The emulator.
    pub fn system(&self, arch: Arch) -> &Path {
        match arch {
            Arch::X86_64 => &self.x86_64,
            Arch::Aarch64 => &self.aarch64,
        }
    }

    /// UEFI: its code and an empty set of variables.
    pub fn uefi(&self, arch: Arch) -> (&Path, &Path) {
        match arch {
            Arch::X86_64 => (&self.ovmf_code, &self.ovmf_vars),
            Arch::Aarch64 => (&self.aavmf_code, &self.aavmf_vars),
        }
    }
}

/// Says where QEMU's modules are (util/module.c of QEMU).
pub(crate) const MODULE_DIR_VARIABLE: &str = "QEMU_MODULE_DIR";
