//! What a node that leaves a pristine cluster leaves behind.

use alloc::vec::Vec;

use super::{Signed, Statement, StatementError, Verified, sealed::Body};
use crate::{
    codec::{Put, Reader},
    fleet::{ClusterId, NodeId},
    key::{Node, NodeKey},
};

/// Voters of either set in a statement at most: five, with room.
pub const VOTERS_MAX: usize = 15;

/// What stands for a cluster where there is none.
const NOWHERE: [u8; 16] = [0; 16];

/// Why a node left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// The cluster dissolved into this one, by an entry of its log.
    Dissolved(ClusterId),
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
    /// The term of the leader that wrote the newest configuration in its log, committed or not: of two configurations, the one with the higher term is
    /// the newer, whatever their indices.
    pub config_term: u64,
    /// Its index.
    pub config_index: u64,
    /// Its voters, ascending. Their keys are not here: whoever verifies needs to know them from elsewhere anyway.
    pub voters: Vec<NodeId>,
    /// Who voted before and still does, in the middle of a change; ascending, empty otherwise. A majority of both is needed then.
    pub outgoing: Vec<NodeId>,
    /// Why it left.
    pub leaving: Leaving,
}

impl Statement for PastLife {
    type Signer = Node;
}

/// 16 cluster, 8 node, 8 term, 8 index, 1 has a seal: always 0, 1 reason, 16 where to: zeros unless dissolved, 1 number of voters, 1 of outgoing ones,
/// and 8 for each.
impl Body for PastLife {
    const KIND: &'static [u8] = b"past life 2";

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.put(&self.cluster.0);
        bytes.put_u64(self.node.0);
        bytes.put_u64(self.config_term);
        bytes.put_u64(self.config_index);
        let (reason, into) = match self.leaving {
            Leaving::Dissolved(into) => (1, into.0),
            Leaving::Abandoned => (2, NOWHERE),
            Leaving::Followed => (3, NOWHERE),
        };
        bytes.put(&[0, reason]);
        bytes.put(&into);
        bytes.put(&[self.voters.len() as u8, self.outgoing.len() as u8]);
        for voter in self.voters.iter().chain(&self.outgoing) {
            bytes.put_u64(voter.0);
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let cluster = ClusterId(reader.array()?);
        let node = NodeId(reader.u64()?);
        let (config_term, config_index) = (reader.u64()?, reader.u64()?);
        let [has_seal, reason] = reader.array()?;
        let into = reader.array()?;
        let leaving = match (reason, into) {
            (1, into) => Leaving::Dissolved(ClusterId(into)),
            (2, NOWHERE) => Leaving::Abandoned,
            (3, NOWHERE) => Leaving::Followed,
            _ => return None,
        };
        let [incoming, outgoing] = reader.array()?;
        let mut voters = |count: u8| {
            let voters = (0..count).map(|_| reader.u64().map(NodeId)).collect::<Option<Vec<_>>>()?;
            (voters.len() <= VOTERS_MAX && voters.is_sorted_by(|one, next| one < next)).then_some(voters)
        };
        let (voters, outgoing) = (voters(incoming)?, voters(outgoing)?);
        let statement = Self { cluster, node, config_term, config_index, voters, outgoing, leaving };
        (has_seal == 0 && reader.0.is_empty()).then_some(statement)
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
