//! What follows from seeds and hardware.

use std::collections::BTreeSet;

use shoal_trust::{
    fleet::{FleetId, Generation},
    hardware::{COMPONENTS, Hardware, HardwareHint},
    identity::{NodeName, NodeSeed},
    schedule::FleetKeys,
    secret::{JoinSecret, NotRandom},
    words::Words,
};

use crate::sample::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

#[test]
fn five_sticks_of_one_image_are_five_nodes() {
    let seeds: Vec<NodeSeed> = (1..=5).map(|byte| NodeSeed::mint([byte; 32], &[]).unwrap()).collect();
    let all = |what: &dyn Fn(&NodeSeed) -> String| seeds.iter().map(what).collect::<BTreeSet<_>>().len();
    assert_eq!(all(&|seed| NodeName::of(seed.signing().public()).to_string()), 5);
    assert_eq!(all(&|seed| seed.machine_id().to_string()), 5);
    assert_eq!(all(&|seed| format!("{:?}", seed.dhcp_client_id(MAC))), 5, "also with one MAC address, as emulators give to all");
    assert_eq!(all(&|seed| format!("{:?}", seed.unwrapping().public())), 5);
    assert_eq!(all(&|seed| format!("{seed:?}")), 1, "a seed is not shown");
}

#[test]
fn what_else_a_box_has_keeps_boxes_apart_and_cannot_be_shifted() {
    let mint = |uncredited: &[&[u8]]| NodeSeed::mint([1; 32], uncredited).unwrap();
    let all = [mint(&[]), mint(&[b""]), mint(&[b"ab"]), mint(&[b"a", b"b"]), mint(&[b"ab", b""]), mint(&[b"", b"ab"])];
    for (number, one) in all.iter().enumerate() {
        assert!(all[number + 1..].iter().all(|other| one != other), "{number}");
    }
    assert_eq!(NodeSeed::mint([0; 32], &[b"tpm"]), Err(NotRandom), "what is not credited is no substitute");
}

#[test]
fn names_are_labels_of_dns_and_ids_have_their_forms() {
    let name = NodeName::of(seed().signing().public());
    assert!(name.as_str().starts_with("e-") && name.as_str().len() == 12);
    assert!(name.as_str()[2..].bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte)), "{name}");
    let id = seed().machine_id().to_string();
    assert!(id.len() == 32 && &id[12..13] == "4" && "89ab".contains(&id[16..17]), "{id}");
    let client = seed().dhcp_client_id(MAC);
    assert_eq!((client.as_bytes()[0], &client.duid()[..2], client.duid().len()), (255, &[0, 4][..], 18));
    let other = seed().dhcp_client_id([2, 0, 0, 0, 0, 2]);
    assert!(client != other && client.duid() == other.duid(), "one DUID for a node, one IAID for an interface");
}

#[test]
fn a_kept_seed_is_the_same_node() {
    let kept = seed().expose();
    let again = NodeSeed::from_bytes(*kept).unwrap();
    assert_eq!(again.signing().public(), seed().signing().public());
    assert_eq!(*again.unwrapping().expose(), *seed().unwrapping().expose());
    assert_ne!(*again.unwrapping().expose(), *again.signing().expose(), "two uses, two keys");
}

fn box_of<'a>(macs: &'a [[u8; 6]]) -> Hardware<'a> {
    Hardware {
        smbios_uuid: Some([7; 16]),
        board_serial: Some("B-1"),
        permanent_macs: macs,
        medium_serial: Some("M-1"),
        endorsement_key: Some([9; 32]),
    }
}

#[test]
fn hints_count_what_has_changed() {
    let hint = |hardware: &Hardware<'_>| HardwareHint::of(hardware, &keys());
    let macs = [MAC, [2, 0, 0, 0, 0, 9]];
    let first = hint(&box_of(&macs));
    let differs = |other: &Hardware<'_>| first.differences(&hint(other)).unwrap();
    assert_eq!(first.components(), COMPONENTS);
    assert_eq!(differs(&box_of(&[macs[1], macs[0], macs[1]])), 0, "in any order, and however often");
    assert_eq!(differs(&Hardware { board_serial: Some(" B-1 "), ..box_of(&macs) }), 0);
    assert_eq!(differs(&Hardware { medium_serial: Some("M-2"), ..box_of(&macs) }), 1, "another stick");
    let moved = Hardware { smbios_uuid: Some([8; 16]), board_serial: Some("B-2"), permanent_macs: &macs[..1], ..box_of(&macs) };
    assert_eq!(differs(&moved), 3, "another box");
    assert_eq!(differs(&Hardware { endorsement_key: None, ..box_of(&macs) }), 1, "one that is gone has changed");
    assert_eq!(differs(&Hardware { board_serial: Some("M-1"), medium_serial: Some("B-1"), ..box_of(&macs) }), 2, "places do not mix");
}

#[test]
fn numbers_that_firmware_gives_to_all_are_none() {
    let ami = [0x00, 0x02, 0x00, 0x03, 0x00, 0x04, 0x00, 0x05, 0x00, 0x06, 0x00, 0x07, 0x00, 0x08, 0x00, 0x09];
    for uuid in [[0; 16], [0xff; 16], ami] {
        let hardware = Hardware { smbios_uuid: Some(uuid), board_serial: Some("To be filled by O.E.M."), ..Hardware::default() };
        assert_eq!(HardwareHint::of(&hardware, &keys()).components(), 0, "{uuid:x?}");
    }
}

#[test]
fn hints_of_two_generations_or_fleets_have_nothing_in_common() {
    let keys_of =
        |fleet, generation| FleetKeys::derive(fleet, Generation::new(generation).unwrap(), &JoinSecret::from_random([1; 32]).unwrap());
    let macs = [MAC];
    let hint = |fleet, generation| HardwareHint::of(&box_of(&macs), &keys_of(fleet, generation));
    assert_eq!(hint(fleet(), 1).differences(&hint(fleet(), 2)), None);
    assert_eq!(hint(fleet(), 1).differences(&hint(FleetId([1; 16]), 1)), Some(COMPONENTS));
}

#[test]
fn hints_are_read_as_they_are_written() {
    for hardware in [box_of(&[MAC]), Hardware { medium_serial: Some("x"), ..Hardware::default() }, Hardware::default()] {
        let hint = HardwareHint::of(&hardware, &keys());
        let bytes = hint.encode();
        assert_eq!(HardwareHint::decode(&bytes), Some(hint));
        assert_eq!(HardwareHint::decode(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(HardwareHint::decode(&bytes[..bytes.len() - 1]), None);
    }
    let unknown_component = [&[0, 0, 0, 1, 0x20][..], &[0; 8]].concat();
    assert_eq!(HardwareHint::decode(&unknown_component), None);
    assert_eq!(HardwareHint::decode(&[0, 0, 0, 0, 0]), None, "generations are counted from 1");
}

#[test]
fn another_genesis_has_other_words() {
    let one = Words::of_genesis(b"one");
    assert_eq!(one, Words::of_genesis(b"one"));
    assert_ne!(one, Words::of_genesis(b"two"));
    assert_eq!(one.to_string().split(' ').count(), 4);
}
