//! What nodes say with a signature that outlives the session.
//!
//! The core checks no signature. It takes statements only as [`Verified`], which is made by whoever has checked them: in the product that is the
//! trust crate, in the simulation the simulated shell, which never forges. A statement that does not check never becomes an input.

use alloc::sync::Arc;

use crate::{
    facts::Configuration,
    ids::{ClusterId, NodeId},
};

/// A statement whose signature was checked against the key that it must be from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// To be called by a verifier that has just checked `statement`, or by a node for what it signs itself; by nobody else.
    #[must_use]
    pub const fn by_signature(statement: T) -> Self {
        Self(statement)
    }

    /// The statement.
    #[must_use]
    pub const fn get(&self) -> &T {
        &self.0
    }
}

/// Why a node left a pristine cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The cluster has dissolved into this one.
    Dissolved(ClusterId),
    /// It had no leader for too long.
    Abandoned,
    /// So many others had left that no seal can have been committed.
    Closed,
}

/// "I was this member, my log holds no committed seal, and I will never acknowledge anything as that member again." Signed with the key that the
/// member had, after its raft has stopped for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastLife {
    /// The cluster that was left.
    pub cluster: ClusterId,
    /// Who left.
    pub node: NodeId,
    /// The newest configuration in its log, committed or not.
    pub configuration: Arc<Configuration>,
    /// Why.
    pub reason: Reason,
}

/// "The entry at this index removed this node from this cluster", proven by the cluster's key, which the node has pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// The cluster.
    pub cluster: ClusterId,
    /// Who was removed.
    pub node: NodeId,
    /// The entry.
    pub index: u64,
}
