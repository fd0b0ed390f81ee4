//! A panic of PID 1 is said and ends in a reboot, without a watchdog's help and never in a kernel panic or a hung box.

use qemu_tests::{boxes, hold, images, words};
use shoal_contract::Arch;
use shoal_lab::Vm;

#[test]
fn with_services_running() {
    hold("panicked_init", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let mut vm = Vm::start(
            boxes::machine(image).firmware(boxes::kernel(image, &format!("{} shoal.fault=panic-init", boxes::STATE_IN_RAM))),
            lab,
        )
        .await?;
        vm.console().allow(words::INIT_FAILED);
        vm.console().wait_for(words::INIT_FAILED, boxes::DEADLINE).await?;
        vm.console().wait_for(words::REBOOTING, boxes::DEADLINE).await?;
        vm.console().wait_for(words::ROOT_MOUNTED, boxes::DEADLINE).await?;
        Ok(())
    });
}
