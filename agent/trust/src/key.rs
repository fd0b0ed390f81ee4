//! Ed25519 keys that know whose they are, so that a statement of one kind of signer is never checked with the key of another.

use core::{fmt, marker::PhantomData};

use alloc::{borrow::ToOwned, string::String};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use thiserror::Error;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::{
    secret::{NotRandom, SECRET_BYTES, Secret},
    text::{self, TextError, hexadecimal},
};

/// Bytes of a public key.
pub const PUBLIC_KEY_BYTES: usize = 32;

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// What stands before the 32 bytes of a public key in its SubjectPublicKeyInfo (RFC 8410 §4): what TLS shows of a raw public key (RFC 7250).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Bytes of a SubjectPublicKeyInfo.
pub const SPKI_BYTES: usize = SPKI_PREFIX.len() + PUBLIC_KEY_BYTES;

/// Who signs.
pub trait Role: sealed::Sealed + fmt::Debug + Clone + Copy + PartialEq + Eq + 'static {
    /// How the text of its public key begins.
    #[doc(hidden)]
    const PUBLIC: &'static str;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! role {
    ($(#[$doc:meta])* $name:ident, $public:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {}
        impl sealed::Sealed for $name {}
        impl Role for $name {
            const PUBLIC: &'static str = $public;
        }
    };
}

role! {
    /// The owner of a fleet.
    Operator, "shoal-operator-1-"
}
role! {
    /// A cluster as a whole: its voters hold the key, in the replicated store.
    Cluster, "shoal-cluster-key-1-"
}
role! {
    /// One node.
    Node, "shoal-node-1-"
}

/// The public key of the owner of a fleet.
pub type OperatorKey = PublicKey<Operator>;
/// The public key of a cluster.
pub type ClusterKey = PublicKey<Cluster>;
/// The public key of a node: the one that it shows in TLS.
pub type NodeKey = PublicKey<Node>;
/// The secret key of the owner of a fleet.
pub type OperatorSecret = SecretKey<Operator>;
/// The secret key of a cluster.
pub type ClusterSecret = SecretKey<Cluster>;
/// The secret key of a node.
pub type NodeSecret = SecretKey<Node>;

/// Why bytes or a text are not a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PublicKeyError {
    /// They are no point of the curve, or one for which anybody can make signatures.
    #[error("the bytes are no usable Ed25519 public key")]
    Unusable,
    /// The text is none of a key of this kind.
    #[error("the text is no such key")]
    Text(#[source] TextError),
    /// The structure around the key is not that of an Ed25519 key.
    #[error("the SubjectPublicKeyInfo is not that of an Ed25519 key")]
    Spki,
}

/// A public Ed25519 key. Its bytes are a point of large order: one of small order would accept signatures that anybody can make.
#[derive(Clone, Copy)]
pub struct PublicKey<R: Role> {
    key: VerifyingKey,
    role: PhantomData<R>,
}

impl<R: Role> PublicKey<R> {
    /// # Errors
    /// If the bytes are no point of the curve, not its one encoding, or a point of small order.
    pub fn from_bytes(bytes: &[u8; PUBLIC_KEY_BYTES]) -> Result<Self, PublicKeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| PublicKeyError::Unusable)?;
        // A point can be written in more than one way, and a name is made from what is written: only the way of RFC 8032 counts.
        let is_canonical = key.to_edwards().compress().to_bytes() == *bytes;
        if key.is_weak() || !is_canonical { Err(PublicKeyError::Unusable) } else { Ok(Self { key, role: PhantomData }) }
    }

    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; PUBLIC_KEY_BYTES] {
        self.key.to_bytes()
    }

    /// As TLS shows it: SubjectPublicKeyInfo in DER (RFC 8410).
    #[must_use]
    pub fn to_spki(&self) -> [u8; SPKI_BYTES] {
        let mut spki = [0; SPKI_BYTES];
        let (prefix, key) = spki.split_at_mut(SPKI_PREFIX.len());
        prefix.copy_from_slice(&SPKI_PREFIX);
        key.copy_from_slice(&self.to_bytes());
        spki
    }

    /// From what a peer has shown in TLS.
    ///
    /// # Errors
    /// If it is anything but an Ed25519 key.
    pub fn from_spki(spki: &[u8]) -> Result<Self, PublicKeyError> {
        let key = spki.strip_prefix(&SPKI_PREFIX).and_then(|key| key.try_into().ok()).ok_or(PublicKeyError::Spki)?;
        Self::from_bytes(key)
    }

    /// As text, with a check against typos.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::encode(R::PUBLIC, &self.to_bytes()).as_str().to_owned()
    }

    /// # Errors
    /// If it is not what [`PublicKey::to_text`] makes of a key of this kind.
    pub fn from_text(text: &str) -> Result<Self, PublicKeyError> {
        let bytes = text::decode(R::PUBLIC, text).map_err(PublicKeyError::Text)?;
        Self::from_bytes(&bytes)
    }

    /// Whether the signature is one of this key for the message, with the strict rules of RFC 8032 §5.1.7: there is no second signature that
    /// somebody else could make of a first one.
    pub(crate) fn accepts(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl<R: Role> PartialEq for PublicKey<R> {
    fn eq(&self, other: &Self) -> bool {
        self.to_bytes() == other.to_bytes()
    }
}

impl<R: Role> Eq for PublicKey<R> {}

impl<R: Role> PartialOrd for PublicKey<R> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Role> Ord for PublicKey<R> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.to_bytes().cmp(&other.to_bytes())
    }
}

