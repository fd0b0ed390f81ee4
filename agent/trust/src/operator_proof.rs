//! How an operator's machine proves, in a session with a node, that it has the fleet's operator key.
//!
//! It is an Ed25519 signature over `"shoal operator session v1" ‖ 0 ‖ end ‖ exporter ‖ both keys ‖ fleet`. The operator's machine shows a key of the
//! moment in TLS: the operator's own key signs nothing but this, statements, and certificates ([`crate::operator_certificate`]), so that it can lie on a
//! token that does nothing else.

use alloc::vec::Vec;
use thiserror::Error;

use crate::{
    codec::Put,
    fleet::FleetId,
    key::{NodeKey, OperatorKey, OperatorSecret, SIGNATURE_BYTES},
    session::{End, Session},
};

const DOMAIN: &[u8] = b"shoal operator session v1\0";

/// Why somebody is not the operator. The session has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OperatorProofError {
    /// Only who has connected can be an operator.
    #[error("only a client can prove that it is the operator")]
    NotTheServer,
    /// It does not have the operator's key, or is not the one with whom this session is.
    #[error("this is not the operator of the fleet: use the fleet file with which the image was stamped")]
    Wrong,
}

/// A session whose client has proven to have the operator's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operated {
    operator: OperatorKey,
    fleet: FleetId,
    client: NodeKey,
}

impl Operated {
    /// The operator.
    #[must_use]
    pub const fn operator(&self) -> &OperatorKey {
        &self.operator
    }

    /// The fleet for which it was proven.
    #[must_use]
    pub const fn fleet(&self) -> FleetId {
        self.fleet
    }

    /// The key of the moment that the client has shown in TLS.
    #[must_use]
    pub const fn client(&self) -> &NodeKey {
        &self.client
    }
}

/// What the operator's machine, which is the client, sends.
#[must_use]
pub fn prove(operator: &OperatorSecret, fleet: FleetId, session: &Session) -> [u8; SIGNATURE_BYTES] {
    operator.sign(&message(fleet, session))
}

/// Checks, on the server, what the client has sent.
///
/// # Errors
/// If it does not prove that the client has the operator's key.
pub fn verify(
    operator: &OperatorKey,
    fleet: FleetId,
    session: &Session,
    signature: &[u8; SIGNATURE_BYTES],
) -> Result<Operated, OperatorProofError> {
    if session.end != End::Server {
        return Err(OperatorProofError::NotTheServer);
    }
    if !operator.accepts(&message(fleet, &session.from_the_other_end()), signature) {
        return Err(OperatorProofError::Wrong);
    }
    Ok(Operated { operator: *operator, fleet, client: session.peer })
}

fn message(fleet: FleetId, session: &Session) -> Vec<u8> {
    let mut message = DOMAIN.to_vec();
    message.put(&session.transcript());
    message.put(&fleet.0);
    message
}
