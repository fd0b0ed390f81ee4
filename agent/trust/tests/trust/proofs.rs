//! Proofs in sessions: of no other session, no other end, no other key.

use shoal_trust::{
    fleet::{FleetId, Generation},
    join_proof::{self, JoinProofError},
    key::{NodeSecret, OperatorSecret},
    operator_proof::{self, OperatorProofError},
    schedule::FleetKeys,
    secret::JoinSecret,
    session::Session,
};

use crate::sample::*;

fn other_key() -> NodeSecret {
    NodeSecret::from_random([0x55; 32]).unwrap()
}

/// Every session that differs from this one in one thing.
fn others(session: Session) -> [(&'static str, Session); 4] {
    let mut exporter = session.exporter;
    exporter[31] ^= 1;
    [
        ("another exporter: somebody in the middle", Session { exporter, ..session }),
        ("another own key", Session { own: *other_key().public(), ..session }),
        ("another key of the peer", Session { peer: *other_key().public(), ..session }),
        ("the other end", Session { end: session.end.other(), ..session }),
    ]
}

#[test]
fn both_ends_prove_that_they_are_of_the_fleet() {
    let (client, server) = sessions();
    let joined = join_proof::verify(&keys(), &server, &join_proof::prove(&keys(), &client)).unwrap();
    assert_eq!((joined.peer(), joined.fleet(), joined.generation()), (node_a().public(), fleet(), keys().generation()));
    let joined = join_proof::verify(&keys(), &client, &join_proof::prove(&keys(), &server)).unwrap();
    assert_eq!(joined.peer(), node_b().public());
}

#[test]
fn a_join_proof_is_good_in_its_session_only() {
    let (client, server) = sessions();
    for (what, other) in others(client) {
        let proof = join_proof::prove(&keys(), &other);
        assert_eq!(join_proof::verify(&keys(), &server, &proof), Err(JoinProofError::Wrong), "{what}");
    }
}

#[test]
fn a_join_proof_that_is_sent_back_proves_nothing() {
    let (client, server) = sessions();
    for session in [client, server] {
        let own = join_proof::prove(&keys(), &session);
        assert_eq!(join_proof::verify(&keys(), &session, &own), Err(JoinProofError::Wrong));
    }
    // Not even if both ends show the same key.
    let mirror = Session { peer: client.own, ..client };
    for proof in [join_proof::prove(&keys(), &mirror), join_proof::prove(&keys(), &mirror.from_the_other_end())] {
        assert_eq!(join_proof::verify(&keys(), &mirror, &proof), Err(JoinProofError::OwnKey));
    }
}

#[test]
fn no_bit_of_a_join_proof_can_be_changed() {
    let (client, server) = sessions();
    let proof = join_proof::prove(&keys(), &client);
    for bit in 0..proof.len() * 8 {
        let mut changed = proof;
        changed[bit / 8] ^= 1 << (bit % 8);
        let error = join_proof::verify(&keys(), &server, &changed).unwrap_err();
        match bit / 8 {
            0 => assert!(matches!(error, JoinProofError::Version(_))),
            1..5 => assert!(matches!(error, JoinProofError::OtherGeneration { .. })),
            _ => assert_eq!(error, JoinProofError::Wrong),
        }
    }
    let mut none = proof;
    none[1..5].fill(0);
    assert_eq!(join_proof::verify(&keys(), &server, &none), Err(JoinProofError::NoGeneration));
}

#[test]
fn who_has_another_secret_proves_nothing_and_an_old_one_is_named() {
    let (client, server) = sessions();
    let with = |fleet, generation, secret| {
        let keys = FleetKeys::derive(fleet, Generation::new(generation).unwrap(), &JoinSecret::from_random(secret).unwrap());
        join_proof::verify(&crate::sample::keys(), &server, &join_proof::prove(&keys, &client)).unwrap_err()
    };
    assert_eq!(with(fleet(), GENERATION, [1; 32]), JoinProofError::Wrong);
    assert_eq!(with(FleetId([1; 16]), GENERATION, counting(0x40)), JoinProofError::Wrong);
    let (theirs, ours) = (Generation::new(GENERATION - 1).unwrap(), Generation::new(GENERATION).unwrap());
    assert_eq!(with(fleet(), GENERATION - 1, counting(0x40)), JoinProofError::OtherGeneration { theirs, ours });
}

#[test]
fn the_operator_is_the_client_who_has_the_key() {
    let (client, server) = sessions();
    let proof = operator_proof::prove(&operator(), fleet(), &client);
    let operated = operator_proof::verify(operator().public(), fleet(), &server, &proof).unwrap();
    assert_eq!((operated.operator(), operated.client(), operated.fleet()), (operator().public(), node_a().public(), fleet()));
    assert_eq!(operator_proof::verify(operator().public(), fleet(), &client, &proof), Err(OperatorProofError::NotTheServer));
}

#[test]
fn an_operators_proof_is_good_in_its_session_and_fleet_only() {
    let (client, server) = sessions();
    let verify = |fleet, proof: &[u8; 64]| operator_proof::verify(operator().public(), fleet, &server, proof);
    for (what, other) in others(client) {
        let proof = operator_proof::prove(&operator(), fleet(), &other);
        assert_eq!(verify(fleet(), &proof), Err(OperatorProofError::Wrong), "{what}");
    }
    let proof = operator_proof::prove(&operator(), fleet(), &client);
    assert_eq!(verify(FleetId([1; 16]), &proof), Err(OperatorProofError::Wrong));
    let somebody = OperatorSecret::from_random([3; 32]).unwrap();
    assert_eq!(verify(fleet(), &operator_proof::prove(&somebody, fleet(), &client)), Err(OperatorProofError::Wrong));
    for bit in 0..proof.len() * 8 {
        let mut changed = proof;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verify(fleet(), &changed), Err(OperatorProofError::Wrong), "bit {bit}");
    }
}
