//! The first thing that both ends send in a session between nodes that are not of one cluster: that they have the fleet's join secret.
//!
//! ```text
//!  0   1  version: 1
//!  1   4  generation of the join secret
//!  5  32  HMAC-SHA256(K_join, "shoal join proof v1" ‖ end ‖ exporter ‖ key of the sender ‖ key of the receiver ‖ fleet ‖ generation)
//! ```
//!
//! It has one length and is compared in constant time, before anything else of the peer is read. *End* is who sends it (client 1, server 2): an
//! end that sends back what it was sent has proven nothing. Keys are SubjectPublicKeyInfo, 44 bytes each.
//!
//! The generation stands in clear so that a node with an old stick can be told that it has one. Nobody learns anything by it that beacons do not say.

use hmac::Mac;
use thiserror::Error;

use crate::{
    fleet::{FleetId, Generation},
    key::NodeKey,
    schedule::{Authentication, FleetKeys},
    session::Session,
};

/// Bytes of a proof.
pub const JOIN_PROOF_BYTES: usize = 37;

const VERSION: u8 = 1;

/// Why a peer has not proven that it is of the fleet. The session has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JoinProofError {
    /// Of a version that is not known here.
    #[error("the peer's proof has version {0}, and this program knows version {VERSION}")]
    Version(u8),
    /// It has another join secret: an older one on a stick that has to be stamped again, or a newer one. Not proven.
    #[error("the peer says that it has join secret {theirs} of a fleet, and here it is {ours}: stamp the older stick again")]
    OtherGeneration {
        /// What the peer says.
        theirs: Generation,
        /// What this node has.
        ours: Generation,
    },
    /// No generation has this number.
    #[error("the peer's proof names no generation")]
    NoGeneration,
    /// The peer has shown this node's own key.
    #[error("the peer has this node's own key: it is this node, or a copy of its medium")]
    OwnKey,
    /// It does not have the fleet's join secret, or is not the one with whom this session is.
    #[error("the peer is not of this fleet")]
    Wrong,
}

/// Somebody who has proven, in this session, that it has the fleet's join secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    peer: NodeKey,
    fleet: FleetId,
    generation: Generation,
}

impl Joined {
    /// Its key.
    #[must_use]
    pub const fn peer(&self) -> &NodeKey {
        &self.peer
    }

    /// Whose join secret it has.
    #[must_use]
    pub const fn fleet(&self) -> FleetId {
        self.fleet
    }

    /// Which one.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }
}

/// What this end sends.
#[must_use]
pub fn prove(keys: &FleetKeys, session: &Session) -> [u8; JOIN_PROOF_BYTES] {
    let mut proof = [0; JOIN_PROOF_BYTES];
    proof[0] = VERSION;
    proof[1..5].copy_from_slice(&keys.generation().get().to_be_bytes());
    proof[5..].copy_from_slice(&authentication(keys, session).finalize().into_bytes());
    proof
}

/// Checks what the other end has sent.
///
/// # Errors
/// If it does not prove that the other end has the join secret.
pub fn verify(keys: &FleetKeys, session: &Session, proof: &[u8; JOIN_PROOF_BYTES]) -> Result<Joined, JoinProofError> {
    let [version, a, b, c, d, mac @ ..] = proof;
    if *version != VERSION {
        return Err(JoinProofError::Version(*version));
    }
    if session.peer == session.own {
        return Err(JoinProofError::OwnKey);
    }
    let theirs = Generation::new(u32::from_be_bytes([*a, *b, *c, *d])).ok_or(JoinProofError::NoGeneration)?;
    if theirs != keys.generation() {
        return Err(JoinProofError::OtherGeneration { theirs, ours: keys.generation() });
    }
    match authentication(keys, &session.from_the_other_end()).verify_slice(mac) {
        Ok(()) => Ok(Joined { peer: session.peer, fleet: keys.fleet(), generation: theirs }),
        Err(_) => Err(JoinProofError::Wrong),
    }
}

fn authentication(keys: &FleetKeys, session: &Session) -> Authentication {
    let generation = keys.generation().get().to_be_bytes();
    keys.join().chain_update(session.transcript()).chain_update(keys.fleet().0).chain_update(generation)
}
