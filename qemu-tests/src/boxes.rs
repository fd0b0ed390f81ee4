//! Disks and machines that boot the images, and the words that tell that they did.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use shoal_contract::Arch;
use shoal_lab::{Disk, Firmware, Format, Lab, Machine, Vm};

use crate::images::Image;
use crate::words;

/// How long a box may take to the next word. Emulated on a busy machine, a boot up to containers takes minutes; this only ends what hangs.
pub const DEADLINE: Duration = Duration::from_secs(600);
/// Size of a box's disk in bytes: room for state behind the image.
pub const DISK_BYTES: u64 = 4 << 30;
/// Size of a disk in bytes that is rewritten or looked into: as small as containers' images allow, because some of it is copied.
pub const SMALL_DISK_BYTES: u64 = 2 << 30;
/// The only network: a switch with nobody on it. A box that wants something from outside waits in vain.
pub const NOWHERE: &str = "nowhere";

/// Kernel argument of boxes without a disk that need not wait for one.
pub const STATE_IN_RAM: &str = "shoal.state=ram";

/// Where state is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// On the medium that the box booted from.
    OnMedium,
    /// In RAM, with the reason said.
    InRam,
}

/// A machine of `image`'s architecture whose only network is [`NOWHERE`].
#[must_use]
pub fn machine(image: &Image) -> Machine {
    Machine::new("box", shoal::boot::lab_arch(image.arch)).nic(NOWHERE)
}

/// Firmware that is none: QEMU loads the kernel with the image's own command line and `extra` behind it.
#[must_use]
pub fn kernel(image: &Image, extra: &str) -> Firmware {
    let command_line = format!("{} {extra}", image.command_line).trim_end().to_owned();
    Firmware::Kernel { kernel: image.kernel.clone(), initrd: Some(image.initrd.clone()), command_line }
}

/// A disk of [`DISK_BYTES`] with the image at its start. It holds only what the box writes.
///
/// # Errors
/// If `qemu-img` fails.
pub async fn disk(lab: &Lab, image: &Image) -> Result<Disk> {
    written(lab, &image.disk).await
}

/// As [`disk`], with `source` at its start.
///
/// # Errors
/// If `qemu-img` fails.
pub async fn written(lab: &Lab, source: &std::path::Path) -> Result<Disk> {
    let disk = Disk::at(source, Format::Raw).overlay(lab.qemu(), lab.directory().join("disk.qcow2")).await?;
    disk.grow(lab.qemu(), DISK_BYTES).await?;
    Ok(disk)
}

/// A raw disk of [`SMALL_DISK_BYTES`] with the image at its start, whose bytes can be looked at and changed.
///
/// # Errors
/// If there is no space for it.
pub async fn raw_disk(lab: &Lab, image: &Image) -> Result<Disk> {
    let disk = lab.disk_from("disk.img", &image.disk)?;
    disk.grow(lab.qemu(), SMALL_DISK_BYTES).await?;
    Ok(disk)
}

/// Boots `machine` from `image` until it [has come up](comes_up).
///
/// # Errors
/// If the box does not come to it.
pub async fn boots(lab: &Lab, image: &Image, machine: Machine, state: State) -> Result<Vm> {
    let mut vm = Vm::start(machine, lab).await?;
    comes_up(&mut vm, image, state).await?;
    Ok(vm)
}

/// Waits until a box that was just switched on has its root, its state where it is expected, and said the image's [last word](Image::last_word).
///
/// # Errors
/// If one of these is not said.
pub async fn comes_up(vm: &mut Vm, image: &Image, state: State) -> Result<()> {
    settles_state(vm, state).await?;
    vm.console().wait_for(words::SERVICES_STARTING, DEADLINE).await?;
    vm.console().wait_for(image.last_word(), DEADLINE).await?;
    Ok(())
}

/// Waits until a box that was just switched on has its root and says where its state lies; gives that line.
///
/// # Errors
/// If it does not say so, or lies elsewhere.
pub async fn settles_state(vm: &mut Vm, state: State) -> Result<String> {
    vm.console().wait_for(words::ROOT_MOUNTED, DEADLINE).await?;
    let (found, line) = vm.console().wait_for_any(&[words::STATE_ON, words::STATE_IN_RAM], DEADLINE).await?;
    let found = if found == 0 { State::OnMedium } else { State::InRam };
    if found != state {
        bail!("state was to be {state:?}, and the box said {line:?}");
    }
    Ok(line)
}

/// Presses the power button and waits until the box has switched itself off in good order. A press before the driver of the button is loaded
/// goes unheard: the box must have come to its medium ([`words::WAITING_FOR_MEDIUM`], [`words::MAKING_STATE`]) or further.
///
/// # Errors
/// If it does not react, or does not come to its end.
pub async fn switches_off(vm: &mut Vm) -> Result<()> {
    vm.qmp().power_button().await?;
    vm.console().wait_for(words::BUTTON_PRESSED, DEADLINE).await?;
    vm.console().wait_for(words::SWITCHING_OFF, DEADLINE).await?;
    let status = vm.wait_exit(DEADLINE).await?;
    if !status.success() {
        bail!("the box did not switch off in good order: {status}");
    }
    Ok(())
}

/// The number of writes that the first disk has completed since power-on.
///
/// # Errors
/// If QEMU does not answer.
pub async fn writes(vm: &mut Vm) -> Result<u64> {
    let answer = vm.qmp().execute("query-blockstats", None).await?;
    let disks = answer.as_array().context("QEMU lists no disks")?;
    let disk = disks.iter().find(|disk| disk["device"] == "disk0").context("QEMU does not list the disk")?;
    disk["stats"]["wr_operations"].as_u64().context("QEMU does not count writes")
}

/// Both architectures' names in the lab's way of writing, for the names of labs.
#[must_use]
pub const fn label(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x86_64",
        Arch::Arm64 => "arm64",
    }
}
