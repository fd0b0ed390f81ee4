//! A medium that is read-only, too small, full or slow: the console says what is wrong with it, and the box runs.

use std::path::Path;

use anyhow::{Result, ensure};
use qemu_tests::boxes::{self, State, boots, settles_state, switches_off};
use qemu_tests::state::StateFs;
use qemu_tests::{hold, images, words};
use shoal_contract::Arch;
use shoal_lab::{Bus, Disk, Drive, Format, Vm};

/// Operations per second of a bad stick.
const SLOW_IOPS: u32 = 30;

#[test]
fn a_read_only_medium_leaves_state_in_ram() {
    hold("read_only_medium", async |lab| {
        let image = images::image(Arch::Amd64)?;
        let disk = boxes::disk(lab, image).await?;
        let machine = boxes::machine(image).firmware(boxes::kernel(image, "")).drive(Drive::new(disk, Bus::Virtio).read_only());
        let mut vm = Vm::start(machine, lab).await?;
        let line = settles_state(&mut vm, State::InRam).await?;
        ensure!(line.contains("vda cannot be written"), "it does not say why: {line:?}");
        vm.console().wait_for(words::HELLO, boxes::DEADLINE).await?;
        Ok(())
    });
}

#[test]
fn a_medium_without_room_behind_the_image_leaves_state_in_ram() {
    hold("small_medium", async |lab| {
        let image = images::image(Arch::Amd64)?;
        let disk = Disk::at(&image.disk, Format::Raw).overlay(lab.qemu(), lab.directory().join("disk.qcow2")).await?;
        let machine = boxes::machine(image).firmware(boxes::kernel(image, "")).drive(Drive::new(disk, Bus::Virtio));
        let mut vm = Vm::start(machine, lab).await?;
        let line = settles_state(&mut vm, State::InRam).await?;
        ensure!(line.contains("use a larger medium"), "it does not say what to do: {line:?}");
        vm.console().wait_for(words::HELLO, boxes::DEADLINE).await?;
        Ok(())
    });
}

/// Fills the state partition of a box that is off, but for what root alone may use.
fn fill(disk: &Disk, directory: &Path) -> Result<()> {
    let state = StateFs::find(disk, boxes::SMALL_DISK_BYTES)?;
    let blocks = state.free_blocks.saturating_sub(state.reserved_blocks);
    let commands = directory.join("fill.debugfs");
    std::fs::write(&commands, format!("write /dev/null fill\nfallocate fill 0 {}\n", blocks - 1))?;
    let device = format!("{}?offset={}", disk.path().display(), state.offset);
    let output = images::tool("debugfs")?.arg("-w").arg("-f").arg(&commands).arg(device).output()?;
    ensure!(output.status.success(), "debugfs cannot fill the disk: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn a_full_medium_is_told_and_the_box_runs_on_what_is_left() {
    hold("full_medium", async |lab| {
        let image = images::image(Arch::Amd64)?;
        let disk = boxes::raw_disk(lab, image).await?;
        let machine = boxes::machine(image).firmware(boxes::kernel(image, "")).drive(Drive::new(disk.clone(), Bus::Virtio));
        let mut vm = boots(lab, machine, State::OnMedium).await?;
        switches_off(&mut vm).await?;
        fill(&disk, lab.directory())?;
        vm.power_on().await?;
        settles_state(&mut vm, State::OnMedium).await?;
        vm.console().wait_for(words::STATE_FULL, boxes::DEADLINE).await?;
        vm.console().wait_for(words::CONTAINERD_RUNS, boxes::DEADLINE).await?;
        switches_off(&mut vm).await
    });
}

#[test]
fn a_slow_medium_is_waited_for() {
    hold("slow_medium", async |lab| {
        let image = images::image(Arch::Amd64)?;
        let disk = boxes::disk(lab, image).await?;
        let drive = Drive::new(disk, Bus::Virtio).slow(SLOW_IOPS);
        // The watchdog must not take waiting for a hang.
        let machine = boxes::machine(image).firmware(boxes::kernel(image, "")).drive(drive).watchdog();
        let mut vm = Vm::start(machine, lab).await?;
        vm.console().wait_for(words::STILL_WORKING, boxes::DEADLINE).await?;
        vm.console().forbid(words::ROOT_MOUNTED);
        vm.console().wait_for(words::STATE_ON, boxes::DEADLINE).await?;
        vm.console().wait_for(words::HELLO, boxes::DEADLINE).await?;
        Ok(())
    });
}
