//! The power button ends a box in good order: services stop, the state partition is put down, and the power goes.

use anyhow::{Result, ensure};
use qemu_tests::boxes::{self, State, label, settles_state, switches_off};
use qemu_tests::{hold, images, words};
use shoal_contract::Arch;
use shoal_lab::{Bus, Drive, Vm};

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
