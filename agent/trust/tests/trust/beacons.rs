//! Beacons: one encoding each, and nothing of them can be changed.

use std::net::IpAddr;

use proptest::prelude::*;
use shoal_trust::{
    beacon::{ADDRESSES_MAX, Beacon, BeaconError, BootNonce, DATAGRAM_BYTES_MAX, Standing, TXT_BYTES_MAX, UnverifiedBeacon},
    fleet::{ClusterTag, FleetId, Generation},
    schedule::FleetKeys,
    secret::JoinSecret,
};

use crate::sample::*;

fn beacon(standing: Standing, addresses: Vec<IpAddr>) -> Beacon {
    Beacon { fleet: fleet().tag(), generation: keys().generation(), standing, boot: BootNonce([5; 8]), port: 6443, addresses }
}

fn some() -> Beacon {
    beacon(Standing::Member(ClusterTag([6; 8])), vec!["10.1.2.3".parse().unwrap(), "fe80::1".parse().unwrap()])
}

fn read(txt: &[u8], port: u16) -> Result<Beacon, BeaconError> {
    UnverifiedBeacon::parse(txt, port)?.verify(&keys())
}

#[test]
fn the_longest_beacon_has_200_bytes() {
    let addresses: Vec<IpAddr> = (1..=8_u128).map(|low| IpAddr::V6(((0xfd << 120) | low).into())).collect();
    let longest = beacon(Standing::Dark(ClusterTag([1; 8])), addresses.clone());
    let txt = longest.to_txt(&keys()).unwrap();
    assert_eq!(txt.len(), TXT_BYTES_MAX);
    assert_eq!(longest.to_datagram(&keys()).unwrap().len(), DATAGRAM_BYTES_MAX);
    assert_eq!(read(&txt, 6443).unwrap(), longest);
    let mut too_many = longest;
    too_many.addresses.push("fe80::1".parse().unwrap());
    assert_eq!(too_many.addresses.len(), ADDRESSES_MAX + 1);
    assert_eq!(too_many.to_txt(&keys()), Err(BeaconError::Addresses));
    assert_eq!(read(&[0; 201], 1), Err(BeaconError::Length(201)));
    assert_eq!(UnverifiedBeacon::parse_datagram(&[0; 211]), Err(BeaconError::Length(211)));
}

#[test]
fn no_bit_of_a_beacon_can_be_changed() {
    for datagram in
        [some(), beacon(Standing::Virgin, Vec::new()), beacon(Standing::Removed, Vec::new())].map(|it| it.to_datagram(&keys()).unwrap())
    {
        assert!(UnverifiedBeacon::parse_datagram(&datagram).unwrap().verify(&keys()).is_ok());
        for bit in 0..datagram.len() * 8 {
            let mut changed = datagram.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(UnverifiedBeacon::parse_datagram(&changed).and_then(|it| it.verify(&keys())).is_err(), "bit {bit}");
        }
        for length in 0..datagram.len() {
            assert!(UnverifiedBeacon::parse_datagram(&datagram[..length]).is_err(), "{length} bytes");
        }
    }
}

/// Splits a TXT record into its strings.
fn strings(txt: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = txt;
    let mut strings = Vec::new();
    while let Some(length) = rest.first() {
        let (string, after) = rest.split_at(1 + usize::from(*length));
        strings.push(string.to_vec());
        rest = after;
    }
    strings
}

#[test]
fn strings_have_one_order_and_no_others_are_taken() {
    let txt = some().to_txt(&keys()).unwrap();
    let original = strings(&txt);
    assert_eq!(original.iter().map(|string| string[1]).collect::<Vec<_>>(), b"vfgscbam");
    for at in 0..original.len() {
        let mut without = original.clone();
        without.remove(at);
        assert!(read(&without.concat(), 6443).is_err(), "without string {at}");
        for other in 0..original.len() {
            let mut swapped = original.clone();
            swapped.swap(at, other);
            assert_eq!(read(&swapped.concat(), 6443).is_ok(), at == other, "{at} and {other} swapped");
        }
        for more in [&original[at][..], b"\x03x=1", b"\x00"] {
            let mut longer = original.clone();
            longer.insert(at, more.to_vec());
            assert!(read(&longer.concat(), 6443).is_err(), "more before string {at}");
        }
    }
    assert_eq!(read(&[&txt[..], b"\x03x=1"].concat(), 6443), Err(BeaconError::Malformed("there is more after the MAC")));
    assert_eq!(read(&[&b"\x03v=2"[..], &txt[4..]].concat(), 6443), Err(BeaconError::Version));
}

