//! The client port: gRPC over HTTP/2 and plain HTTP/1.1 on one listener, with or without TLS.
//!
//! One task accepts; each connection has a task of its own. A connection that says nothing is closed after [`OPENING_TIMEOUT`], one whose other
//! end has vanished after the keepalive probes of TCP.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use futures_util::{FutureExt, future::BoxFuture};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// How long a new connection may take for its TLS handshake, and then again until it has said what it is. Generous for a slow link; whoever only
/// holds connections open is rid of in the meantime.
const OPENING_TIMEOUT: Duration = Duration::from_secs(10);

/// The first bytes of an HTTP/2 connection (RFC 9113, 3.4), which it is told by.
const PREFACE_BYTES: u64 = 24;

/// How long an HTTP/1.1 request may take to name itself.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A quiet HTTP/2 connection is asked after so long whether it is alive: etcd's `--grpc-keepalive-interval`.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);

/// It is closed if it does not answer in so long: etcd's `--grpc-keepalive-timeout`.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// A quiet TCP connection is probed after so long, and then as often: Go's default, so also etcd's.
const TCP_KEEPALIVE: Duration = Duration::from_secs(15);

/// Probes of TCP without an answer after which the connection is dead: Go's default.
const TCP_KEEPALIVE_PROBES: u32 = 9;

/// Calls at once on one connection. etcd sets no limit; this one is far above what a client does (kube-apiserver has one connection for each
/// resource, with a watch and a few requests), and far below what would exhaust memory. A client waits with what is beyond.
const CONNECTION_STREAMS: u32 = 16_384;

/// Bytes of requests that wait unread on one connection, of all its calls. HTTP/2's library also bounds small frames that wait, by half of this in
/// pieces of 256: so many that thousands of watches may begin at once on one connection.
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Bytes that wait in one call for a client to read them. Beyond, the call is not asked for more.
const STREAM_SEND_BYTES: usize = 256 * 1024;

/// How long calls may go on after the server has been told to stop. Watches never end by themselves.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// What to wait before accepting again when the process is out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` returns, and then [a little longer](SHUTDOWN_GRACE) so that requests under way are answered.
// Boxed, so that the protocols are compiled with this crate and not with every program that serves.
pub fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> BoxFuture<'static, ()> {
    serve_until(listener, tls, router, shutdown.boxed()).boxed()
}

async fn serve_until(listener: TcpListener, tls: Option<Arc<ServerConfig>>, router: Router, mut shutdown: BoxFuture<'static, ()>) {
    let tls = tls.map(TlsAcceptor::from);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            // Those that have ended need not be remembered.
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, tls.clone(), router.clone(), graceful.watcher()));
            }
            // Of one connection, which is gone already.
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    // What is left after the time is dropped with the set.
    let _ = time::timeout(SHUTDOWN_GRACE, graceful.shutdown()).await;
}

fn is_of_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused)
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, router: Router, watcher: Watcher) {
    if let Err(error) = prepare(&stream) {
        tracing::debug!(%error, "a connection was gone before it began");
        return;
    }
    let Some(tls) = tls else { return http(stream, router, watcher).await };
    match time::timeout(OPENING_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => http(stream, router, watcher).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, TCP_KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(stream, TCP_KEEPALIVE)?;
    sockopt::set_tcp_keepcnt(stream, TCP_KEEPALIVE_PROBES)?;
    Ok(())
}

/// HTTP/1.1 or HTTP/2, by the first bytes.
async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, router: Router, watcher: Watcher) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(CONNECTION_STREAMS)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(STREAM_SEND_BYTES);
    let received = Arc::new(AtomicU64::new(0));
    let stream = TokioIo::new(Counted { stream, received: received.clone() });
    let serving = watcher.watch(builder.serve_connection(stream, TowerToHyperService::new(router)));
    let silent = async {
        time::sleep(OPENING_TIMEOUT).await;
        // Whoever has said what it is may be quiet for as long as it likes: the protocols have their own timeouts.
        if received.load(Ordering::Relaxed) >= PREFACE_BYTES {
            std::future::pending().await
        }
    };
    tokio::select! {
        // Most often the client has just gone away.
        served = serving => if let Err(error) = served { tracing::debug!(%error, "a connection ended") },
        () = silent => tracing::debug!("a connection said nothing"),
    }
}

/// A stream that counts what it has received.
struct Counted<S> {
    stream: S,
    received: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.received.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        polled
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

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}
