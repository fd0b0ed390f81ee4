//! Statements: each verifies as what it is, by whom it should be, and in no other way.

use proptest::prelude::*;
use shoal_trust::{
    fleet::{ClusterId, NodeId},
    key::{ClusterSecret, NodeSecret},
    session::Session,
    statement::{
        CHAIN_LINKS_MAX, ChainError, KeyRotation, Leaving, MemberCert, MemberCertError, PastLife, Peer, PinnedCluster, Removed,
        RemovedError, STATEMENT_BYTES_MAX, Signed, Statement, StatementError, VOTERS_MAX,
    },
};

use crate::sample::*;

fn node(number: u8) -> NodeSecret {
    NodeSecret::from_random([number; 32]).unwrap()
}

fn key(number: u32) -> ClusterSecret {
    let mut bytes = [0xee; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    ClusterSecret::from_random(bytes).unwrap()
}

fn past_life(voters: usize) -> PastLife {
    let voters: Vec<_> = (1..=voters as u64).map(NodeId).collect();
    let leaving = Leaving::Dissolved(ClusterId([7; 16]));
    PastLife { cluster: cluster(), node: NodeId(1), config_term: 3, config_index: 9, voters: voters.clone(), outgoing: voters, leaving }
}

fn rotation(number: u32) -> Signed<KeyRotation> {
    key(number - 1).state(KeyRotation { cluster: cluster(), number, key: *key(number).public() }).signed().clone()
}

fn chain(numbers: impl IntoIterator<Item = u32>) -> Vec<Signed<KeyRotation>> {
    numbers.into_iter().map(rotation).collect()
}

fn pinned(number: u32) -> PinnedCluster {
    PinnedCluster { cluster: cluster(), number, key: *key(number).public() }
}

/// A certificate of the server of [`sessions`], as member 9.
fn cert(key_number: u32) -> MemberCert {
    MemberCert { cluster: cluster(), key_number, node: NodeId(9), node_key: *node_b().public() }
}

fn peer() -> Peer {
    key(1).state(cert(1)).signed().clone().verify(&pinned(1), &[], &sessions().0).unwrap()
}

/// That no byte of a statement can be changed, added or left out.
fn holds<T: Statement>(signed: &Signed<T>, is_accepted: impl Fn(Signed<T>) -> bool) {
    let bytes = signed.encode();
    assert!(bytes.len() <= STATEMENT_BYTES_MAX && is_accepted(Signed::parse(&bytes).unwrap()));
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!Signed::parse(&changed).is_ok_and(&is_accepted), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(!Signed::parse(&bytes[..length]).is_ok_and(&is_accepted), "{length} bytes");
    }
    assert!(!Signed::parse(&[&bytes[..], &[0]].concat()).is_ok_and(&is_accepted), "one more");
}

#[test]
fn no_bit_of_a_statement_can_be_changed() {
    holds(node(1).state(past_life(3)).signed(), |it: Signed<PastLife>| it.verify(node(1).public()).is_ok());
    holds(&rotation(2), |it: Signed<KeyRotation>| pinned(1).follow(&[it]).is_ok());
    holds(key(1).state(cert(1)).signed(), |it: Signed<MemberCert>| it.verify(&pinned(1), &[], &sessions().0).is_ok());
    let removed = Removed { cluster: cluster(), node: NodeId(5), index: 77 };
    holds(node_b().state(removed).signed(), |it: Signed<Removed>| it.verify(&peer(), NodeId(5)).is_ok());
}

#[test]
fn the_longest_statement_fits() {
    let longest = node(1).state(past_life(VOTERS_MAX)).signed().encode();
    assert_eq!(longest.len(), 364);
    assert!(Signed::<PastLife>::parse(&longest).is_ok());
    let too_many = node(1).state(past_life(VOTERS_MAX + 1)).signed().encode();
    assert_eq!(Signed::<PastLife>::parse(&too_many), Err(StatementError::Malformed));
    assert_eq!(Signed::<PastLife>::parse(&[0; STATEMENT_BYTES_MAX + 1]), Err(StatementError::Malformed));
}

#[test]
fn a_past_life_with_a_seal_is_no_statement() {
    let mut bytes = node(1).state(past_life(1)).signed().encode();
    assert_eq!(bytes[40], 0);
    bytes[40] = 1;
    assert_eq!(Signed::<PastLife>::parse(&bytes), Err(StatementError::Malformed));
}

