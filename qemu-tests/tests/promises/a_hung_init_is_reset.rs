//! A PID 1 that hangs is reset by the hardware watchdog, wherever it hangs, and the box boots again.

use anyhow::Result;
use qemu_tests::{boxes, hold, images, words};
use shoal_contract::Arch;
use shoal_lab::Vm;

fn is_reset(name: &str, fault: &str) {
    hold(name, async |lab| -> Result<()> {
        let image = images::bare(Arch::Amd64)?;
        let machine =
            boxes::machine(image).firmware(boxes::kernel(image, &format!("{} shoal.fault={fault}", boxes::STATE_IN_RAM))).watchdog();
        let mut vm = Vm::start(machine, lab).await?;
        vm.console().wait_for(words::WATCHDOG_ARMED, boxes::DEADLINE).await?;
        vm.console().wait_for(words::HANGING, boxes::DEADLINE).await?;
        vm.qmp().wait_event("WATCHDOG", boxes::DEADLINE).await?;
        vm.console().wait_for(words::ROOT_MOUNTED, boxes::DEADLINE).await?;
        Ok(())
    });
}

#[test]
fn when_it_hangs_in_the_boot() {
    is_reset("hung_boot", "hang-boot");
}

#[test]
fn when_it_hangs_with_services_running() {
    is_reset("hung_init", "hang-init");
}
