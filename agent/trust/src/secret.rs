//! Bytes that are wiped and never shown.

use core::fmt;

use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of every secret: 256 bits, so that nobody can guess one, and no password-authenticated exchange is needed to use one.
pub const SECRET_BYTES: usize = 32;

/// Random bytes that are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the secret is all zeros: no random numbers went into it")]
pub struct NotRandom;

/// 32 secret bytes. Compared in constant time.
pub(crate) struct Secret([u8; SECRET_BYTES]);

impl Secret {
    pub(crate) const fn new(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// From a generator of random numbers.
    pub(crate) fn random(bytes: [u8; SECRET_BYTES]) -> Result<Self, NotRandom> {
        let secret = Self(bytes);
        // The only failure that can be seen in the bytes: a buffer that nobody filled.
        if bool::from(secret.0.ct_eq(&[0; SECRET_BYTES])) { Err(NotRandom) } else { Ok(secret) }
    }

    pub(crate) const fn expose(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Secret {}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(secret)")
    }
}

/// The join secret S_g of a fleet: who has it may *ask* to join. It is no administrator's credential.
#[derive(Debug, PartialEq, Eq)]
pub struct JoinSecret(pub(crate) Secret);

impl JoinSecret {
    /// From a cryptographic generator of random numbers.
    ///
    /// # Errors
    /// If all bytes are zero.
    pub fn from_random(bytes: [u8; SECRET_BYTES]) -> Result<Self, NotRandom> {
        Secret::random(bytes).map(Self)
    }
}

impl ZeroizeOnDrop for JoinSecret {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn secrets_are_wiped_when_dropped_and_never_shown() {
        fn is_wiped<T: ZeroizeOnDrop>() {}
        is_wiped::<JoinSecret>();
        assert!(core::mem::needs_drop::<JoinSecret>());
        let secret = JoinSecret::from_random([0xa7; 32]).unwrap();
        let shown = format!("{secret:?} {secret:#?}");
        assert!(!shown.contains("167") && !shown.to_lowercase().contains("a7"), "{shown}");
        assert_eq!(shown.matches("(secret)").count(), 2);
    }

    #[test]
    fn zeros_are_no_secret() {
        assert_eq!(JoinSecret::from_random([0; 32]), Err(NotRandom));
        let mut one = [0; 32];
        one[31] = 1;
        assert!(JoinSecret::from_random(one).is_ok());
    }
}
