//! Streams for raft, handed on.

use std::{
    fmt::Debug,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use shoal_formation::Peer;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
};

use crate::greeting::GreetingError;

/// A stream of bytes to or from a peer: what the replicated store takes from its transport.
pub trait Duplex: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin> Duplex for T {}

/// A stream to or from somebody who has proven to be of the fleet. **Whether raft hears it is not decided here**: ask the core, for each message.
#[derive(Debug)]
pub struct Lane {
    /// The stream.
    pub stream: Box<dyn Duplex>,
    /// Who is at the other end.
    pub peer: Peer,
    /// Where.
    pub address: SocketAddr,
}

/// Why there is no lane.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// Nobody knows where the peer is. Once it is in a session, it is known.
    #[error("no address of this peer is known")]
    NoAddress,
    /// None of its addresses leads to it; of the last one tried, why.
    #[error("none of the peer's addresses leads to it")]
    Unreachable(#[source] GreetingError),
    /// There are too many lanes.
    #[error("there are too many streams between this node and others")]
    Full,
}

/// A stream that gives its place back when it is dropped.
#[derive(Debug)]
pub(crate) struct Counted<S> {
    pub(crate) stream: S,
    pub(crate) _place: OwnedSemaphorePermit,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
