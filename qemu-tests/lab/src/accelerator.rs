//! KVM or software emulation: decided by booting, because a machine may offer a `/dev/kvm` on which firmware or kernels hang.
//!
//! The probe is a whole UEFI boot on KVM, with page tables, MSRs and timers, up to a program of a few bytes that ends QEMU with a
//! number of its own. Anything else (an error, a hang, another number) means emulation, which is slow and always works. Where firmware
//! boots and only kernels hang, `SHOAL_LAB_KVM=no` is the way out.

mod program;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use shoal_teardown::TemporaryDirectory;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::machine::Arch;
use crate::process::Process;
use crate::qemu::{MODULE_DIR_VARIABLE, Qemu};

/// For the probe. KVM that works takes two seconds; a hang costs this once per boot of the host.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

/// Set to `no`, it forbids KVM without asking it.
const VARIABLE: &str = "SHOAL_LAB_KVM";

/// What runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor.
    Kvm,
    /// QEMU.
    Tcg,
}

/// Whether KVM works on this host, found out once per process.
static KVM_BOOTS: OnceCell<bool> = OnceCell::const_new();

impl Accelerator {
    /// KVM for guests of the host's architecture where it boots, otherwise emulation. What was found out is noted in `directory`, for
    /// other processes of this boot of the host.
    pub async fn choose(qemu: &Qemu, arch: Arch, directory: &Path) -> Self {
        if std::env::var_os(VARIABLE).is_some_and(|value| value == "no")
            || Arch::host() != Some(arch)
            || OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err()
        {
            return Self::Tcg;
        }
        let boots = KVM_BOOTS.get_or_init(|| async {
            let note = Note::new(directory);
            if let Some(boots) = note.read() {
                return boots;
            }
            let boots = Self::Kvm.boots(qemu, arch).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot probe KVM");
                false
            });
            tracing::info!(boots, "probed KVM");
            note.write(boots);
            boots
        });
        if *boots.await { Self::Kvm } else { Self::Tcg }
    }

    /// Boots the probe. `false` is an answer; an error means that QEMU could not be run at all.
    pub async fn boots(self, qemu: &Qemu, arch: Arch) -> io::Result<bool> {
        let directory = TemporaryDirectory::new("shoal-probe-")?;
        let medium = directory.path().join("medium");
        let boot = medium.join("EFI/BOOT");
        std::fs::create_dir_all(&boot)?;
        let (code, variables) = qemu.uefi(arch);
        let own_variables = directory.path().join("variables");
        std::fs::write(&own_variables, std::fs::read(variables)?)?;
        let (board, name, expected) = match arch {
            Arch::X86_64 => ("q35", "BOOTX64.EFI", program::X86_64_STATUS),
            Arch::Aarch64 => ("virt,gic-version=3", "BOOTAA64.EFI", program::AARCH64_STATUS),
        };
        std::fs::write(boot.join(name), program::image(arch))?;
        let mut command = Command::new(qemu.system(arch));
        command.env(MODULE_DIR_VARIABLE, &qemu.module_dir);
        for directory in &qemu.data_dirs {
            command.arg("-L").arg(directory);
        }
        let (accel, cpu) = match self {
            Self::Kvm => ("kvm", "host"),
            Self::Tcg => ("tcg", "max"),
        };
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-m", "256M"]);
        command.args(["-machine", board, "-accel", accel, "-cpu", cpu]);
        command.arg("-drive").arg(option("if=pflash,unit=0,format=raw,readonly=on,file=", code));
        command.arg("-drive").arg(option("if=pflash,unit=1,format=raw,file=", &own_variables));
        command.arg("-drive").arg(option("if=none,id=medium,format=raw,readonly=on,file=fat:", &medium));
        command.args(["-device", "virtio-blk-pci,drive=medium,bootindex=1"]);
        if arch == Arch::X86_64 {
            command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]);
        }
        let mut process = Process::spawn(&mut command, File::create(directory.path().join("log"))?)?;
        match timeout(PROBE_LIMIT, process.wait()).await {
            Ok(status) => Ok(status?.code() == Some(expected)),
            Err(_) => process.kill().map(|_| false),
        }
    }
}

fn option(before: &str, path: &Path) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(before);
    option.push(crate::argv::escaped(path));
    option
}

/// The answer, kept in a file that is good for one boot of the host.
struct Note {
    path: std::path::PathBuf,
    boot: Option<String>,
}

impl Note {
    fn new(directory: &Path) -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|boot| boot.trim().to_owned());
        Self { path: directory.join("kvm"), boot }
    }

    fn read(&self) -> Option<bool> {
        let text = std::fs::read_to_string(&self.path).ok()?;
        let (boot, answer) = text.trim().split_once(' ')?;
        (Some(boot) == self.boot.as_deref()).then_some(answer == "boots")
    }

    /// A note that cannot be written only costs the next process its own probe.
    fn write(&self, boots: bool) {
        if let Some(boot) = &self.boot {
            let _ = std::fs::write(&self.path, format!("{boot} {}\n", if boots { "boots" } else { "hangs" }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_good_for_its_own_boot_only() {
        let directory = tempfile::tempdir().unwrap();
        let note = |boot: &str| Note { path: directory.path().join("kvm"), boot: Some(boot.into()) };
        assert_eq!(note("a").read(), None);
        note("a").write(false);
        assert_eq!((note("a").read(), note("b").read()), (Some(false), None));
        note("b").write(true);
        assert_eq!((note("a").read(), note("b").read()), (None, Some(true)));
    }
}
