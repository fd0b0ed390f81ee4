//! By which a member proves to somebody outside of the cluster that it is one.

use core::ops::Deref;

use alloc::vec::Vec;
use thiserror::Error;

use super::{ChainError, KeyRotation, PinnedCluster, Signed, Statement, Verified, sealed::Body};
use crate::{
    codec::{Put, Reader},
    fleet::{ClusterId, NodeId},
    key::{Cluster, NodeKey},
    session::Session,
};

/// "The node with this key is this member of mine." It has no end: no clock is trusted. A cluster whose member was removed does not show its certificate
/// any more, and what it signs with its key number *n* counts nothing to whom knows a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberCert {
    /// The cluster.
    pub cluster: ClusterId,
    /// Which key of the cluster has signed this, counted from 1.
    pub key_number: u32,
    /// Which member.
    pub node: NodeId,
    /// Its key.
    pub node_key: NodeKey,
}

impl Statement for MemberCert {
    type Signer = Cluster;
}

/// 16 cluster, 4 key number, 8 node, 32 key.
impl Body for MemberCert {
    const KIND: &'static [u8] = b"member";

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.put(&self.cluster.0);
        bytes.put_u32(self.key_number);
        bytes.put_u64(self.node.0);
        bytes.put(&self.node_key.to_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let (cluster, key_number, node) = (ClusterId(reader.array()?), reader.u32()?, NodeId(reader.u64()?));
        let node_key = NodeKey::from_bytes(&reader.array()?).ok()?;
        (key_number >= 1 && reader.0.is_empty()).then_some(Self { cluster, key_number, node, node_key })
    }
}

/// Why a peer has not proven that it is a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MemberCertError {
    /// Its chain of keys is not the cluster's.
    #[error("the peer's cluster has not proven that it is the one that is known")]
    Chain(#[source] ChainError),
    /// It is of another cluster.
    #[error("the peer's certificate is of another cluster")]
    OtherCluster,
    /// It was made with another key than the cluster's newest.
    #[error("the peer's certificate was made with key number {theirs} of its cluster, and the newest is number {newest}")]
    OtherKey {
        /// Which key has signed it.
        theirs: u32,
        /// The newest that is known, or that the chain leads to.
        newest: u32,
    },
    /// The cluster did not sign it.
    #[error("the peer's certificate was not signed by its cluster")]
    Signature,
    /// It is somebody else's.
    #[error("the peer shows the certificate of another node")]
    NotThePeer,
}

/// A member of a cluster, and the session with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    cert: Verified<MemberCert>,
    newest: PinnedCluster,
}

impl Peer {
    /// The cluster with its newest key, which is to be pinned from now on.
    #[must_use]
    pub const fn cluster(&self) -> &PinnedCluster {
        &self.newest
    }
}

impl Deref for Peer {
    type Target = MemberCert;

    fn deref(&self) -> &MemberCert {
        &self.cert
    }
}

impl Signed<MemberCert> {
    /// Checks that the peer of this session is a member of the cluster that is known.
    ///
    /// # Errors
    /// If it is not proven.
    pub fn verify(self, pinned: &PinnedCluster, chain: &[Signed<KeyRotation>], session: &Session) -> Result<Peer, MemberCertError> {
        let newest = pinned.follow(chain).map_err(MemberCertError::Chain)?;
        let claimed = self.claimed();
        if claimed.cluster != newest.cluster {
            return Err(MemberCertError::OtherCluster);
        }
        if claimed.key_number != newest.number {
            return Err(MemberCertError::OtherKey { theirs: claimed.key_number, newest: newest.number });
        }
        if claimed.node_key != session.peer {
            return Err(MemberCertError::NotThePeer);
        }
        let cert = self.check(&newest.key).map_err(|_| MemberCertError::Signature)?;
        Ok(Peer { cert, newest })
    }
}
