//! Whoever has said that it left never acts as that member again: what others conclude from it would be wrong.

use std::collections::BTreeSet;

use shoal_formation::{
    ClusterId, NodeId,
    statement::{PastLife, Verified},
};

/// Who has said so.
#[derive(Debug, Default)]
pub(crate) struct PastLives(BTreeSet<(ClusterId, NodeId)>);

impl PastLives {
    /// A statement is durable: from here on it may be heard.
    pub(crate) fn said(&mut self, lives: &[Verified<PastLife>]) {
        self.0.extend(lives.iter().map(|life| (life.get().cluster, life.get().node)));
    }

    /// Raft starts as a member.
    pub(crate) fn starts(&self, index: usize, cluster: ClusterId, node: NodeId) -> Result<(), String> {
        if self.0.contains(&(cluster, node)) {
            return Err(format!("box {index} starts as {node} of {cluster}, which has said that it left"));
        }
        Ok(())
    }
}
