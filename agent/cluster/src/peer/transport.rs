//! What carries the bytes between members: TCP, with TLS where certificates are given, or whatever a simulator puts in its place.

use std::{fmt::Debug, io, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use shoal_formation::Peer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, ServerConfig,
        pki_types::{CertificateDer, ServerName},
    },
};

/// A peer's kernel has not acknowledged what was sent for so long: the connection is dead. Shorter than any election timeout that suits a slow
/// network would make a busy one look dead.
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a TLS handshake may take for whoever connects.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait after accepting has failed, for want of descriptors perhaps.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Handshakes that go on at the same time. Further connections wait in the kernel.
const HANDSHAKES_MAX: usize = 64;

/// Connections that are ready and wait to be taken.
const ACCEPTED_MAX: usize = 64;

/// A stream of bytes to or from a peer.
pub trait Duplex: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin> Duplex for T {}

/// A stream of bytes to or from a peer, of whatever kind.
pub type Stream = Box<dyn Duplex>;

/// Makes connections to peers.
#[async_trait]
pub trait Transport: Debug + Send + Sync + 'static {
    /// Connects to a peer URL. The caller bounds the time.
    ///
    /// # Errors
    /// Whatever the system says.
    async fn connect(&self, url: &str) -> io::Result<Stream>;

    /// The same in a cluster that forms itself, with who the session has proven to be the other end. There, a connection without that is not used. What
    /// is asked for is a key ([`crate::formation::key_of_url`]), or where a node was [found](crate::Node::set_address).
    ///
    /// # Errors
    /// Whatever the system says.
    async fn connect_proven(&self, url: &str) -> io::Result<(Stream, Option<Peer>)> {
        Ok((self.connect(url).await?, None))
    }
}

/// A connection that a peer has made.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: Stream,
    /// Where it comes from, for the log.
    pub from: String,
    /// The certificates that the peer has shown, its own first; none without TLS.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Who the session has proven the peer to be; `None` where nodes are not known by keys.
    pub peer: Option<Peer>,
}

/// Takes connections of peers.
#[async_trait]
pub trait Acceptor: Debug + Send + 'static {
    /// The next connection, ready to be read. `None` when there will be no more.
    async fn accept(&mut self) -> Option<Accepted>;
}

/// Certificates for both directions. Who may connect is decided by the verifiers in the two configurations.
#[derive(Debug, Clone)]
pub struct Tls {
    /// For connections to peers.
    pub client: Arc<ClientConfig>,
    /// For connections of peers.
    pub server: Arc<ServerConfig>,
}

/// TCP, with TLS for peer URLs with the scheme `https`.
#[derive(Debug, Clone)]
pub struct TcpTransport {
    /// Needed for URLs with the scheme `https`.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Scheme, host and port of a peer URL, as etcd takes it: `http://host:port` or `https://host:port`, an IPv6 address in brackets.
///
/// # Errors
/// `InvalidInput`, with a text that says what is wrong.
pub fn parse_url(url: &str) -> io::Result<(bool, String, u16)> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{url:?} is no peer URL: {what}"));
    let (is_tls, rest) = match url.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        _ => return Err(invalid("it must begin with http:// or https://")),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) {
        return Err(invalid("there must be nothing but a host and a port"));
    }
    let (host, port) = authority.rsplit_once(':').ok_or_else(|| invalid("there is no port"))?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().map_err(|_| invalid("the port is no number"))?;
    if host.is_empty() {
        return Err(invalid("there is no host"));
    }
    Ok((is_tls, host.into(), port))
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let milliseconds = u32::try_from(UNACKNOWLEDGED_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds)?;
    rustix::net::sockopt::set_tcp_keepidle(stream, UNACKNOWLEDGED_TIMEOUT)?;
    rustix::net::sockopt::set_tcp_keepintvl(stream, UNACKNOWLEDGED_TIMEOUT)?;
    rustix::net::sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
}

#[async_trait]
impl Transport for TcpTransport {
    async fn connect(&self, url: &str) -> io::Result<Stream> {
        let (is_tls, host, port) = parse_url(url)?;
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        tune(&stream)?;
        if !is_tls {
            return Ok(Box::new(stream));
        }
        let config = self.tls.clone().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{url} needs certificates for peers, and none are configured"))
        })?;
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(config).connect(name, stream).await?))
    }
}

/// Connections over TCP, with TLS or without.
#[derive(Debug)]
pub struct TcpAcceptor {
    accepted: tokio::sync::mpsc::Receiver<Accepted>,
    tasks: tokio::task::JoinSet<()>,
}

impl TcpAcceptor {
    /// Listens on some sockets. Must be called within a tokio runtime.
    #[must_use]
    pub fn new(listeners: Vec<TcpListener>, tls: Option<Arc<ServerConfig>>) -> Self {
        let (sender, accepted) = tokio::sync::mpsc::channel(ACCEPTED_MAX);
        let handshakes = Arc::new(tokio::sync::Semaphore::new(HANDSHAKES_MAX));
        let mut tasks = tokio::task::JoinSet::new();
        for listener in listeners {
            tasks.spawn(listen(listener, tls.clone().map(TlsAcceptor::from), handshakes.clone(), sender.clone()));
        }
        Self { accepted, tasks }
    }
}

#[async_trait]
impl Acceptor for TcpAcceptor {
    async fn accept(&mut self) -> Option<Accepted> {
        self.accepted.recv().await
    }
}

impl Drop for TcpAcceptor {
    fn drop(&mut self) {
        self.tasks.abort_all();
    }
}

async fn listen(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    handshakes: Arc<tokio::sync::Semaphore>,
    accepted: tokio::sync::mpsc::Sender<Accepted>,
) {
    while !accepted.is_closed() {
        let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                let (tls, accepted) = (tls.clone(), accepted.clone());
                tokio::spawn(async move {
                    match tokio::time::timeout(HANDSHAKE_TIMEOUT, greet(stream, from, tls)).await {
                        Ok(Ok(connection)) => drop(accepted.send(connection).await),
                        Ok(Err(error)) => tracing::info!(%from, %error, "a peer's connection failed"),
                        Err(_) => tracing::info!(%from, "a peer's handshake took too long"),
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a peer's connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn greet(stream: TcpStream, from: SocketAddr, tls: Option<TlsAcceptor>) -> io::Result<Accepted> {
    tune(&stream)?;
    let from = from.to_string();
    let Some(tls) = tls else { return Ok(Accepted { stream: Box::new(stream), from, certificates: Vec::new(), peer: None }) };
    let stream = tls.accept(stream).await?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certificates = certificates.iter().map(|certificate| certificate.clone().into_owned()).collect();
    Ok(Accepted { stream: Box::new(stream), from, certificates, peer: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_urls_are_a_scheme_a_host_and_a_port() {
        let table = [
            ("http://10.0.0.1:2380", Some((false, "10.0.0.1", 2380))),
            ("https://node-1.example/:2380", None),
            ("https://node-1.example:2380/", Some((true, "node-1.example", 2380))),
            ("http://[fd00::1]:2380", Some((false, "fd00::1", 2380))),
            ("http://:2380", None),
            ("http://host", None),
            ("http://host:port", None),
            ("http://host:99999", None),
            ("http://user@host:1", None),
            ("http://host:1/path", None),
            ("unix:///run/peer.sock", None),
            ("host:2380", None),
            ("", None),
        ];
        for (url, expected) in table {
            let parsed = parse_url(url).ok();
            assert_eq!(parsed, expected.map(|(is_tls, host, port)| (is_tls, host.to_owned(), port)), "{url}");
        }
    }
}
