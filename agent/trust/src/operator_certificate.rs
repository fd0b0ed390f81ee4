//! The operator's key as a certificate authority: it signs certificates (RFC 5280) of the people who are to reach the fleet's clusters.
//!
//! What is signed is a TBSCertificate in DER, which begins with the tag of a SEQUENCE. Everything else that an operator's key signs begins with `"shoal "`
//! ([`crate::statement`], [`crate::operator_proof`]), so no signature is one of the other kind.

use thiserror::Error;

use crate::key::{OperatorSecret, SIGNATURE_BYTES};

/// Tag of a SEQUENCE in DER (X.690 §8.9).
const SEQUENCE: u8 = 0x30;

/// What was to be signed is no certificate. Nothing was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("what is to be signed is no certificate")]
pub struct NotACertificate;

/// Signs a TBSCertificate in DER.
///
/// # Errors
/// If it does not begin like one.
pub fn sign(operator: &OperatorSecret, certificate: &[u8]) -> Result<[u8; SIGNATURE_BYTES], NotACertificate> {
    if certificate.first() == Some(&SEQUENCE) { Ok(operator.sign(certificate)) } else { Err(NotACertificate) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_else_is_signed() {
        let operator = OperatorSecret::from_random([3; 32]).unwrap();
        let signature = sign(&operator, &[SEQUENCE, 0]).unwrap();
        assert!(operator.public().accepts(&[SEQUENCE, 0], &signature));
        for other in [&b""[..], b"shoal operator session v1\0", b"shoal statement v1\0"] {
            assert_eq!(sign(&operator, other), Err(NotACertificate));
        }
    }
}
