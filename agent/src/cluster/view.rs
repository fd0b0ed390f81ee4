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
            Membership::Node(status) => role(status, joined.cluster, joined.node),
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

fn role(status: &Status, cluster: ClusterId, node: NodeId) -> Option<Role> {
    let is_member = status.member == Some((cluster, node));
    is_member.then_some(if status.voters.contains(&node) { Role::ControlPlane } else { Role::Worker })
}

#[cfg(test)]
mod tests {
    use shoal_formation::{BootId, NodeKey, Peer, State};

    use super::*;

    const CLUSTER: ClusterId = ClusterId(1);
    const NODE: NodeId = NodeId(7);

    fn status() -> Status {
        Status {
            own: Peer { key: NodeKey([1; 32]), boot: BootId(1) },
            state: State::Member,
            member: Some((CLUSTER, NODE)),
            has_leader: true,
            is_born: true,
            is_sealed: true,
            members: vec![NODE],
            voters: vec![NODE],
            why: Vec::new(),
            alarms: Vec::new(),
        }
    }

    #[test]
    fn only_a_member_of_a_sealed_cluster_is_a_node_of_kubernetes() {
        assert_eq!(sealed(&status()), Some((CLUSTER, NODE)));
        assert_eq!(sealed(&Status { is_sealed: false, ..status() }), None, "it may still dissolve");
        assert_eq!(sealed(&Status { member: None, ..status() }), None);
    }

    #[test]
    fn who_votes_has_a_control_plane_and_of_another_cluster_nothing_is_known() {
        assert_eq!(role(&status(), CLUSTER, NODE), Some(Role::ControlPlane));
        assert_eq!(role(&Status { voters: vec![NodeId(1)], ..status() }, CLUSTER, NODE), Some(Role::Worker));
        assert_eq!(role(&status(), ClusterId(2), NODE), None);
        assert_eq!(role(&Status { member: None, ..status() }, CLUSTER, NODE), None);
    }
}
