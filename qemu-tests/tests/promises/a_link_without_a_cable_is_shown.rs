//! A wired link is on the screen from the moment it is seen, with the question whether its cable is plugged in; a box without any says that.

use anyhow::Result;
use qemu_tests::{boxes, hold, images, words};
use shoal_contract::Arch;
use shoal_lab::{Machine, Vm};

/// The only network card.
const NIC: usize = 0;

#[test]
fn until_it_is_plugged_in() {
    hold("unplugged", async |lab| -> Result<()> {
        let image = images::bare(Arch::Amd64)?;
        let mut vm = Vm::start(boxes::machine(image).firmware(boxes::kernel(image, boxes::STATE_IN_RAM)), lab).await?;
        // Long before the kernel looks.
        vm.qmp().set_link(NIC, false).await?;
        vm.console().forbid(words::NO_LINK);
        vm.console().wait_for(words::NO_CARRIER, boxes::DEADLINE).await?;
        vm.qmp().set_link(NIC, true).await?;
        vm.console().wait_for(words::WAITS_FOR_ADDRESS, boxes::DEADLINE).await?;
        vm.qmp().set_link(NIC, false).await?;
        vm.console().wait_for(words::NO_CARRIER, boxes::DEADLINE).await?;
        Ok(())
    });
}

#[test]
fn and_none_where_there_is_none() {
    hold("no_link", async |lab| -> Result<()> {
        let image = images::bare(Arch::Amd64)?;
        let machine = Machine { nics: Vec::new(), ..boxes::machine(image) };
        let mut vm = Vm::start(machine.firmware(boxes::kernel(image, boxes::STATE_IN_RAM)), lab).await?;
        vm.console().forbid(words::NO_CARRIER);
        vm.console().wait_for(words::NO_LINK, boxes::DEADLINE).await?;
        Ok(())
    });
}
