//! The client port of the node's store: the etcd API, on loopback only, and for nobody without a certificate of the store's own authority.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use shoal_cluster::Node;
use shoal_etcd::Options;
use shoal_plane::STORE_PORT;
use tokio::net::TcpListener;

/// How long a port that is taken is waited for: by whoever served before, who is about to end.
const PORT_TIMEOUT: Duration = Duration::from_secs(5);
const PORT_RETRY: Duration = Duration::from_millis(100);

/// Files that a server shows and verifies with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files<'a> {
    pub(crate) certificate: &'a Path,
    pub(crate) key: &'a Path,
    /// Who signs the clients' certificates.
    pub(crate) authority: &'a Path,
}

/// Binds the port; the future serves for as long as it is polled. A certificate that is renewed in its file is used from the next connection on.
///
/// # Errors
/// If the certificate cannot be used, or the port cannot be had.
pub(crate) async fn clients(store: Arc<Node>, files: Files<'_>) -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let tls = shoal_etcd::tls::server_config(files.certificate, files.key, Some(files.authority)).context("the store cannot serve")?;
    let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, STORE_PORT))).await?;
    let router = shoal_etcd::router(store, Options::default());
    Ok(shoal_etcd::serve(listener, Some(tls), router, std::future::pending()))
}

/// Binds a port of this node.
///
/// # Errors
/// If somebody else has it, and keeps it.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = async {
        loop {
            match TcpListener::bind(address).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => tokio::time::sleep(PORT_RETRY).await,
                bound => return bound,
            }
        }
    };
    match tokio::time::timeout(PORT_TIMEOUT, bound).await {
        Ok(bound) => bound.with_context(|| format!("cannot listen on {address}")),
        Err(_) => anyhow::bail!("cannot listen on {address}: another program has that port"),
    }
}
