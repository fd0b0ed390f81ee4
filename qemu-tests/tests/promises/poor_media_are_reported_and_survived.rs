//! A medium that is read-only, too small, full or slow: the console says what is wrong with it, and the box runs.

use anyhow::ensure;
use qemu_tests::boxes::{self, State, settles_state, switches_off};
use qemu_tests::{hold, images, words};
use shoal_contract::Arch;
use shoal_lab::{Bus, Disk, Drive, Format, Vm};

/// Operations per second of a bad stick.
const SLOW_IOPS: u32 = 30;
/// Lets the service `misfit` of recipes/test.toml fill the state medium.
const FILL: &str = "test.fill";
/// What programs say then (ENOSPC of strerror(3), in any case of the first letter).
const NO_SPACE: &str = "o space left on device";
/// Room for state on the disk that is filled, bytes: soon used up, and enough for containers' images.
const FULL_STATE_BYTES: u64 = 512 << 20;

#[test]
fn a_read_only_medium_leaves_state_in_ram() {
    hold("read_only_medium", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let disk = boxes::disk(lab, image).await?;
        let machine = boxes::machine(image).firmware(boxes::kernel(image, "")).drive(Drive::new(disk, Bus::Virtio).read_only());
        let mut vm = Vm::start(machine, lab).await?;
        let line = settles_state(&mut vm, State::InRam).await?;
        ensure!(line.contains("vda cannot be written"), "it does not say why: {line:?}");
        vm.console().wait_for(image.last_word(), boxes::DEADLINE).await?;
        Ok(())
    });
}

#[test]
fn a_medium_without_room_behind_the_image_leaves_state_in_ram() {
    hold("small_medium", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let disk = Disk::at(&image.disk, Format::Raw).overlay(lab.qemu(), lab.directory().join("disk.qcow2")).await?;
        let machine = boxes::machine(image).firmware(boxes::kernel(image, "")).drive(Drive::new(disk, Bus::Virtio));
        let mut vm = Vm::start(machine, lab).await?;
        let line = settles_state(&mut vm, State::InRam).await?;
        ensure!(line.contains("use a larger medium"), "it does not say what to do: {line:?}");
        vm.console().wait_for(image.last_word(), boxes::DEADLINE).await?;
        Ok(())
    });
}

#[test]
fn a_full_medium_is_told_and_the_box_still_obeys() {
    hold("full_medium", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let disk = Disk::at(&image.disk, Format::Raw).overlay(lab.qemu(), lab.directory().join("disk.qcow2")).await?;
        disk.grow(lab.qemu(), std::fs::metadata(&image.disk)?.len() + FULL_STATE_BYTES).await?;
        let machine = boxes::machine(image).firmware(boxes::kernel(image, FILL)).drive(Drive::new(disk, Bus::Virtio));
        let mut vm = Vm::start(machine, lab).await?;
        settles_state(&mut vm, State::OnMedium).await?;
        vm.console().wait_for(words::AGENT_RUNS, boxes::DEADLINE).await?;
        // Whoever comes first says it: the one that fills the medium, or one that suffers from it.
        vm.console().wait_for(NO_SPACE, boxes::DEADLINE).await?;
        switches_off(&mut vm).await?;
        vm.power_on().await?;
        settles_state(&mut vm, State::OnMedium).await?;
        vm.console().wait_for(words::STATE_FULL, boxes::DEADLINE).await?;
        vm.console().wait_for(words::AGENT_RUNS, boxes::DEADLINE).await?;
        switches_off(&mut vm).await
    });
}

#[test]
fn a_slow_medium_is_waited_for() {
    hold("slow_medium", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let disk = boxes::disk(lab, image).await?;
        let drive = Drive::new(disk, Bus::Virtio).slow(SLOW_IOPS);
        // The watchdog must not take waiting for a hang.
        let machine = boxes::machine(image).firmware(boxes::kernel(image, "")).drive(drive).watchdog();
        let mut vm = Vm::start(machine, lab).await?;
        vm.console().wait_for(words::STILL_WORKING, boxes::DEADLINE).await?;
        vm.console().forbid(words::ROOT_MOUNTED);
        vm.console().wait_for(words::STATE_ON, boxes::DEADLINE).await?;
        vm.console().wait_for(image.last_word(), boxes::DEADLINE).await?;
        Ok(())
    });
}