impl<R: Role> fmt::Debug for PublicKey<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.to_bytes(), formatter)
    }
}

/// A secret Ed25519 key, as the 32 bytes of RFC 8032 §5.1.5 that it follows from.
#[derive(Debug)]
pub struct SecretKey<R: Role> {
    seed: Secret,
    public: PublicKey<R>,
}

impl<R: Role> ZeroizeOnDrop for SecretKey<R> {}

impl<R: Role> SecretKey<R> {
    /// From a cryptographic generator of random numbers, or what was derived for this.
    ///
    /// # Errors
    /// If all bytes are zero.
    pub fn from_random(bytes: [u8; SECRET_BYTES]) -> Result<Self, NotRandom> {
        Secret::random(bytes).map(Self::new)
    }

    pub(crate) fn new(seed: Secret) -> Self {
        let key = SigningKey::from_bytes(seed.expose()).verifying_key();
        Self { seed, public: PublicKey { key, role: PhantomData } }
    }

    /// The public key that goes with it.
    #[must_use]
    pub const fn public(&self) -> &PublicKey<R> {
        &self.public
    }

    /// The 32 bytes, for whoever wraps them, or hands them to TLS.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<[u8; SECRET_BYTES]> {
        Zeroizing::new(*self.seed.expose())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        // Wiped when it is dropped.
        SigningKey::from_bytes(self.seed.expose()).sign(message).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    fn secret() -> NodeSecret {
        NodeSecret::from_random([9; 32]).unwrap()
    }

    #[test]
    fn a_key_of_another_kind_is_not_read_as_one() {
        let text = secret().public().to_text();
        assert_eq!(NodeKey::from_text(&text).unwrap(), *secret().public());
        assert!(matches!(OperatorKey::from_text(&text), Err(PublicKeyError::Text(TextError::Kind(_)))));
    }

    #[test]
    fn points_of_small_order_and_second_encodings_are_refused() {
        // The eight points of small order, as RFC 8032 writes them or with a y that is not reduced, and with either sign of x.
        let p = |last: u8, first: u8| {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (first, last);
            bytes
        };
        let mut one = [0; 32];
        one[0] = 1;
        let mut one_signed = one;
        one_signed[31] = 0x80;
        let mut zero_signed = [0; 32];
        zero_signed[31] = 0x80;
        let points = [
            [0; 32],
            zero_signed,
            one,
            one_signed,
            p(0x7f, 0xec),
            p(0xff, 0xec),
            p(0x7f, 0xed),
            p(0xff, 0xed),
            p(0x7f, 0xee),
            p(0xff, 0xee),
        ];
        for point in points {
            assert_eq!(NodeKey::from_bytes(&point), Err(PublicKeyError::Unusable), "{point:x?}");
        }
        // y = 3 + p, of large order: y = 3 is on the curve, and this is a second way to write it.
        let mut three = [0; 32];
        three[0] = 3;
        assert!(NodeKey::from_bytes(&three).is_ok());
        assert_eq!(NodeKey::from_bytes(&p(0x7f, 0xf0)), Err(PublicKeyError::Unusable));
    }

    #[test]
    fn a_raw_public_key_of_tls_comes_back() {
        let spki = secret().public().to_spki();
        assert_eq!(NodeKey::from_spki(&spki).unwrap(), *secret().public());
        for at in 0..SPKI_PREFIX.len() {
            let mut changed = spki;
            changed[at] ^= 1;
            assert_eq!(NodeKey::from_spki(&changed), Err(PublicKeyError::Spki), "byte {at}");
        }
        assert_eq!(NodeKey::from_spki(&spki[..43]), Err(PublicKeyError::Spki));
    }

    #[test]
    fn a_secret_key_shows_its_public_half_only() {
        let shown = format!("{:?}", secret());
        assert!(shown.contains("(secret)") && !shown.contains("[9, 9"), "{shown}");
    }
}
