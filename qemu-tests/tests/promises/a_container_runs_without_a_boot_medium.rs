//! Kernel and initrd alone, loaded by QEMU, are a whole system: state is in RAM, and a baked-in container runs.

use qemu_tests::boxes::{self, State, boots, label};
use qemu_tests::{hold, images};
use shoal_contract::Arch;

fn kernel_boots(arch: Arch) {
    hold(&format!("kernel_boots_{}", label(arch)), async |lab| {
        let image = images::image(arch)?;
        boots(lab, image, boxes::machine(image).firmware(boxes::kernel(image, "")), State::InRam).await.map(drop)
    });
}

#[test]
fn x86_64() {
    kernel_boots(Arch::Amd64);
}

#[test]
fn arm64() {
    kernel_boots(Arch::Arm64);
}
