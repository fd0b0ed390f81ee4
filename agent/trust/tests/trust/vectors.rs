//! Every format against known answers, which were computed apart from this crate.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use shoal_trust::{
    beacon::{Beacon, BootNonce, Standing},
    config::Config,
    fleet::{ClusterId, Expect, FleetName, NodeId},
    fleet_file::{FleetFile, FleetRandomness},
    hardware::{Hardware, HardwareHint},
    identity::{NodeName, NodeSeed},
    join_proof, operator_proof,
    statement::{KeyRotation, Leaving, MemberCert, PastLife, PinnedCluster, Removed},
    words::Words,
};

use crate::sample::*;

const MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_format_gives_the_known_answers() {
    let mut expected: BTreeMap<&str, &str> = include_str!("vectors.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(" = ").expect("each line is a name and a value"))
        .collect();
    let mut check = |name: &str, found: &str| {
        let known = expected.remove(name).unwrap_or_else(|| panic!("there is no answer {name}"));
        assert_eq!(found, known, "{name}");
    };
    let mut check_bytes = |name: &str, found: &[u8]| check(name, &hexadecimal(found));

    let sector = claimed().encode().unwrap();
    check_bytes("config_claimed_head", &sector[..176]);
    check_bytes("config_claimed_checksum", &sector[4064..]);
    check_bytes("config_claimed_sha256", &Sha256::digest(&*sector));
    check_bytes("config_unclaimed_sha256", &Sha256::digest(&*unclaimed().encode().unwrap()));
    check_bytes("unclaimed_fleet", &unclaimed().fleet().0);
    check_bytes("fleet_tag", &fleet().tag().0);
    check_bytes("cluster_tag", &cluster().tag().0);

    let beacon = |standing, addresses: &[&str]| Beacon {
        fleet: fleet().tag(),
        generation: keys().generation(),
        standing,
        boot: BootNonce(counting(0xb0)),
        port: 6443,
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
    };
    let both = ["192.168.1.20", "fe80::1"];
    check_bytes("beacon_virgin", &beacon(Standing::Virgin, &both).to_txt(&keys()).unwrap());
    check_bytes("beacon_dark", &beacon(Standing::Dark(cluster().tag()), &[]).to_txt(&keys()).unwrap());
    check_bytes("beacon_member_datagram", &beacon(Standing::Member(cluster().tag()), &both).to_datagram(&keys()).unwrap());

    let (a, b) = (*node_a().public(), *node_b().public());
    check_bytes("node_public", &a.to_bytes());
    check_bytes("node_x25519", &seed().unwrapping().public().0);
    check_bytes("dhcp_client_id", seed().dhcp_client_id(MAC).as_bytes());
    check_bytes("minted_seed", &*NodeSeed::mint([0x11; 32], &[b"tpm", b"\x52\x54"]).unwrap().expose());
    let hardware = Hardware {
        smbios_uuid: Some([0x77; 16]),
        board_serial: Some("SN-1"),
        permanent_macs: &[MAC, [0x00, 0x11, 0x22, 0x33, 0x44, 0x55]],
        medium_serial: Some("USB-9"),
        endorsement_key: Some([0x33; 32]),
    };
    check_bytes("hardware_hint", &HardwareHint::of(&hardware, &keys()).encode());

    let (client, server) = sessions();
    check_bytes("join_proof_client", &join_proof::prove(&keys(), &client));
    check_bytes("join_proof_server", &join_proof::prove(&keys(), &server));
    check_bytes("operator_proof", &operator_proof::prove(&operator(), fleet(), &client));

    let [first, second] = cluster_keys();
    let past_life = PastLife {
        cluster: cluster(),
        node: NodeId(5),
        config_term: 6,
        config_index: 41,
        voters: vec![NodeId(1), NodeId(5), NodeId(8)],
        outgoing: vec![NodeId(1)],
        leaving: Leaving::Dissolved(ClusterId(counting(0x90))),
    };
    check_bytes("past_life", &node_a().state(past_life).signed().encode());
    let rotation = KeyRotation { cluster: cluster(), number: 2, key: *second.public() };
    check_bytes("key_rotation", &first.state(rotation).signed().encode());
    let cert = MemberCert { cluster: cluster(), key_number: 2, node: NodeId(9), node_key: b };
    check_bytes("member_cert", &second.state(cert).signed().encode());
    check_bytes("removed", &node_b().state(Removed { cluster: cluster(), node: NodeId(5), index: 77 }).signed().encode());

    check("node_name", NodeName::of(&a).as_str());
    check("machine_id", &seed().machine_id().to_string());
    check("node_text", &a.to_text());
    check("words", &Words::of_genesis(b"genesis of a test").to_string());
    assert!(expected.is_empty(), "nothing here computes {expected:?}");
}

#[test]
fn the_known_sector_is_read() {
    let sector = claimed().encode().unwrap();
    let config = Config::parse(&sector).unwrap();
    assert_eq!((config.fleet(), config.policy.expect), (fleet(), Expect::new(3)));
    assert_eq!(config, claimed());
}

#[test]
fn the_known_fleet_file_is_what_is_printed_and_read() {
    let randomness = FleetRandomness { id: fleet().0, operator: counting(0x80), join: counting(0x40) };
    let mut file = FleetFile::new(FleetName::new("site1").unwrap(), randomness).unwrap();
    file.pin(PinnedCluster { cluster: cluster(), number: 2, key: *cluster_keys()[1].public() }).unwrap();
    let known = include_str!("site1.fleet");
    assert_eq!(*file.print(), known);
    assert_eq!(FleetFile::parse(known).unwrap(), file);
}
