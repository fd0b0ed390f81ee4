//! Sockets that are listened on.

use anyhow::Context;
use tokio::net::TcpListener;

use crate::url::MemberUrl;

/// A bound socket.
#[derive(Debug)]
pub(super) struct Listener {
    /// As it was asked for, with the address and the port that the system has given.
    pub(super) url: MemberUrl,
    pub(super) listener: TcpListener,
}

/// Binds to all of some URLs.
pub(super) async fn bind(urls: &[MemberUrl], flag: &str) -> anyhow::Result<Vec<Listener>> {
    let mut bound = Vec::new();
    for url in urls {
        let listener = TcpListener::bind(url.address()).await.with_context(|| format!("cannot listen on {url} (from {flag})"))?;
        let address = listener.local_addr().with_context(|| format!("cannot find out what {url} is"))?;
        bound.push(Listener { url: MemberUrl::of(url.tls, address), listener });
    }
    Ok(bound)
}
