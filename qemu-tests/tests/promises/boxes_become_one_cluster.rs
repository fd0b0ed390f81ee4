//! Boxes that were booted from the same image become one cluster, with no file, token or command; and are the same one when the power comes back, wherever
//! they are then.

use anyhow::{Result, ensure};
use qemu_tests::site::{Membership, Site, blank, highly_available};
use qemu_tests::{boxes, hold, hold_in_full, images, words};
use shoal_contract::Arch;
use shoal_lab::Vm;

/// Waits until all say that they are the voters of one cluster; gives who they are.
async fn one_cluster(vms: &mut [Vm]) -> Result<Vec<Membership>> {
    let mut memberships = Vec::new();
    let all = vms.len();
    for vm in vms {
        memberships.push(highly_available(vm, all, all).await?);
    }
    ensure!(memberships.iter().all(|other| other.cluster == memberships[0].cluster), "there are several clusters: {memberships:?}");
    let mut nodes: Vec<&str> = memberships.iter().map(|membership| membership.node.as_str()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    ensure!(nodes.len() == all, "two boxes are the same node: {memberships:?}");
    Ok(memberships)
}

#[test]
fn three_at_once_also_after_the_power_of_the_whole_site_was_cut_and_all_given_addresses_have_changed() {
    hold("three_at_once", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        lab.boxes(3);
        let site = Site::new(lab).await?;
        let mut vms = Vec::new();
        for number in 1..=3 {
            vms.push(Vm::start(blank(lab, image, &format!("box{number}")).await?, lab).await?);
        }
        let before = one_cluster(&mut vms).await?;

        for vm in &mut vms {
            vm.power_cut()?;
        }
        // A router would give the same addresses again: they are made from those of the cards.
        site.net.stop_router();
        site.give_addresses(200);
        for vm in &mut vms {
            vm.power_on().await?;
        }
        ensure!(one_cluster(&mut vms).await? == before, "they are not who they were");
        Ok(())
    });
}

#[test]
fn five_at_once_of_which_three_vote() {
    hold_in_full("five_at_once", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        lab.boxes(5);
        let _site = Site::new(lab).await?;
        let mut vms = Vec::new();
        for number in 1..=5 {
            vms.push(Vm::start(blank(lab, image, &format!("box{number}")).await?, lab).await?);
        }
        let mut clusters = Vec::new();
        for vm in &mut vms {
            clusters.push(highly_available(vm, 3, 5).await?.cluster);
        }
        ensure!(clusters.iter().all(|cluster| *cluster == clusters[0]), "there are several clusters: {clusters:?}");
        Ok(())
    });
}

#[test]
fn one_alone_and_two_more_later() {
    hold_in_full("one_and_two_more", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        lab.boxes(3);
        let _site = Site::new(lab).await?;
        let mut first = Vm::start(blank(lab, image, "box1").await?, lab).await?;
        let alone = Membership::parse(&first.console().wait_for(words::ALONE, boxes::DEADLINE).await?)?;
        let mut vms = vec![first];
        for number in 2..=3 {
            vms.push(Vm::start(blank(lab, image, &format!("box{number}")).await?, lab).await?);
        }
        ensure!(one_cluster(&mut vms).await?[0] == alone, "the first box is not who it was");
        Ok(())
    });
}
