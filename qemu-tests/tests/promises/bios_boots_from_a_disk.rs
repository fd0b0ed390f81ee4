//! A legacy BIOS boots the same disk image from a SATA disk at an AHCI controller.

use qemu_tests::boxes::{self, State, boots};
use qemu_tests::{hold, images};
use shoal_contract::Arch;
use shoal_lab::{Bus, Drive, Firmware};

#[test]
fn x86_64_from_ahci() {
    hold("bios_boots_from_ahci", async |lab| {
        let image = images::image(Arch::Amd64)?;
        let disk = boxes::disk(lab, image).await?;
        let machine = boxes::machine(image).firmware(Firmware::Bios).drive(Drive::new(disk, Bus::Ahci));
        boots(lab, image, machine, State::OnMedium).await.map(drop)
    });
}
