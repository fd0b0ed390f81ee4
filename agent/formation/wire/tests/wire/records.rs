//! Records come back as they were, statements as they were signed.

use std::collections::BTreeMap;

use shoal_formation::{ClusterId, NodeId, Role, disk::PAST_LIVES};
use shoal_formation_wire::record;

use crate::sample;

#[test]
fn roles_come_back_with_what_was_signed() {
    let node = sample::node(1);
    let roles = [
        Role::Virgin,
        Role::Founding(ClusterId(1 << 100)),
        Role::Member(ClusterId(2), NodeId(3)),
        Role::ExMember(ClusterId(4)),
        sample::leaving(),
    ];
    for role in roles {
        let bytes = record::encode_role(&role, &node);
        let (read, signed) = record::decode_role(&bytes).unwrap();
        assert_eq!(read, role);
        assert_eq!(signed.is_some(), matches!(role, Role::Leaving(_)));
        if let Some(signed) = signed {
            assert!(signed.verify(node.0.public()).is_ok(), "it is signed by who has written it");
        }
        for length in 0..bytes.len() {
            assert!(record::decode_role(&bytes[..length]).is_err(), "{role:?} cut to {length}");
        }
        assert!(record::decode_role(&[&bytes[..], &[0]].concat()).is_err(), "{role:?} and one more");
    }
}

#[test]
fn past_lives_and_floors_come_back() {
    let node = sample::node(1);
    let past_lives = sample::past_lives(PAST_LIVES as u64);
    let bytes = record::encode_past_lives(&past_lives, &node);
    let (read, signed) = record::decode_past_lives(&bytes).unwrap();
    assert_eq!((read, signed.len()), (past_lives, PAST_LIVES));
    let too_many = record::encode_past_lives(&sample::past_lives(PAST_LIVES as u64 + 1), &node);
    assert!(record::decode_past_lives(&too_many).is_err());

    let floors = sample::floors();
    let bytes = record::encode_floors(&floors);
    assert_eq!(record::decode_floors(&bytes).unwrap(), floors);
    let mut swapped = bytes.clone();
    swapped[2..42].copy_from_slice(&bytes[42..82]);
    swapped[42..82].copy_from_slice(&bytes[2..42]);
    assert!(record::decode_floors(&swapped).is_err(), "out of order");
}

#[test]
fn of_too_many_floors_those_of_the_newest_members_stay() {
    let floor = *sample::floors().values().next().unwrap();
    let many: BTreeMap<_, _> = (0..record::FLOORS_MAX as u64 + 10).map(|node| (NodeId(node), floor)).collect();
    let kept = record::decode_floors(&record::encode_floors(&many)).unwrap();
    assert_eq!((kept.len(), *kept.keys().next().unwrap()), (record::FLOORS_MAX, NodeId(10)));
}
