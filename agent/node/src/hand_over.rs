//! The leadership handed over, before a node is switched off in order: the others need not notice that it is gone, and wait for an election.

use std::time::Duration;

use tokio::time::timeout;

use crate::store::Member;

/// How long it may take: less than what an election without it takes with all its patience, so that nobody who switches off waits longer than is won.
pub const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(2);

/// [`Node::hand_over`](shoal_cluster::Node::hand_over), within [`HAND_OVER_TIMEOUT`]; nothing if there is no member.
pub async fn hand_over(member: &Member) {
    let Some(node) = member.borrow().clone() else { return };
    if timeout(HAND_OVER_TIMEOUT, node.hand_over()).await.is_err() {
        tracing::info!("nobody takes over in time: the others elect one");
    }
}
