//! `shoal stamp` makes an image its owner's: boxes that boot it say whose they are. A box that cannot read it says so, and takes itself for nobody's.

use std::path::Path;

use anyhow::{Context, Result};
use qemu_tests::boxes;
use qemu_tests::{hold, images, words};
use shoal::cli::{FleetArgs, FleetCommand, StampArgs};
use shoal_contract::{Arch, INITRAMFS_CONFIG_PATH};
use shoal_format::sector;
use shoal_lab::{Bus, Drive, Firmware, Lab, Machine, Vm};

/// What a box says that belongs to nobody.
const UNCLAIMED: &str = "unclaimed: this box belongs to nobody";
/// What a box says that does not know.
const NOT_KNOWN: &str = "it is not known whose box this is: the configuration of the image is of no use: the configuration is damaged";

/// Stamps an image with a new fleet; gives what a box with it will say.
fn stamp(lab: &Lab, image: &Path) -> Result<String> {
    let file = lab.directory().join("site1.fleet");
    shoal::fleet::run(&FleetArgs { command: FleetCommand::New { name: "site1".into(), file: Some(file.clone()) } })?;
    let id = shoal::fleet::read(&file)?.id();
    shoal::stamp::run(&StampArgs {
        images: vec![image.to_owned()],
        fleet: Some(file),
        unclaimed: false,
        expect: Some(3),
        admission: None,
    })?;
    Ok(format!("this box belongs to the fleet {id}, join secret 1"))
}

async fn says(lab: &Lab, machine: Machine, what: &str) -> Result<()> {
    let mut vm = Vm::start(machine, lab).await?;
    for other in [UNCLAIMED, NOT_KNOWN].into_iter().filter(|other| *other != what) {
        vm.console().forbid(other);
    }
    vm.console().wait_for(what, boxes::DEADLINE).await?;
    vm.console().wait_for(words::AGENT_RUNS, boxes::DEADLINE).await?;
    Ok(())
}

#[test]
fn by_the_medium_it_was_booted_from() {
    hold("stamped_disk", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let disk = boxes::raw_disk(lab, image).await?;
        let belongs = stamp(lab, disk.path())?;
        says(lab, boxes::machine(image).firmware(Firmware::Uefi).drive(Drive::new(disk, Bus::Usb)), &belongs).await
    });
}

#[test]
fn by_the_initramfs_where_there_is_no_medium() {
    hold("stamped_initrd", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let initrd = lab.directory().join("initrd");
        std::fs::copy(&image.initrd, &initrd)?;
        let belongs = stamp(lab, &initrd)?;
        let Firmware::Kernel { kernel, command_line, .. } = boxes::kernel(image, boxes::STATE_IN_RAM) else {
            unreachable!("it is made so")
        };
        says(lab, boxes::machine(image).firmware(Firmware::Kernel { kernel, initrd: Some(initrd), command_line }), &belongs).await
    });
}

#[test]
fn and_nobodys_before_that() {
    hold("unstamped", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        says(lab, boxes::machine(image).firmware(boxes::kernel(image, boxes::STATE_IN_RAM)), UNCLAIMED).await
    });
}

#[test]
fn but_with_a_damaged_configuration_it_does_not_take_itself_for_nobodys() {
    hold("damaged_stamp", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let disk = boxes::raw_disk(lab, image).await?;
        stamp(lab, disk.path())?;
        let mut file = std::fs::File::open(disk.path())?;
        let place = sector::find(&mut file, INITRAMFS_CONFIG_PATH.trim_start_matches('/')).context("it was stamped")?;
        // One bit of the join secret.
        disk.poke(place.offset + 110, &[0xff])?;
        says(lab, boxes::machine(image).firmware(boxes::kernel(image, "")).drive(Drive::new(disk, Bus::Usb)), NOT_KNOWN).await
    });
}
