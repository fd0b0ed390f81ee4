//! What is seen of this box's place in its cluster.

use std::sync::Arc;

use shoal_cluster::Node;
use shoal_formation::{ClusterId, NodeId};
use shoal_formation_shell::status::Status;
use shoal_plane::Role;
use tokio::sync::watch;

use crate::membership::Membership;

/// What the node says, and its member of the store.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) membership: watch::Receiver<Membership>,
    pub(crate) store: watch::Receiver<Option<Arc<Node>>>,
}

/// A cluster that this box has joined, and that is sealed.
#[derive(Debug, Clone)]
pub(crate) struct Joined {
    pub(crate) store: Arc<Node>,
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
}

impl View {
    /// Waits until this box belongs to a cluster that is sealed.
    pub(crate) async fn joined(&mut self) -> Joined {
        loop {
            if let Some(joined) = self.now() {
                return joined;
            }
            self.changed().await;
        }
    }

    /// Waits until it does not belong to that cluster any more, or its store runs no more.
    pub(crate) async fn left(&mut self, joined: &Joined) {
        while self.now().is_some_and(|now| Arc::ptr_eq(&now.store, &joined.store) && now.node == joined.node) {
            self.changed().await;
        }
    }

    /// What it is in that cluster now; nothing if it is not known, which changes nothing of what runs.
    pub(crate) fn role(&self, joined: &Joined) -> Option<Role> {
        match &*self.membership.borrow() {
            Membership::Node(status) if status.member == Some((joined.cluster, joined.node)) => {
                Some(if status.voters.contains(&joined.node) { Role::ControlPlane } else { Role::Worker })
            }
            _ => None,
        }
    }

    /// Waits until something else is said. Who says it lives as long as the agent.
    pub(crate) async fn changed(&mut self) {
        tokio::select! {
            Ok(()) = self.membership.changed() => {}
            Ok(()) = self.store.changed() => {}
            else => std::future::pending().await,
        }
    }

    fn now(&self) -> Option<Joined> {
        let store = self.store.borrow().clone()?;
        match &*self.membership.borrow() {
            Membership::Node(status) => sealed(status).map(|(cluster, node)| Joined { store, cluster, node }),
            _ => None,
        }
    }
}

fn sealed(status: &Status) -> Option<(ClusterId, NodeId)> {
    status.member.filter(|_| status.is_sealed)
}
