//! A TLS 1.3 session with raw public keys on both sides (RFC 7250), as proofs are bound to it.
//!
//! A proof names what TLS exports for this session (RFC 8446 §7.5) and the keys of both ends. So it proves nothing in any other session: not to whom it
//! is passed on by somebody in the middle, whose two sessions export different bytes, and not when it is sent again.

use crate::key::{NodeKey, SPKI_BYTES};

/// Bytes that TLS has to export for each label.
pub const EXPORTER_BYTES: usize = 32;

/// The label with which TLS exports what a join proof is bound to; without context.
pub const JOIN_EXPORTER_LABEL: &[u8] = b"shoal-join-v1";

/// The label with which TLS exports what an operator's proof is bound to; without context.
pub const OPERATOR_EXPORTER_LABEL: &[u8] = b"shoal-operator-v1";

/// Which end of a session somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Who has connected.
    Client,
    /// Who has accepted.
    Server,
}

impl End {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Client => 1,
            Self::Server => 2,
        }
    }
}

/// A session, as one end sees it. Everything in it comes from the finished TLS handshake.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    /// Which end this is.
    pub end: End,
    /// What TLS exports with the label of the proof.
    pub exporter: [u8; EXPORTER_BYTES],
    /// The key that this end has shown.
    pub own: NodeKey,
    /// The key that the other end has shown, and proven to have.
    pub peer: NodeKey,
}

impl Session {
    /// As the other end sees it.
    #[must_use]
    pub const fn from_the_other_end(&self) -> Self {
        Self { end: self.end.other(), exporter: self.exporter, own: self.peer, peer: self.own }
    }

    /// What every proof in the session covers, from the end that makes it.
    pub(crate) fn transcript(&self) -> [u8; 1 + EXPORTER_BYTES + 2 * SPKI_BYTES] {
        let mut bytes = [0; 1 + EXPORTER_BYTES + 2 * SPKI_BYTES];
        bytes[0] = self.end.number();
        bytes[1..33].copy_from_slice(&self.exporter);
        bytes[33..33 + SPKI_BYTES].copy_from_slice(&self.own.to_spki());
        bytes[33 + SPKI_BYTES..].copy_from_slice(&self.peer.to_spki());
        bytes
    }
}
