//! What nodes and clusters sign, to be shown to others later.
//!
//! A statement is its bytes and an Ed25519 signature of 64 bytes over `"shoal statement v1" ‖ 0 ‖ kind ‖ 0 ‖ bytes`. The kind is not in the bytes: whoever
//! reads them knows what he expects, and a statement of one kind verifies as no other.
//!
//! | kind | who signs | says |
//! |---|---|---|
//! | [`PastLife`] | a node, with the key of the life that it leaves | what it was, and that its log held no seal |
//! | [`KeyRotation`] | a cluster, with the key that goes | which key comes |
//! | [`MemberCert`] | a cluster | that a node is its member |
//! | [`Removed`] | a member | that another one was removed |
//!
//! [`Signed`] is what came from outside; it can be looked at to find out whose key is needed ([`Signed::claimed`]). Only checking the signature makes a
//! [`Verified`] of it, and only that is taken where something follows from a statement.

mod chain;
mod member_cert;
mod past_life;
mod removed;

use core::{fmt::Debug, ops::Deref};

use alloc::vec::Vec;
use thiserror::Error;

use crate::key::{PublicKey, Role, SIGNATURE_BYTES, SecretKey};

pub use chain::{CHAIN_LINKS_MAX, ChainError, KeyRotation, PinnedCluster};
pub use member_cert::{MemberCert, MemberCertError, Peer};
pub use past_life::{Leaving, PastLife, VOTERS_MAX};
pub use removed::{Removed, RemovedError};

const DOMAIN: &[u8] = b"shoal statement v1\0";

/// Bytes of a statement at most, signature included. The longest is a [`PastLife`] with [`VOTERS_MAX`] voters in either set, 364.
pub const STATEMENT_BYTES_MAX: usize = 1024;

/// Something that can be signed. Its encoding is the only one that is read.
pub trait Statement: sealed::Body + Debug + Clone + PartialEq + Eq {
    /// Who signs such statements.
    type Signer: Role;
}

mod sealed {
    use alloc::vec::Vec;

    pub trait Body: Sized {
        /// Its name in what is signed, without a zero byte.
        const KIND: &'static [u8];
        fn encode(&self, bytes: &mut Vec<u8>);
        /// Reads all of the bytes.
        fn decode(bytes: &[u8]) -> Option<Self>;
    }
}

/// Why a statement is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StatementError {
    /// These bytes are none.
    #[error("these bytes are no such statement")]
    Malformed,
    /// It was not signed with this key, or was changed.
    #[error("the statement was not signed by whom it should be")]
    Signature,
}

/// A statement as it came, which may be anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<T: Statement> {
    statement: T,
    signature: [u8; SIGNATURE_BYTES],
}

impl<T: Statement> Signed<T> {
    /// Reads one.
    ///
    /// # Errors
    /// If these bytes are not exactly what [`Signed::encode`] writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > STATEMENT_BYTES_MAX {
            return Err(StatementError::Malformed);
        }
        let (body, signature) = bytes.split_last_chunk().ok_or(StatementError::Malformed)?;
        let statement = T::decode(body).ok_or(StatementError::Malformed)?;
        Ok(Self { statement, signature: *signature })
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.statement.encode(&mut bytes);
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// What it claims. **Nobody has checked it**: for finding out whose key it has to be checked with.
    #[must_use]
    pub const fn claimed(&self) -> &T {
        &self.statement
    }

    pub(crate) fn check(self, key: &PublicKey<T::Signer>) -> Result<Verified<T>, StatementError> {
        if !key.accepts(&message(&self.statement), &self.signature) {
            return Err(StatementError::Signature);
        }
        Ok(Verified { signer: *key, signed: self })
    }
}

/// A statement whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T: Statement> {
    signed: Signed<T>,
    signer: PublicKey<T::Signer>,
}

impl<T: Statement> Verified<T> {
    /// Whose signature it is.
    #[must_use]
    pub const fn signer(&self) -> &PublicKey<T::Signer> {
        &self.signer
    }

    /// As it came, for showing it to others.
    #[must_use]
    pub const fn signed(&self) -> &Signed<T> {
        &self.signed
    }
}

impl<T: Statement> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.signed.statement
    }
}

impl<R: Role> SecretKey<R> {
    /// Signs a statement that is for this kind of signer.
    #[must_use]
    pub fn state<T: Statement<Signer = R>>(&self, statement: T) -> Verified<T> {
        let signature = self.sign(&message(&statement));
        Verified { signed: Signed { statement, signature }, signer: *self.public() }
    }
}

fn message<T: Statement>(statement: &T) -> Vec<u8> {
    let mut message = DOMAIN.to_vec();
    message.extend_from_slice(T::KIND);
    message.push(0);
    statement.encode(&mut message);
    message
}