#[test]
fn voters_are_ascending() {
    for (voters, outgoing) in [([1, 2], [2, 1]), ([2, 1], [1, 2]), ([1, 1], [1, 2])] {
        let statement = PastLife { voters: voters.map(NodeId).into(), outgoing: outgoing.map(NodeId).into(), ..past_life(0) };
        assert_eq!(Signed::<PastLife>::parse(&node(1).state(statement).signed().encode()), Err(StatementError::Malformed));
    }
}

#[test]
fn only_who_dissolved_says_where_to() {
    let mut bytes = node(1).state(PastLife { leaving: Leaving::Abandoned, ..past_life(1) }).signed().encode();
    bytes[42] = 1;
    assert_eq!(Signed::<PastLife>::parse(&bytes), Err(StatementError::Malformed));
}

#[test]
fn a_member_that_the_own_log_knows_is_believed_and_nobody_else() {
    let removed = |index| node(1).state(Removed { cluster: cluster(), node: NodeId(5), index }).signed().clone();
    assert!(removed(77).verify_from(cluster(), node(1).public(), NodeId(5)).is_ok());
    assert_eq!(removed(77).verify_from(cluster(), node(2).public(), NodeId(5)), Err(RemovedError::Signature));
    assert_eq!(removed(77).verify_from(ClusterId([7; 16]), node(1).public(), NodeId(5)), Err(RemovedError::OtherCluster));
    assert_eq!(removed(77).verify_from(cluster(), node(1).public(), NodeId(6)), Err(RemovedError::OtherNode(5)));
    assert_eq!(removed(5).verify_from(cluster(), node(1).public(), NodeId(5)), Err(RemovedError::BeforeAdmission(5)));
}

#[test]
fn a_signature_of_another_node_is_refused() {
    let signed = node(2).state(past_life(3)).signed().clone();
    assert_eq!(signed.clone().verify(node(1).public()), Err(StatementError::Signature));
    let verified = signed.verify(node(2).public()).unwrap();
    assert_eq!((verified.signer(), verified.node), (node(2).public(), NodeId(1)));
}

#[test]
fn a_signature_of_one_kind_is_none_of_another() {
    // Two kinds whose bytes can be the same: 32 of them, then a signature. A key rotation with a certificate's signature, and the other way round.
    let rotation = key(1).state(KeyRotation { cluster: cluster(), number: 2, key: *key(2).public() }).signed().encode();
    let certificate = key(1).state(cert(1)).signed().encode();
    let forged = [&rotation[..rotation.len() - 64], &certificate[certificate.len() - 64..]].concat();
    assert_eq!(pinned(1).follow(&[Signed::parse(&forged).unwrap()]), Err(ChainError::Signature(2)));
}

#[test]
fn a_chain_leads_from_any_known_key_to_the_newest() {
    for known in 1..=4 {
        for first in 2..=known + 1 {
            assert_eq!(pinned(known).follow(&chain(first..=4)).unwrap(), pinned(4.max(known)), "known {known}, shown from {first}");
        }
    }
    assert_eq!(pinned(3).follow(&[]).unwrap(), pinned(3));
    let longest = chain(2..=CHAIN_LINKS_MAX as u32 + 1);
    assert_eq!(pinned(1).follow(&longest).unwrap().number, 65);
    assert_eq!(pinned(1).follow(&chain(2..=66)), Err(ChainError::Length(65)));
}

#[test]
fn a_chain_that_does_not_lead_on_is_refused() {
    assert_eq!(pinned(1).follow(&chain([3])), Err(ChainError::Gap(2)));
    assert_eq!(pinned(1).follow(&chain([2, 4])), Err(ChainError::Gap(3)));
    assert_eq!(pinned(1).follow(&chain([2, 2])), Err(ChainError::Gap(3)));
    assert_eq!(pinned(1).follow(&chain([3, 2])), Err(ChainError::Gap(2)));
    let mut other = pinned(1);
    other.cluster = ClusterId([0; 16]);
    assert_eq!(other.follow(&chain([2])), Err(ChainError::OtherCluster));
    // Somebody with key 1 makes a key 2 of his own: who knows the real one notices, also without a longer chain.
    let forged = key(1).state(KeyRotation { cluster: cluster(), number: 2, key: *key(99).public() }).signed().clone();
    assert_eq!(pinned(2).follow(std::slice::from_ref(&forged)), Err(ChainError::Fork(2)));
    // And without key 1 nobody is led anywhere.
    let forged = key(99).state(KeyRotation { cluster: cluster(), number: 2, key: *key(99).public() }).signed().clone();
    assert_eq!(pinned(1).follow(&[forged]), Err(ChainError::Signature(2)));
}

