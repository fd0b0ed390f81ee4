//! What the box says of its hardware, from sysfs. It is never an identity: firmware repeats numbers, and people move sticks.

use std::{fs, path::Path};

use shoal_trust::{
    hardware::{Hardware, HardwareHint},
    schedule::FleetKeys,
};
use uuid::Uuid;

/// What is read of a box.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    smbios_uuid: Option<[u8; 16]>,
    board_serial: Option<String>,
    macs: Vec<[u8; 6]>,
}

impl Found {
    /// Reads what this sysfs says. What cannot be read is missing.
    #[must_use]
    pub fn read(sysfs: &Path) -> Self {
        let text = |name: &str| fs::read_to_string(sysfs.join("class/dmi/id").join(name)).ok();
        let uuid = text("product_uuid").and_then(|text| Uuid::parse_str(text.trim()).ok());
        let mut macs: Vec<[u8; 6]> = physical(&sysfs.join("class/net")).filter_map(|address| mac(address.trim())).collect();
        macs.sort_unstable();
        // SMBIOS 2.6 and later store the first three fields with their lowest byte first, and the kernel prints them as fields.
        Self { smbios_uuid: uuid.map(|uuid| uuid.to_bytes_le()), board_serial: text("board_serial"), macs }
    }

    /// A hint of this box, as formation has it; none if the hardware says nothing, which is no hint that two boxes are the same.
    #[must_use]
    pub fn hint(&self, keys: &FleetKeys) -> Option<shoal_formation::HardwareHint> {
        let hardware = Hardware {
            smbios_uuid: self.smbios_uuid,
            board_serial: self.board_serial.as_deref(),
            permanent_macs: &self.macs,
            ..Hardware::default()
        };
        let hint = HardwareHint::of(&hardware, keys);
        // Each of its components is a keyed hash already, so folding them is enough to tell boxes apart.
        let fold = |bytes: &[u8]| {
            bytes.chunks(8).fold(0_u64, |folded, chunk| {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                folded.rotate_left(1) ^ u64::from_be_bytes(word)
            })
        };
        (hint.components() > 0).then(|| shoal_formation::HardwareHint(fold(&hint.encode())))
    }

    /// What is mixed into the seed of an identity, uncredited.
    #[must_use]
    pub fn uncredited(&self) -> Vec<Vec<u8>> {
        let uuid = self.smbios_uuid.iter().map(|uuid| uuid.to_vec());
        let serial = self.board_serial.iter().map(|serial| serial.clone().into_bytes());
        uuid.chain(serial).chain(self.macs.iter().map(|mac| mac.to_vec())).collect()
    }
}

/// The addresses of the interfaces with a device behind them, in no order.
fn physical(net: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(net).into_iter().flatten().flatten();
    let with_device = entries.filter(|entry| entry.path().join("device").exists());
    with_device.filter_map(|entry| fs::read_to_string(entry.path().join("address")).ok())
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    bytes?.try_into().ok().filter(|mac| *mac != [0; 6])
}

#[cfg(test)]
mod tests {
    use shoal_trust::fleet::Build;

    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_box_is_read_and_told_from_others() {
        let place = tempfile::tempdir().unwrap();
        let sysfs = place.path();
        write(&sysfs.join("class/dmi/id/product_uuid"), "00112233-4455-6677-8899-aabbccddeeff\n");
        write(&sysfs.join("class/net/eth0/address"), "52:54:00:00:00:01\n");
        fs::create_dir_all(sysfs.join("class/net/eth0/device")).unwrap();
        write(&sysfs.join("class/net/lo/address"), "00:00:00:00:00:00\n");
        write(&sysfs.join("class/net/veth1/address"), "52:54:00:00:00:02\n");
        let found = Found::read(sysfs);
        assert_eq!(found.macs, [[0x52, 0x54, 0, 0, 0, 1]], "containers' interfaces say nothing of a box");
        assert_eq!(found.smbios_uuid.map(|uuid| uuid[..4].to_vec()), Some(vec![0x33, 0x22, 0x11, 0x00]), "as SMBIOS stores it");
        let keys = FleetKeys::unclaimed(&Build { id: [1; 32], time: 1 });
        let other = Found { macs: vec![[2; 6]], ..Found::default() };
        assert_ne!(found.hint(&keys), other.hint(&keys));
        assert_eq!(found.hint(&keys), Found::read(sysfs).hint(&keys));
        assert_ne!(
            found.hint(&keys),
            found.hint(&FleetKeys::unclaimed(&Build { id: [2; 32], time: 1 })),
            "nobody without the key compares it"
        );
    }

    #[test]
    fn a_box_that_says_nothing_has_no_hint() {
        let place = tempfile::tempdir().unwrap();
        let found = Found::read(place.path());
        assert_eq!(found, Found::default());
        assert_eq!(found.hint(&FleetKeys::unclaimed(&Build { id: [1; 32], time: 1 })), None);
    }
}
