//! A copy of a stick that is in use is noticed, and the cluster goes on.

use anyhow::ensure;
use qemu_tests::site::{Site, blank, highly_available};
use qemu_tests::{boxes, hold_in_full, images, words};
use shoal_contract::Arch;
use shoal_lab::{Bus, Disk, Drive, Format, Machine, Vm};

#[test]
fn and_changes_nothing() {
    hold_in_full("copied_stick", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        lab.boxes(4);
        let _site = Site::new(lab).await?;
        let mut vms = Vec::new();
        for number in 1..=3 {
            vms.push(Vm::start(blank(lab, image, &format!("box{number}")).await?, lab).await?);
        }
        let mut before = Vec::new();
        for vm in &mut vms {
            before.push(highly_available(vm, 3, 3).await?);
        }
        // A stick can only be copied while its box is off.
        vms[2].power_cut()?;
        std::fs::copy(lab.directory().join("box3.qcow2"), lab.directory().join("copy.qcow2"))?;
        vms[2].power_on().await?;
        ensure!(highly_available(&mut vms[2], 3, 3).await? == before[2], "it is not who it was");

        let disk = Disk::at(lab.directory().join("copy.qcow2"), Format::Qcow2);
        let machine = Machine { drives: Vec::new(), ..blank(lab, image, "copied").await? };
        let mut copy = Vm::start(machine.drive(Drive::new(disk, Bus::Virtio)), lab).await?;
        vms[0].console().wait_for(words::COPY, boxes::DEADLINE).await?;
        copy.console().wait_for(words::COPY, boxes::DEADLINE).await?;
        drop(copy);
        // A box that comes back finds the cluster as it was.
        vms[1].power_cut()?;
        vms[1].power_on().await?;
        ensure!(highly_available(&mut vms[1], 3, 3).await? == before[1], "it is not who it was");
        Ok(())
    });
}