#[test]
fn the_port_of_the_srv_record_is_part_of_it() {
    let txt = some().to_txt(&keys()).unwrap();
    assert_eq!(read(&txt, 6444), Err(BeaconError::Forged));
    assert_eq!(read(&txt, 0), Err(BeaconError::Port));
    assert_eq!(Beacon { port: 0, ..some() }.to_txt(&keys()), Err(BeaconError::Port));
}

#[test]
fn who_has_another_secret_is_told_apart() {
    let keys_of = |fleet, generation, secret| {
        FleetKeys::derive(fleet, Generation::new(generation).unwrap(), &JoinSecret::from_random([secret; 32]).unwrap())
    };
    let verify = |keys: &FleetKeys| {
        UnverifiedBeacon::parse(&some().to_txt(&crate::sample::keys()).unwrap(), 6443).unwrap().verify(keys).unwrap_err()
    };
    assert_eq!(verify(&keys_of(FleetId([9; 16]), GENERATION, 1)), BeaconError::OtherFleet);
    let (theirs, ours) = (Generation::new(GENERATION).unwrap(), Generation::new(GENERATION + 1).unwrap());
    assert_eq!(verify(&keys_of(fleet(), GENERATION + 1, 1)), BeaconError::OtherGeneration { theirs, ours });
    assert_eq!(verify(&keys_of(fleet(), GENERATION, 1)), BeaconError::Forged);
}

#[test]
fn addresses_are_those_of_peers_ascending_and_each_once() {
    let table = [
        (vec![], true),
        (vec!["10.0.0.1"], true),
        (vec!["169.254.1.1", "fe80::1"], true),
        (vec!["fe80::1", "169.254.1.1"], false),
        (vec!["10.0.0.1", "10.0.0.1"], false),
        (vec!["0.0.0.0"], false),
        (vec!["0.1.2.3"], false),
        (vec!["127.0.0.1"], false),
        (vec!["224.0.0.251"], false),
        (vec!["255.255.255.255"], false),
        (vec!["::"], false),
        (vec!["::1"], false),
        (vec!["ff02::fb"], false),
        (vec!["::ffff:10.0.0.1"], false),
    ];
    for (addresses, is_fine) in table {
        let beacon = beacon(Standing::Virgin, addresses.iter().map(|address| address.parse().unwrap()).collect());
        assert_eq!(beacon.to_txt(&keys()).is_ok(), is_fine, "{addresses:?}");
    }
}

fn beacons() -> impl Strategy<Value = Beacon> {
    let address = prop_oneof![
        (0x0100_0000_u32..0x7f00_0000).prop_map(|bits| IpAddr::V4(bits.into())),
        any::<u64>().prop_map(|low| IpAddr::V6(((0xfe80 << 112) | u128::from(low)).into())),
    ];
    let standing = (0..4, any::<[u8; 8]>()).prop_map(|(which, tag)| match which {
        0 => Standing::Virgin,
        1 => Standing::Member(ClusterTag(tag)),
        2 => Standing::Dark(ClusterTag(tag)),
        _ => Standing::Removed,
    });
    (standing, any::<[u8; 8]>(), 1_u16.., prop::collection::btree_set(address, 0..=8)).prop_map(|(standing, boot, port, addresses)| {
        Beacon { boot: BootNonce(boot), port, ..beacon(standing, addresses.into_iter().collect()) }
    })
}

proptest! {
    #[test]
    fn what_is_sent_is_what_is_received(beacon in beacons()) {
        let datagram = beacon.to_datagram(&keys()).unwrap();
        prop_assert!(datagram.len() <= DATAGRAM_BYTES_MAX);
        prop_assert_eq!(UnverifiedBeacon::parse_datagram(&datagram).unwrap().verify(&keys()).unwrap(), beacon);
    }

    #[test]
    fn any_changed_field_is_refused(one in beacons(), other in beacons(), field in 0..4) {
        // The MAC of one, the field of the other.
        let mixed = match field {
            0 => Beacon { standing: other.standing, ..one.clone() },
            1 => Beacon { boot: other.boot, ..one.clone() },
            2 => Beacon { port: other.port, ..one.clone() },
            _ => Beacon { addresses: other.addresses, ..one.clone() },
        };
        prop_assume!(mixed != one);
        let mut datagram = mixed.to_datagram(&keys()).unwrap();
        let genuine = one.to_datagram(&keys()).unwrap();
        let mac = datagram.len() - 10..;
        datagram[mac].copy_from_slice(&genuine[genuine.len() - 10..]);
        prop_assert_eq!(UnverifiedBeacon::parse_datagram(&datagram).unwrap().verify(&keys()), Err(BeaconError::Forged));
    }
}
