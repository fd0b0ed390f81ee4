//! The seam to whoever finds peers.

use std::{fmt::Debug, future::pending, net::SocketAddr};

use async_trait::async_trait;
use shoal_discovery_core::Input;
use shoal_formation::Standing;
use shoal_formation_wire::statement::cluster_id;
use shoal_trust::beacon;
use tokio::sync::mpsc;

/// Finds peers.
#[async_trait]
pub trait Discovery: Debug + Send + 'static {
    /// Tells it what has happened. It must not wait for what [`Discovery::next`] gives.
    async fn tell(&mut self, input: Input);

    /// An address to try; none when there will be no more. It loses nothing when it is dropped before it is ready.
    async fn next(&mut self) -> Option<SocketAddr>;
}

/// Finds whom it is told of: where somebody else looks for peers.
#[derive(Debug)]
pub struct Told(pub mpsc::UnboundedReceiver<SocketAddr>);

#[async_trait]
impl Discovery for Told {
    async fn tell(&mut self, _input: Input) {}

    async fn next(&mut self) -> Option<SocketAddr> {
        match self.0.recv().await {
            None => pending().await,
            found => found,
        }
    }
}

/// What beacons say of a standing. Who founds is nobody yet, and who joins is blank.
#[must_use]
pub fn beacon_standing(standing: Standing) -> beacon::Standing {
    match standing {
        Standing::Virgin | Standing::Founding | Standing::Joining => beacon::Standing::Virgin,
        Standing::Member(member) if member.live => beacon::Standing::Member(cluster_id(member.cluster).tag()),
        Standing::Member(member) => beacon::Standing::Dark(cluster_id(member.cluster).tag()),
        Standing::ExMember => beacon::Standing::Removed,
    }
}
