//! `shoal-discovery` behind formation's seam to whoever finds peers.

use std::net::SocketAddr;

use async_trait::async_trait;
use shoal_discovery::{Found, Handle};
use shoal_discovery_core::Input;
use shoal_formation_shell::discovery::Discovery;
use tokio::sync::mpsc;

/// Discovery on the links of this box.
#[derive(Debug)]
pub struct Finding {
    handle: Handle,
    found: mpsc::Receiver<Found>,
}

impl Finding {
    /// What [`shoal_discovery::start`] gives.
    #[must_use]
    pub const fn new(handle: Handle, found: mpsc::Receiver<Found>) -> Self {
        Self { handle, found }
    }
}

#[async_trait]
impl Discovery for Finding {
    async fn tell(&mut self, input: Input) {
        // When it has ended, `next` says so.
        drop(self.handle.tell(input).await);
    }

    async fn next(&mut self) -> Option<SocketAddr> {
        loop {
            match self.found.recv().await? {
                Found::Connect(address) => return Some(address),
                // Nobody asks the search domain yet; discovery goes on with its other ways.
                Found::AskDomain => {}
            }
        }
    }
}
