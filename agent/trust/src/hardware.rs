//! A hint of which box a node runs on. It is never an identity: firmware repeats numbers, and people move sticks.
//!
//! There are five components, and of each 64 bits of `HMAC-SHA256(K_hint, "shoal hardware hint v1" ‖ which ‖ what the hardware says)`. So two hints can be
//! compared piece by piece (a stick that was moved to another box differs in several), and nobody learns a serial number from them without the join
//! secret.
//!
//! **Hints of two generations of the join secret cannot be compared**, since the key differs. What is kept for longer than a generation, such as a list of
//! what was revoked, has to name keys as well.

use alloc::vec::Vec;
use hmac::Mac;

use crate::{
    codec::{Put, Reader},
    fleet::Generation,
    schedule::FleetKeys,
};

/// Bytes kept of each component.
const COMPONENT_BYTES: usize = 8;

/// Numbers that firmware gives to every box of a kind: nobody filled them in.
const SMBIOS_UUIDS_OF_NOBODY: [[u8; 16]; 3] = [
    [0; 16],
    [0xff; 16],
    // AMI's placeholder, 03000200-0400-0500-0006-000700080009, as SMBIOS stores it.
    [0x00, 0x02, 0x00, 0x03, 0x00, 0x04, 0x00, 0x05, 0x00, 0x06, 0x00, 0x07, 0x00, 0x08, 0x00, 0x09],
];

/// Serial numbers that mean that there is none, in lower case.
const SERIALS_OF_NOBODY: [&str; 8] =
    ["", "none", "unknown", "default string", "not specified", "to be filled by o.e.m.", "system serial number", "0123456789"];

/// What a box says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hardware<'a> {
    /// The UUID of SMBIOS, as stored.
    pub smbios_uuid: Option<[u8; 16]>,
    /// The serial number of the board.
    pub board_serial: Option<&'a str>,
    /// The permanent MAC addresses of its interfaces, in any order.
    pub permanent_macs: &'a [[u8; 6]],
    /// The serial number of the medium it was booted from.
    pub medium_serial: Option<&'a str>,
    /// SHA-256 of the TPM's endorsement key.
    pub endorsement_key: Option<[u8; 32]>,
}

/// Components of a hint.
pub const COMPONENTS: usize = 5;

/// The hint of one box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HardwareHint {
    generation: Generation,
    components: [Option<[u8; COMPONENT_BYTES]>; COMPONENTS],
}

impl HardwareHint {
    /// That of a box. What nobody filled in counts as missing.
    #[must_use]
    pub fn of(hardware: &Hardware<'_>, keys: &FleetKeys) -> Self {
        let uuid = hardware.smbios_uuid.filter(|uuid| !SMBIOS_UUIDS_OF_NOBODY.contains(uuid));
        let serial = |serial: Option<&'_ str>| {
            let serial = serial?.trim();
            (!SERIALS_OF_NOBODY.contains(&serial.to_ascii_lowercase().as_str())).then(|| serial.as_bytes().to_vec())
        };
        let mut macs = hardware.permanent_macs.to_vec();
        macs.sort_unstable();
        macs.dedup();
        let values: [Option<Vec<u8>>; COMPONENTS] = [
            uuid.map(|uuid| uuid.to_vec()),
            serial(hardware.board_serial),
            (!macs.is_empty()).then(|| macs.concat()),
            serial(hardware.medium_serial),
            hardware.endorsement_key.map(|key| key.to_vec()),
        ];
        let mut components = [None; COMPONENTS];
        for (number, value) in values.into_iter().enumerate() {
            components[number] = value.map(|value| {
                let mac: [u8; 32] = keys.hint().chain_update([number as u8]).chain_update(value).finalize().into_bytes().into();
                let (component, _) = mac.split_first_chunk().expect("a MAC is longer than a component");
                *component
            });
        }
        Self { generation: keys.generation(), components }
    }

    /// In how many components two differ; one that only one of them has counts. `None` if they are of two generations of the join secret.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Option<usize> {
        let pairs = self.components.iter().zip(&other.components);
        (self.generation == other.generation).then(|| pairs.filter(|(ours, theirs)| ours != theirs).count())
    }

    /// For sending and keeping: the generation (4 bytes), which components there are (1 byte, the first is its lowest bit), and those.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.generation.get().to_be_bytes().to_vec();
        bytes.push(self.components.iter().enumerate().map(|(number, component)| u8::from(component.is_some()) << number).sum());
        self.components.iter().flatten().for_each(|component| bytes.put(component));
        bytes
    }

    /// Reads what [`HardwareHint::encode`] writes, and nothing else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let generation = Generation::new(reader.u32()?)?;
        let present = reader.u8()?;
        let mut components = [None; COMPONENTS];
        for (number, component) in components.iter_mut().enumerate() {
            if present >> number & 1 == 1 {
                *component = Some(reader.array()?);
            }
        }
        (present >> COMPONENTS == 0 && reader.0.is_empty()).then_some(Self { generation, components })
    }

    /// How many components it has. With none, two that are equal say nothing.
    #[must_use]
    pub fn components(&self) -> usize {
        self.components.iter().flatten().count()
    }
}
