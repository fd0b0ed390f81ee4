//! The first thing that both ends send once both join proofs are through: which process this is, and where it listens. It has one length.
//!
//! ```text
//!  0  8  boot: random bits of this start of the process
//!  8  2  the TCP port at which the sender takes connections, 0 if it takes none
//! ```
//!
//! The port makes an address of the one that a connection comes from, so that who was only ever called can call back.

use shoal_formation::BootId;

/// Bytes of an introduction.
pub const INTRODUCTION_BYTES: usize = 10;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Introduction {
    /// Which process.
    pub boot: BootId,
    /// Where it listens; 0 if nowhere.
    pub port: u16,
}

impl Introduction {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; INTRODUCTION_BYTES] {
        let mut bytes = [0; INTRODUCTION_BYTES];
        bytes[..8].copy_from_slice(&self.boot.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.port.to_be_bytes());
        bytes
    }

    /// From bytes: each byte string is one.
    #[must_use]
    pub const fn decode(bytes: &[u8; INTRODUCTION_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, port @ ..] = *bytes;
        Self { boot: BootId(u64::from_be_bytes([a, b, c, d, e, f, g, h])), port: u16::from_be_bytes(port) }
    }
}
