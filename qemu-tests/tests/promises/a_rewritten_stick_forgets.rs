//! An image written over a used stick makes a new stick: the old state, whose bytes and whose copy of the partition table still lie behind
//! the image, is never mounted.

use std::os::unix::fs::FileExt;

use anyhow::{Result, ensure};
use qemu_tests::boxes::{self, State, comes_up, settles_state, switches_off};
use qemu_tests::images::Image;
use qemu_tests::state::StateFs;
use qemu_tests::{hold, images, words};
use shoal_contract::Arch;
use shoal_lab::{Bus, Disk, Drive, Vm};

/// What `dd` writes at once, bytes.
const BLOCK: usize = 1 << 20;

/// Writes the image over the start of a disk, every byte of it, as `dd` does.
fn dd(image: &Image, disk: &Disk) -> Result<()> {
    let source = std::fs::File::open(&image.disk)?;
    let mut block = vec![0; BLOCK];
    let mut offset = 0;
    loop {
        let count = source.read_at(&mut block, offset)?;
        if count == 0 {
            return Ok(());
        }
        disk.poke(offset, &block[..count])?;
        offset += count as u64;
    }
}

#[test]
fn and_makes_a_new_state_partition() {
    hold("rewritten_stick", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let disk = boxes::raw_disk(lab, image).await?;
        let machine = boxes::machine(image).firmware(boxes::kernel(image, "")).drive(Drive::new(disk.clone(), Bus::Usb));
        let mut vm = Vm::start(machine, lab).await?;
        settles_state(&mut vm, State::OnMedium).await?;
        vm.console().wait_for(words::AGENT_RUNS, boxes::DEADLINE).await?;
        switches_off(&mut vm).await?;
        let old = StateFs::find(&disk, boxes::SMALL_DISK_BYTES)?;

        dd(image, &disk)?;
        vm.power_on().await?;
        // It mounts nothing before it says that it makes a new one.
        vm.console().forbid(words::STATE_ON);
        vm.console().wait_for(words::MAKING_STATE, boxes::DEADLINE).await?;
        vm.console().allow(words::STATE_ON);
        vm.console().wait_for(words::STATE_ON, boxes::DEADLINE).await?;
        vm.console().wait_for(image.last_word(), boxes::DEADLINE).await?;
        let new = StateFs::find(&disk, boxes::SMALL_DISK_BYTES)?;
        ensure!(new.uuid != old.uuid, "the old file system is still there: {new:?}");
        Ok(())
    });
}

#[test]
fn but_a_stick_that_is_only_booted_again_keeps_its_state() {
    hold("kept_stick", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let disk = boxes::raw_disk(lab, image).await?;
        let machine = boxes::machine(image).firmware(boxes::kernel(image, "")).drive(Drive::new(disk.clone(), Bus::Usb));
        let mut vm = Vm::start(machine, lab).await?;
        settles_state(&mut vm, State::OnMedium).await?;
        vm.console().wait_for(words::AGENT_RUNS, boxes::DEADLINE).await?;
        switches_off(&mut vm).await?;
        let old = StateFs::find(&disk, boxes::SMALL_DISK_BYTES)?;

        vm.power_on().await?;
        vm.console().forbid(words::MAKING_STATE);
        comes_up(&mut vm, image, State::OnMedium).await?;
        let new = StateFs::find(&disk, boxes::SMALL_DISK_BYTES)?;
        ensure!(new.uuid == old.uuid, "the file system was made anew");
        Ok(())
    });
}
