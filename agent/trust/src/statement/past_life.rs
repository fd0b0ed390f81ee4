//! What a node that leaves a pristine cluster leaves behind.

use alloc::vec::Vec;

use super::{Signed, Statement, StatementError, Verified, sealed::Body};
use crate::{
    codec::{Put, Reader},
    fleet::{ClusterId, NodeId},
    key::{Node, NodeKey},
};

/// Voters in a statement at most: five, and five others while they are being exchanged, with room.
pub const VOTERS_MAX: usize = 15;

/// A voter and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// Its id.
    pub node: NodeId,
    /// Its key.
    pub key: NodeKey,
}

/// Why a node left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// The cluster dissolved into another one, by an entry of its log.
    Dissolved,
    /// There was no leader for too long.
    Abandoned,
    /// It had such statements of a majority of the voters.
    Followed,
}

/// "I was this member of that cluster, and **my log held no seal**, committed or not." There is no such statement with a seal.
///
/// A majority of them, of the newest configuration known, shows that the cluster was never sealed and never will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastLife {
    /// The cluster.
    pub cluster: ClusterId,
    /// What the node was in it.
    pub node: NodeId,
    /// The index of the newest configuration in its log.
    pub config_index: u64,
    /// The voters of that configuration, with their ids ascending.
    pub voters: Vec<Voter>,
    /// Why it left.
    pub leaving: Leaving,
}

impl Statement for PastLife {
    type Signer = Node;
}

/// 16 cluster, 8 node, 8 index, 1 has a seal: always 0, 1 reason, 1 number of voters, and 40 for each.
impl Body for PastLife {
    const KIND: &'static [u8] = b"past life";

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.put(&self.cluster.0);
        bytes.put_u64(self.node.0);
        bytes.put_u64(self.config_index);
        let reason = match self.leaving {
            Leaving::Dissolved => 1,
            Leaving::Abandoned => 2,
            Leaving::Followed => 3,
        };
        bytes.put(&[0, reason, self.voters.len() as u8]);
        for voter in &self.voters {
            bytes.put_u64(voter.node.0);
            bytes.put(&voter.key.to_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let cluster = ClusterId(reader.array()?);
        let node = NodeId(reader.u64()?);
        let config_index = reader.u64()?;
        let [has_seal, reason, count] = reader.array()?;
        let leaving = match reason {
            1 => Leaving::Dissolved,
            2 => Leaving::Abandoned,
            3 => Leaving::Followed,
            _ => return None,
        };
        if has_seal != 0 || usize::from(count) > VOTERS_MAX {
            return None;
        }
        let voter = |_| Some(Voter { node: NodeId(reader.u64()?), key: NodeKey::from_bytes(&reader.array()?).ok()? });
        let voters = (0..count).map(voter).collect::<Option<Vec<_>>>()?;
        let is_ascending = voters.windows(2).all(|pair| pair[0].node < pair[1].node);
        (is_ascending && reader.0.is_empty()).then_some(Self { cluster, node, config_index, voters, leaving })
    }
}

impl Signed<PastLife> {
    /// Checks the signature. The key is that of the node in a configuration that the caller believes, **not one that the statement brings along**.
    ///
    /// # Errors
    /// If it was not made with that key.
    pub fn verify(self, key: &NodeKey) -> Result<Verified<PastLife>, StatementError> {
        self.check(key)
    }
}
