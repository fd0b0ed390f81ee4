//! TCP between the host and the guests: `Connection` reads and writes like a socket of tokio, `Listener` accepts.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{self, State};
use smoltcp::wire::IpEndpoint;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::NetError;
use super::stack::{Shared, Stack};

/// What a guest may send before we read, bytes.
const RECEIVE_BYTES: usize = 256 * 1024;

/// What we may send before a guest acknowledges, bytes: above the windows of firmware (64 KiB) and near those of Linux, so that the
/// guest's window is the limit and a 100 MB image goes over in seconds.
const SEND_BYTES: usize = 1024 * 1024;

/// Connections that may knock at once before the listener is asked again; one more gets a reset and tries again.
const BACKLOG: usize = 4;

/// A peer that acknowledges nothing for this long is gone: the box was switched off. Longer than an emulated box under load is deaf.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

fn socket() -> tcp::Socket<'static> {
    let buffer = |bytes| tcp::SocketBuffer::new(vec![0; bytes]);
    let mut socket = tcp::Socket::new(buffer(RECEIVE_BYTES), buffer(SEND_BYTES));
    socket.set_timeout(Some(smoltcp::time::Duration::from_micros(SILENCE_LIMIT.as_micros() as u64)));
    // Whole answers are written at once; waiting to fill a segment would only add the guest's delayed acknowledgement.
    socket.set_nagle_enabled(false);
    socket
}

/// A TCP connection with a guest. Dropping it closes it in order.
#[derive(Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    handle: SocketHandle,
}

impl Connection {
    pub(crate) async fn open(shared: Arc<Shared>, to: SocketAddr) -> Result<Self, NetError> {
        let handle = {
            let mut stack = shared.stack();
            let port = stack.dynamic_port();
            let mut socket = socket();
            socket
                .connect(stack.interface.context(), IpEndpoint::from(to), port)
                .map_err(|reason| NetError::Unaddressable { to, reason: reason.to_string() })?;
            stack.sockets.add(socket)
        };
        shared.changed.notify_one();
        let connection = Self { shared, handle };
        let opened = poll_fn(|context| {
            connection.with(|socket| match socket.state() {
                State::SynSent | State::SynReceived => {
                    socket.register_recv_waker(context.waker());
                    Poll::Pending
                }
                State::Closed => Poll::Ready(false),
                _ => Poll::Ready(true),
            })
        });
        if opened.await { Ok(connection) } else { Err(NetError::Refused { to }) }
    }

    /// The guest's end, while the connection is open.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.with(|socket| socket.remote_endpoint().map(|end| SocketAddr::new(end.addr.into(), end.port)))
    }

    fn with<R>(&self, act: impl FnOnce(&mut tcp::Socket<'static>) -> R) -> R {
        act(self.shared.stack().sockets.get_mut(self.handle))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.stack().close(self.handle);
        self.shared.changed.notify_one();
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = self.with(|socket| {
            if socket.can_recv() {
                let taken = socket.recv(|bytes| {
                    let taken = bytes.len().min(buffer.remaining());
                    buffer.put_slice(&bytes[..taken]);
                    (taken, ())
                });
                return Poll::Ready(taken.map_err(|_| io::ErrorKind::ConnectionReset.into()));
            }
            if socket.may_recv() {
                socket.register_recv_waker(context.waker());
                return Poll::Pending;
            }
            // The other side has closed in order, or the connection is gone.
            match socket.state() {
                State::Closed => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                _ => Poll::Ready(Ok(())),
            }
        });
        if read.is_ready() {
            // The window has opened.
            self.shared.changed.notify_one();
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.with(|socket| {
            if !socket.may_send() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if !socket.can_send() {
                socket.register_send_waker(context.waker());
                return Poll::Pending;
            }
            Poll::Ready(socket.send_slice(bytes).map_err(|_| io::ErrorKind::BrokenPipe.into()))
        });
        if written.is_ready() {
            self.shared.changed.notify_one();
        }
        written
    }

    /// Waits until the guest has acknowledged everything.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|socket| {
            if socket.send_queue() == 0 {
                return Poll::Ready(Ok(()));
            }
            if socket.state() == State::Closed {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            socket.register_send_waker(context.waker());
            Poll::Pending
        })
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut this = self;
        let flushed = this.as_mut().poll_flush(context);
        if flushed.is_ready() {
            this.with(tcp::Socket::close);
            this.shared.changed.notify_one();
        }
        flushed
    }
}

/// Accepts connections from guests on one port of the lab's address. Dropping it refuses new ones.
#[derive(Debug)]
pub struct Listener {
    shared: Arc<Shared>,
    port: u16,
    waiting: Vec<SocketHandle>,
}

impl Listener {
    pub(crate) fn open(shared: Arc<Shared>, port: u16) -> Result<Self, NetError> {
        if port == 0 {
            return Err(NetError::NoPort);
        }
        let waiting = {
            let mut stack = shared.stack();
            (0..BACKLOG).map(|_| listening(&mut stack, port)).collect()
        };
        Ok(Self { shared, port, waiting })
    }

    /// The next connection.
    pub async fn accept(&mut self) -> Connection {
        poll_fn(|context| self.poll_accept(context)).await
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<Connection> {
        let mut stack = self.shared.stack();
        for place in &mut self.waiting {
            let socket = stack.sockets.get_mut::<tcp::Socket<'_>>(*place);
            match socket.state() {
                State::Listen | State::SynReceived => socket.register_recv_waker(context.waker()),
                // It was reset before anyone took it.
                State::Closed => {
                    let closed = *place;
                    *place = listening(&mut stack, self.port);
                    stack.sockets.get_mut::<tcp::Socket<'_>>(*place).register_recv_waker(context.waker());
                    stack.sockets.remove(closed);
                }
                _ => {
                    let handle = std::mem::replace(place, listening(&mut stack, self.port));
                    return Poll::Ready(Connection { shared: Arc::clone(&self.shared), handle });
                }
            }
        }
        Poll::Pending
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut stack = self.shared.stack();
        self.waiting.drain(..).for_each(|handle| stack.close(handle));
        drop(stack);
        self.shared.changed.notify_one();
    }
}

fn listening(stack: &mut Stack, port: u16) -> SocketHandle {
    let mut socket = socket();
    // A fresh socket with a port that is not 0, which `Listener::open` has checked, listens.
    let listens = socket.listen(port);
    debug_assert!(listens.is_ok());
    stack.sockets.add(socket)
}
