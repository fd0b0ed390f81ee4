//! A medium with damage: what can be mended is mended and its state kept; what cannot is left as it is, and the box says so and runs.

use anyhow::{Result, ensure};
use qemu_tests::boxes::{self, State, comes_up, settles_state, switches_off};
use qemu_tests::images::Image;
use qemu_tests::state::StateFs;
use qemu_tests::{hold, images, words};
use shoal_contract::Arch;
use shoal_lab::{Bus, Disk, Drive, Lab, Vm};

/// Where the primary partition table's header lies, bytes (UEFI 2.10, 5.3).
const HEADER: u64 = 512;
/// How it begins.
const SIGNATURE: &[u8] = b"EFI PART";
/// Bytes at the start of a file system without which nothing in it can be found: superblock and group descriptors.
const VITAL: usize = 1 << 20;

/// A box that has booted once and is off.
async fn used(lab: &Lab, image: &Image) -> Result<(Vm, Disk, StateFs)> {
    let disk = boxes::raw_disk(lab, image).await?;
    let machine = boxes::machine(image).firmware(boxes::kernel(image, "")).drive(Drive::new(disk.clone(), Bus::Virtio));
    let mut vm = Vm::start(machine, lab).await?;
    settles_state(&mut vm, State::OnMedium).await?;
    vm.console().wait_for(words::AGENT_RUNS, boxes::DEADLINE).await?;
    switches_off(&mut vm).await?;
    let state = StateFs::find(&disk, boxes::SMALL_DISK_BYTES)?;
    Ok((vm, disk, state))
}

#[test]
fn a_lost_partition_table_is_restored_from_its_copy() {
    hold("lost_table", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let (mut vm, disk, old) = used(lab, image).await?;
        ensure!(disk.peek(HEADER, SIGNATURE.len())? == SIGNATURE, "the table is not where it was looked for");
        disk.poke(HEADER, &[0; 512])?;
        vm.power_on().await?;
        vm.console().forbid(words::MAKING_STATE);
        settles_state(&mut vm, State::OnMedium).await?;
        ensure!(disk.peek(HEADER, SIGNATURE.len())? == SIGNATURE, "the table was not restored");
        ensure!(StateFs::find(&disk, boxes::SMALL_DISK_BYTES)?.uuid == old.uuid, "the state was not kept");
        Ok(())
    });
}

#[test]
fn a_destroyed_file_system_is_not_formatted_away() {
    hold("destroyed_state", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let (mut vm, disk, state) = used(lab, image).await?;
        let scratched = vec![0x5a; VITAL];
        disk.poke(state.offset, &scratched)?;
        vm.power_on().await?;
        vm.console().forbid(words::MAKING_STATE);
        vm.console().wait_for(words::STATE_IN_RAM, boxes::DEADLINE).await?;
        vm.console().wait_for(image.last_word(), boxes::DEADLINE).await?;
        ensure!(disk.peek(state.offset, VITAL)? == scratched, "the damaged state was written to");
        Ok(())
    });
}

#[test]
fn a_disk_whose_table_is_gone_altogether_is_left_alone() {
    hold("no_table", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let (mut vm, disk, _) = used(lab, image).await?;
        disk.poke(HEADER, &[0; 512])?;
        disk.poke(boxes::SMALL_DISK_BYTES - 512, &[0; 512])?;
        vm.power_on().await?;
        vm.console().forbid(words::MAKING_STATE);
        comes_up(&mut vm, image, State::InRam).await
    });
}