#[test]
fn a_member_is_who_the_clusters_newest_key_names_and_who_is_at_the_other_end() {
    let (client, _) = sessions();
    let verify = |signer: &ClusterSecret, cert: MemberCert, chain: &[Signed<KeyRotation>], session: &Session| {
        signer.state(cert).signed().clone().verify(&pinned(1), chain, session)
    };
    let peer = verify(&key(3), cert(3), &chain([2, 3]), &client).unwrap();
    assert_eq!((peer.node, peer.cluster()), (NodeId(9), &pinned(3)));
    let error = |signer: u32, cert: MemberCert, chain: &[Signed<KeyRotation>]| verify(&key(signer), cert, chain, &client).unwrap_err();
    assert_eq!(error(1, cert(1), &chain([2])), MemberCertError::OtherKey { theirs: 1, newest: 2 });
    assert_eq!(error(2, cert(2), &[]), MemberCertError::OtherKey { theirs: 2, newest: 1 });
    assert_eq!(error(2, cert(1), &[]), MemberCertError::Signature);
    assert_eq!(error(1, MemberCert { cluster: ClusterId([0; 16]), ..cert(1) }, &[]), MemberCertError::OtherCluster);
    assert_eq!(error(1, cert(1), &chain([3])), MemberCertError::Chain(ChainError::Gap(2)));
    assert_eq!(error(1, MemberCert { node_key: *node(1).public(), ..cert(1) }, &[]), MemberCertError::NotThePeer);
}

#[test]
fn only_a_member_of_its_own_cluster_tells_a_node_that_it_was_removed() {
    let say = |signer: &NodeSecret, removed: Removed| signer.state(removed).signed().clone().verify(&peer(), NodeId(5));
    let removed = Removed { cluster: cluster(), node: NodeId(5), index: 77 };
    assert_eq!(say(&node_b(), removed.clone()).unwrap().index, 77);
    assert_eq!(say(&node_a(), removed.clone()), Err(RemovedError::Signature));
    assert_eq!(say(&node_b(), Removed { cluster: ClusterId([0; 16]), ..removed.clone() }), Err(RemovedError::OtherCluster));
    assert_eq!(say(&node_b(), Removed { node: NodeId(6), ..removed.clone() }), Err(RemovedError::OtherNode(6)));
    assert_eq!(say(&node_b(), Removed { index: 5, ..removed }), Err(RemovedError::BeforeAdmission(5)));
}

proptest! {
    #[test]
    fn what_is_read_is_what_would_be_written(bytes in prop::collection::vec(any::<u8>(), 0..200), put_counts_right: bool) {
        let mut bytes = bytes;
        if put_counts_right && bytes.len() > 60 {
            bytes[40..60].copy_from_slice(&[0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        if let Ok(signed) = Signed::<PastLife>::parse(&bytes) {
            prop_assert_eq!(&signed.encode(), &bytes);
        }
        if let Ok(signed) = Signed::<Removed>::parse(&bytes) {
            prop_assert_eq!(&signed.encode(), &bytes);
        }
    }

    #[test]
    fn what_was_signed_is_what_is_verified(id: [u8; 16], number: u64, config_index: u64, voters in 0..=VOTERS_MAX, leaving in 0..3_usize) {
        let leaving = [Leaving::Dissolved(ClusterId(id)), Leaving::Abandoned, Leaving::Followed][leaving];
        let statement = PastLife { cluster: ClusterId(id), node: NodeId(number), config_index, leaving, ..past_life(voters) };
        let signed = node(1).state(statement.clone());
        let read = Signed::<PastLife>::parse(&signed.signed().encode()).unwrap().verify(node(1).public()).unwrap();
        prop_assert_eq!(&*read, &statement);
    }
}
