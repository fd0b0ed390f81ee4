//! Streams of the node plane as the store's connections.

use std::io;

use async_trait::async_trait;
use shoal_cluster::{
    formation::key_of_url,
    transport::{Accepted, Acceptor, Stream, Transport},
};
use shoal_formation::Peer;
use shoal_node_plane::{Handle, Lane};
use tokio::sync::mpsc;

/// Connects to nodes by their keys; where they are, the node plane knows.
#[derive(Debug)]
pub(crate) struct Lanes(pub(crate) Handle);

#[async_trait]
impl Transport for Lanes {
    async fn connect(&self, url: &str) -> io::Result<Stream> {
        self.connect_proven(url).await.map(|(stream, _)| stream)
    }

    async fn connect_proven(&self, url: &str) -> io::Result<(Stream, Option<Peer>)> {
        let key = key_of_url(url).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{url:?} is no key of a node")))?;
        let Lane { stream, peer, .. } = self.0.open_lane(key).await.map_err(io::Error::other)?;
        Ok((Box::new(stream), Some(peer)))
    }
}

/// Lanes that others have opened.
#[derive(Debug)]
pub(crate) struct Opened(pub(crate) mpsc::Receiver<Lane>);

#[async_trait]
impl Acceptor for Opened {
    async fn accept(&mut self) -> Option<Accepted> {
        let Lane { stream, peer, address } = self.0.recv().await?;
        Some(Accepted { stream: Box::new(stream), from: address.to_string(), certificates: Vec::new(), peer: Some(peer) })
    }
}
