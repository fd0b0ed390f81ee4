//! A site that was cut in two when its boxes were first switched on has two clusters. Nobody has used them, so they become one when the cut is mended.

use anyhow::{Result, ensure};
use qemu_tests::site::{Membership, Site, blank, highly_available, ports};
use qemu_tests::{boxes, hold, images, words};
use shoal_contract::Arch;
use shoal_lab::Vm;

#[test]
fn of_four_boxes_when_the_cut_is_mended() {
    hold("two_halves", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        lab.boxes(4);
        let (site, annex) = (Site::new(lab).await?, Site::annex(lab).await?);
        let mut vms = Vec::new();
        for number in 1..=4 {
            vms.push(Vm::start(blank(lab, image, &format!("box{number}")).await?, lab).await?);
        }
        // Long before the kernels look.
        let ports = ports(&vms)?;
        let switch = lab.network(boxes::NOWHERE)?;
        let halves = vec![vec![ports[0], ports[1], site.net.port()], vec![ports[2], ports[3], annex.net.port()]];
        switch.partition(halves).await?;
        let mut halves = Vec::new();
        for vm in &mut vms {
            halves.push(two(vm).await?);
        }
        ensure!(halves[0] == halves[1] && halves[2] == halves[3] && halves[0] != halves[2], "these are not two clusters: {halves:?}");

        switch.heal().await?;
        let mut whole = Vec::new();
        for vm in &mut vms {
            whole.push(highly_available(vm, 3, 4).await?);
        }
        ensure!(whole.iter().all(|membership| membership.cluster == whole[0].cluster), "these are not one cluster: {whole:?}");
        ensure!(halves.contains(&whole[0].cluster), "one of the two is what is left: {halves:?} {whole:?}");
        Ok(())
    });
}

/// Waits until a box says that it is in a cluster of two, and gives the cluster.
async fn two(vm: &mut Vm) -> Result<String> {
    Ok(Membership::parse(&vm.console().wait_for(words::TWO, boxes::DEADLINE).await?)?.cluster)
}
