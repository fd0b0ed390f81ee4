//! The power button ends a box in good order: services stop, the state partition is put down, and the power goes. So it does while the box
//! boots: no service is started any more, and a medium that was being prepared is left as whole as a power cut leaves it.

use anyhow::{Result, ensure};
use qemu_tests::boxes::{self, State, label, settles_state, switches_off};
use qemu_tests::{hold, images, words};
use shoal_contract::Arch;
use shoal_lab::{Bus, Drive, Vm};

/// Operations per second of a stick that is pressed upon while PID 1 prepares it: slow enough to press in time.
const SLOW_IOPS: u32 = 30;

fn switches_off_in_order(arch: Arch) {
    hold(&format!("power_button_{}", label(arch)), async |lab| -> Result<()> {
        let image = images::image(arch)?;
        let disk = boxes::disk(lab, image).await?;
        let machine = boxes::machine(image).firmware(boxes::kernel(image, "")).drive(Drive::new(disk, Bus::Virtio));
        let mut vm = Vm::start(machine, lab).await?;
        settles_state(&mut vm, State::OnMedium).await?;
        vm.console().wait_for(words::ALL_READY, boxes::DEADLINE).await?;
        switches_off(&mut vm).await?;
        let put_down = |line: &String| line.starts_with(words::STATE_ON) && line.contains(words::PUT_DOWN);
        ensure!(vm.console().lines().iter().any(put_down), "the state partition was not unmounted");
        Ok(())
    });
}

#[test]
fn of_x86_64() {
    switches_off_in_order(Arch::Amd64);
}

#[test]
fn of_arm64() {
    switches_off_in_order(Arch::Arm64);
}

#[test]
fn of_a_box_that_waits_for_its_medium() {
    hold("power_button_while_waiting", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let mut vm = Vm::start(boxes::machine(image).firmware(boxes::kernel(image, "")), lab).await?;
        vm.console().wait_for(words::WAITING_FOR_MEDIUM, boxes::DEADLINE).await?;
        vm.console().forbid(words::SERVICES_STARTING);
        switches_off(&mut vm).await
    });
}

#[test]
fn of_a_box_that_makes_its_state_partition() {
    hold("power_button_while_making_state", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let disk = boxes::disk(lab, image).await?;
        let drive = Drive::new(disk, Bus::Virtio).slow(SLOW_IOPS);
        let mut vm = Vm::start(boxes::machine(image).firmware(boxes::kernel(image, "")).drive(drive), lab).await?;
        vm.console().wait_for(words::MAKING_STATE, boxes::DEADLINE).await?;
        vm.console().forbid(words::SERVICES_STARTING);
        switches_off(&mut vm).await?;
        vm.power_on().await?;
        settles_state(&mut vm, State::OnMedium).await?;
        vm.console().wait_for(words::ALL_READY, boxes::DEADLINE).await?;
        Ok(())
    });
}
