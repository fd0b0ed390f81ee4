//! `shoal boot`: an image in an emulated box, its console here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use shoal_contract::Arch;
use shoal_lab::console::WaitError;
use shoal_lab::{Bus, Disk, Drive, Format as DiskFormat, Lab, Machine, Qemu, Vm};
use shoal_recipe::model::Format;
use shoal_teardown::TemporaryDirectory;
use tokio::time::Instant;

use crate::cli::BootArgs;
use crate::project::Project;
use crate::run::{Session, native};
use crate::steps::disk::DISK_FILE;
use crate::toolbox::{BOOT_TOOLS, BUILD_TOOLS, Toolbox};

/// What the container of recipes/dev.toml prints: the end of a demonstration.
pub const HELLO: &str = "hello from a container";
/// The recipe that has that container, and whose QEMU boots images that were built before.
pub(crate) const DEMONSTRATION: &str = "dev";
/// Size of an emulated box's disk: room for state behind the image.
const DISK_BYTES: u64 = 8 << 30;

/// What is put into an emulated box.
#[derive(Debug, Clone)]
enum Medium {
    Disk(PathBuf, DiskFormat),
    Cd(PathBuf),
}

/// `shoal boot`.
///
/// # Errors
/// If the image cannot be built, QEMU does not start, the deadline passes, or the box panics or switches off before it said what was waited for.
pub fn run(args: &BootArgs) -> Result<()> {
    let session = Session::open(&args.common)?;
    let given = Path::new(&args.what);
    let image = given.is_file().then(|| medium(given)).flatten();
    let until = match (&args.until, args.stay) {
        (Some(text), _) => Some(text.clone()),
        (None, false) if image.is_none() && args.what == DEMONSTRATION => Some(HELLO.to_owned()),
        _ => None,
    };
    let arch = args.arch.unwrap_or_else(native);
    let (medium, qemu) = match image {
        Some(medium) => (medium, qemu(&session, &Project::open(DEMONSTRATION)?)?),
        None => {
            let project = Project::open(&args.what)?;
            (build_disk(&session, &project, arch)?, qemu(&session, &project)?)
        }
    };
    let viewing = Viewing { medium, arch, until, deadline: Duration::from_secs(args.deadline), memory: args.memory, cpus: args.cpus };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(viewing.show(qemu))
}

fn medium(path: &Path) -> Option<Medium> {
    let path_buf = path.to_owned();
    match path.extension()?.to_str()? {
        "img" => Some(Medium::Disk(path_buf, DiskFormat::Raw)),
        "qcow2" => Some(Medium::Disk(path_buf, DiskFormat::Qcow2)),
        "iso" => Some(Medium::Cd(path_buf)),
        _ => None,
    }
}

fn build_disk(session: &Session, project: &Project, arch: Arch) -> Result<Medium> {
    session.with_build(project, &[arch], BUILD_TOOLS, |build| {
        let artifacts = build.run(arch, &[Format::Img])?;
        let disk = artifacts.disk.context("the build gave no disk image")?;
        Ok(Medium::Disk(disk.path(DISK_FILE), DiskFormat::Raw))
    })
}

/// QEMU of `project`'s lock, unpacked.
///
/// # Errors
/// If it cannot be fetched, or does not run here.
pub fn qemu(session: &Session, project: &Project) -> Result<Qemu> {
    session.with_build(project, &[], BOOT_TOOLS, |build| lab_qemu(build.tools))
}

/// QEMU as the lab wants it.
///
/// # Errors
/// If it cannot be unpacked, or does not run here.
pub fn lab_qemu(tools: &Toolbox<'_>) -> Result<Qemu> {
    let found = tools.qemu()?;
    Ok(Qemu {
        x86_64: found.x86_64,
        aarch64: found.aarch64,
        img: found.img,
        module_dir: found.module_dir,
        data_dirs: found.data_dirs,
        ovmf_code: found.ovmf.code,
        ovmf_vars: found.ovmf.vars,
        aavmf_code: found.aavmf.code,
        aavmf_vars: found.aavmf.vars,
    })
}

/// The lab's name of an architecture.
#[must_use]
pub const fn lab_arch(arch: Arch) -> shoal_lab::Arch {
    match arch {
        Arch::Amd64 => shoal_lab::Arch::X86_64,
        Arch::Arm64 => shoal_lab::Arch::Aarch64,
    }
}

/// A box to be shown.
struct Viewing {
    medium: Medium,
    arch: Arch,
    until: Option<String>,
    deadline: Duration,
    memory: u32,
    cpus: u8,
}

impl Viewing {
    async fn show(&self, qemu: Qemu) -> Result<()> {
        let place = TemporaryDirectory::new("shoal-boot-").context("cannot make a temporary directory")?;
        let lab = Lab::within(place.path(), "boot", qemu)?;
        let mut machine = Machine::new("box", lab_arch(self.arch)).memory(self.memory).cpus(u32::from(self.cpus)).nic("unplugged");
        if self.until.is_some() {
            // A box that resets itself will not say it any more; without this it would begin anew until the deadline.
            machine = machine.stop_at_reset();
        }
        machine = match &self.medium {
            Medium::Disk(path, format) => {
                let base = Disk::at(path.canonicalize()?, *format);
                let disk = base.overlay(lab.qemu(), lab.directory().join("disk.qcow2")).await?;
                disk.grow(lab.qemu(), DISK_BYTES).await?;
                machine.drive(Drive::new(disk, Bus::Virtio))
            }
            Medium::Cd(path) => machine.cdrom(path.canonicalize()?),
        };
        let _ctrl_c = crate::interrupt::leave_to_caller();
        eprintln!("booting an emulated {} box with its network cable unplugged; Ctrl-C ends it", self.arch);
        let mut vm = Vm::start(machine, &lab).await?;
        vm.qmp().set_link(0, false).await?;
        let outcome = tokio::select! {
            outcome = self.follow(&mut vm) => outcome,
            _ = tokio::signal::ctrl_c() => Ok(()),
        };
        // Whatever came of it has been shown; nothing of the box stays.
        lab.passed();
        outcome
    }

    /// Prints the console line by line, until the awaited text, the deadline, or the box's end.
    async fn follow(&self, vm: &mut Vm) -> Result<()> {
        let end = Instant::now() + self.deadline;
        loop {
            let left = if self.until.is_some() { end.saturating_duration_since(Instant::now()) } else { Duration::MAX / 4 };
            match vm.console().wait_for("\n", left).await {
                Ok(line) => {
                    println!("{line}");
                    if self.until.as_ref().is_some_and(|text| line.contains(text.as_str())) {
                        return Ok(());
                    }
                }
                Err(WaitError::Off { .. }) if self.until.is_none() => return Ok(()),
                Err(WaitError::Off { .. }) => bail!("the box switched off before it said {:?}", self.until.as_deref().unwrap_or_default()),
                Err(WaitError::Deadline { .. }) => {
                    bail!(
                        "the box did not say {:?} within {} s; emulated boxes are slow, give more with --deadline",
                        self.until.as_deref().unwrap_or_default(),
                        self.deadline.as_secs()
                    )
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
