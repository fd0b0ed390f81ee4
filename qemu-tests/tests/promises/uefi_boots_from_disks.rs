//! UEFI boots the disk image from every kind of disk. State goes to the disk, and a baked-in container runs.

use qemu_tests::boxes::{self, State, boots, label};
use qemu_tests::{hold, images};
use shoal_contract::Arch;
use shoal_lab::{Bus, Drive};

fn uefi_boots(arch: Arch, bus: Bus) {
    hold(&format!("uefi_boots_{}_{bus:?}", label(arch)), async |lab| {
        let image = images::image(arch)?;
        let disk = boxes::disk(lab, image).await?;
        boots(lab, image, boxes::machine(image).drive(Drive::new(disk, bus)), State::OnMedium).await.map(drop)
    });
}

#[test]
fn x86_64_from_virtio() {
    uefi_boots(Arch::Amd64, Bus::Virtio);
}

#[test]
fn x86_64_from_nvme() {
    uefi_boots(Arch::Amd64, Bus::Nvme);
}

#[test]
fn x86_64_from_usb() {
    uefi_boots(Arch::Amd64, Bus::Usb);
}

#[test]
fn arm64_from_virtio() {
    uefi_boots(Arch::Arm64, Bus::Virtio);
}
