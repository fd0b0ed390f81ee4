//! The leadership handed over, before a node is switched off in order: the others need not notice that it is gone, and wait for an election.

use std::time::Duration;

use shoal_cluster::Replica;
use tokio::time::timeout;

use crate::store::Member;

/// How long it may take: less than what an election without it takes with all its patience, so that nobody who switches off waits longer than is won.
pub const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(2);

/// Has another voter lead, if this node leads and there is one that can.
pub async fn hand_over(member: &Member) {
    let Some(node) = member.borrow().clone() else { return };
    if !node.leadership().borrow().is_self {
        return;
    }
    let own = node.identity().member;
    let moving = async {
        for other in node.members().into_iter().filter(|other| other.id != own && !other.is_learner) {
            match node.move_leader(other.id).await {
                Ok(()) => return tracing::info!(to = other.id, "another node leads"),
                Err(error) => tracing::debug!(to = other.id, %error, "it does not lead"),
            }
        }
    };
    if timeout(HAND_OVER_TIMEOUT, moving).await.is_err() {
        tracing::info!("nobody takes over in time: the others elect one");
    }
}
