//! From a cluster's key that was seen once to the one that it has now.

use alloc::vec::Vec;
use thiserror::Error;

use super::{Signed, Statement, sealed::Body};
use crate::{
    codec::{Put, Reader},
    fleet::ClusterId,
    key::{Cluster, ClusterKey},
};

/// Rotations that are followed at once: one a month for five years. A node that was away for longer needs its operator.
pub const CHAIN_LINKS_MAX: usize = 64;

/// "My next key is this one", signed with the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRotation {
    /// The cluster.
    pub cluster: ClusterId,
    /// Which key of the cluster the new one is: the first is 1.
    pub number: u32,
    /// The new key.
    pub key: ClusterKey,
}

impl Statement for KeyRotation {
    type Signer = Cluster;
}

/// 16 cluster, 4 number, 32 key.
impl Body for KeyRotation {
    const KIND: &'static [u8] = b"key rotation";

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.put(&self.cluster.0);
        bytes.put_u32(self.number);
        bytes.put(&self.key.to_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let (cluster, number) = (ClusterId(reader.array()?), reader.u32()?);
        // The first key was not signed by another.
        let key = ClusterKey::from_bytes(&reader.array()?).ok()?;
        (number >= 2 && reader.0.is_empty()).then_some(Self { cluster, number, key })
    }
}

/// A cluster, and a key of it that is known to be its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedCluster {
    /// The cluster.
    pub cluster: ClusterId,
    /// Which of its keys, counted from 1.
    pub number: u32,
    /// The key.
    pub key: ClusterKey,
}

/// Why a chain does not lead on from what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ChainError {
    /// More than [`CHAIN_LINKS_MAX`].
    #[error("the cluster shows {0} changes of its key, and {CHAIN_LINKS_MAX} are followed")]
    Length(usize),
    /// A link is of another cluster.
    #[error("the chain of keys is of another cluster")]
    OtherCluster,
    /// A link does not follow the one before.
    #[error("the chain of keys lacks number {0}")]
    Gap(u32),
    /// The chain has another key where the known one should be: somebody has the cluster's old key and made one of his own.
    #[error("the cluster shows another key number {0} than the one that is known: one of the two is not the cluster")]
    Fork(u32),
    /// A link was not signed with the key before it.
    #[error("key number {0} of the cluster was not signed with the one before")]
    Signature(u32),
}

impl PinnedCluster {
    /// Follows rotations to the newest key. Links to keys before the known one are passed over, since nothing here could check them; so a cluster can
    /// show its whole chain to everybody.
    ///
    /// # Errors
    /// If the chain does not lead on from the known key.
    pub fn follow(&self, chain: &[Signed<KeyRotation>]) -> Result<Self, ChainError> {
        if chain.len() > CHAIN_LINKS_MAX {
            return Err(ChainError::Length(chain.len()));
        }
        let mut newest = self.clone();
        let mut before = None;
        for signed in chain {
            let link = signed.claimed();
            if link.cluster != self.cluster {
                return Err(ChainError::OtherCluster);
            }
            let expected = before.map_or(link.number.min(self.number.saturating_add(1)), |number: u32| number.saturating_add(1));
            if link.number != expected {
                return Err(ChainError::Gap(expected));
            }
            before = Some(link.number);
            if link.number < self.number {
                continue;
            }
            if link.number == self.number {
                if link.key != self.key {
                    return Err(ChainError::Fork(link.number));
                }
                continue;
            }
            let verified = signed.clone().check(&newest.key).map_err(|_| ChainError::Signature(link.number))?;
            newest = Self { cluster: self.cluster, number: verified.number, key: verified.key };
        }
        Ok(newest)
    }
}
