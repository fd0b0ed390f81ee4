//! What a node is told that was removed while it was away.

use alloc::vec::Vec;
use thiserror::Error;

use super::{Peer, Signed, Statement, Verified, sealed::Body};
use crate::{
    codec::{Put, Reader},
    fleet::{ClusterId, NodeId},
    key::{Node, NodeKey},
};

/// "This member was removed, by the entry with this index." Signed by another member, which shows its [`super::MemberCert`] beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The cluster.
    pub cluster: ClusterId,
    /// Who was removed.
    pub node: NodeId,
    /// The index of the log entry that removed it.
    pub index: u64,
}

impl Statement for Removed {
    type Signer = Node;
}

/// 16 cluster, 8 node, 8 index.
impl Body for Removed {
    const KIND: &'static [u8] = b"removed";

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.put(&self.cluster.0);
        bytes.put_u64(self.node.0);
        bytes.put_u64(self.index);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let (cluster, node, index) = (ClusterId(reader.array()?), NodeId(reader.u64()?), reader.u64()?);
        reader.0.is_empty().then_some(Self { cluster, node, index })
    }
}

/// Why a node does not believe that it was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RemovedError {
    /// It is about another cluster than the one whose member says it.
    #[error("a member of one cluster says that a node was removed from another")]
    OtherCluster,
    /// It is about another node.
    #[error("this is about node {0}, which is another one")]
    OtherNode(u64),
    /// A node was admitted by the entry that its id is the index of, and can only be removed by a later one.
    #[error("a node cannot have been removed by entry {0}, before it was admitted")]
    BeforeAdmission(u64),
    /// The peer did not sign it.
    #[error("the peer did not sign that this node was removed")]
    Signature,
}

impl Signed<Removed> {
    /// Checks that the peer, a member of this node's cluster, says that this node was removed. Nothing less may make a node give up its membership.
    ///
    /// # Errors
    /// If it does not.
    pub fn verify(self, peer: &Peer, own: NodeId) -> Result<Verified<Removed>, RemovedError> {
        self.verify_from(peer.cluster, &peer.node_key, own)
    }

    /// As [`Signed::verify`], where the node's own membership, as its log has it, says that the node with this key is a member of `cluster`. Who is in the
    /// log of both needs no certificate; who was let in after this node was removed does.
    ///
    /// # Errors
    /// If it does not say that this node was removed.
    pub fn verify_from(self, cluster: ClusterId, member: &NodeKey, own: NodeId) -> Result<Verified<Removed>, RemovedError> {
        let claimed = self.claimed();
        if claimed.cluster != cluster {
            return Err(RemovedError::OtherCluster);
        }
        if claimed.node != own {
            return Err(RemovedError::OtherNode(claimed.node.0));
        }
        if claimed.index <= own.0 {
            return Err(RemovedError::BeforeAdmission(claimed.index));
        }
        self.check(member).map_err(|_| RemovedError::Signature)
    }
}
