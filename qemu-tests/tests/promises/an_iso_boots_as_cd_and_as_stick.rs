//! The hybrid ISO boots as a CD, where state can only be in RAM, and written to a stick, where it is kept behind the ISO's own volume.

use anyhow::Context;
use qemu_tests::boxes::{self, State, boots};
use qemu_tests::{hold, images};
use shoal_contract::Arch;
use shoal_lab::{Bus, Drive, Firmware};

fn cd_boots(name: &str, firmware: Firmware) {
    hold(name, async |lab| {
        let image = images::image(Arch::Amd64)?;
        let iso = image.iso.as_ref().context("the build gave no ISO")?;
        boots(lab, image, boxes::machine(image).firmware(firmware).cdrom(iso), State::InRam).await.map(drop)
    });
}

fn stick_boots(name: &str, firmware: Firmware) {
    hold(name, async |lab| {
        let image = images::image(Arch::Amd64)?;
        let stick = boxes::written(lab, image.iso.as_ref().context("the build gave no ISO")?).await?;
        let machine = boxes::machine(image).firmware(firmware).drive(Drive::new(stick, Bus::Usb));
        boots(lab, image, machine, State::OnMedium).await.map(drop)
    });
}

#[test]
fn as_cd_by_uefi() {
    cd_boots("iso_as_cd_by_uefi", Firmware::Uefi);
}

#[test]
fn as_cd_by_bios() {
    cd_boots("iso_as_cd_by_bios", Firmware::Bios);
}

#[test]
fn as_usb_disk_by_uefi() {
    stick_boots("iso_as_usb_disk_by_uefi", Firmware::Uefi);
}

#[test]
fn as_usb_disk_by_bios() {
    stick_boots("iso_as_usb_disk_by_bios", Firmware::Bios);
}
