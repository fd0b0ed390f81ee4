//! Boxes whose switch is switched on after them form one cluster then, and none before.

use anyhow::{Result, ensure};
use qemu_tests::site::{Site, blank, highly_available};
use qemu_tests::{boxes, hold_in_full, images, words};
use shoal_contract::Arch;
use shoal_lab::Vm;

#[test]
fn and_forms_when_it_is_on() {
    hold_in_full("switch_later", async |lab| -> Result<()> {
        let image = images::bare(Arch::Amd64)?;
        lab.boxes(3);
        let _site = Site::new(lab).await?;
        let mut vms = Vec::new();
        for number in 1..=3 {
            let mut vm = Vm::start(blank(lab, image, &format!("box{number}")).await?, lab).await?;
            vm.qmp().set_link(0, false).await?;
            vms.push(vm);
        }
        for vm in &mut vms {
            vm.console().forbid(words::CLUSTER);
            vm.console().wait_for(words::NO_NETWORK, boxes::DEADLINE).await?;
        }
        for vm in &mut vms {
            vm.console().allow(words::CLUSTER);
            vm.qmp().set_link(0, true).await?;
        }
        let mut clusters = Vec::new();
        for vm in &mut vms {
            clusters.push(highly_available(vm, 3, 3).await?.cluster);
        }
        ensure!(clusters.iter().all(|cluster| *cluster == clusters[0]), "these are not one cluster: {clusters:?}");
        Ok(())
    });
}
