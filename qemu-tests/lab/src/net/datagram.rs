//! UDP on the lab's address.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp;
use smoltcp::wire::IpEndpoint;

use super::NetError;
use super::stack::Shared;

/// Datagrams that wait in one direction; the next one is dropped, as UDP may. Above the largest TFTP window that is agreed to.
const QUEUE_DATAGRAMS: usize = 128;

/// Bytes of the waiting datagrams in one direction.
const QUEUE_BYTES: usize = QUEUE_DATAGRAMS * 1500;

/// A UDP socket.
#[derive(Debug)]
pub struct Datagrams {
    shared: Arc<Shared>,
    handle: SocketHandle,
}

impl Datagrams {
    /// Binds `port`, or a free one for `None`.
    pub(crate) fn open(shared: Arc<Shared>, port: Option<u16>) -> Result<Self, NetError> {
        let handle = {
            let mut stack = shared.stack();
            let port = port.unwrap_or_else(|| stack.dynamic_port());
            let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; QUEUE_DATAGRAMS], vec![0; QUEUE_BYTES]);
            let mut socket = udp::Socket::new(buffer(), buffer());
            socket.bind(port).map_err(|_| NetError::NoPort)?;
            stack.sockets.add(socket)
        };
        Ok(Self { shared, handle })
    }

    /// The next datagram and its sender.
    pub async fn receive(&self) -> (Vec<u8>, SocketAddr) {
        poll_fn(|context| {
            let mut stack = self.shared.stack();
            let socket = stack.sockets.get_mut::<udp::Socket<'_>>(self.handle);
            match socket.recv() {
                Ok((bytes, from)) => {
                    let from = SocketAddr::new(from.endpoint.addr.into(), from.endpoint.port);
                    Poll::Ready((bytes.to_vec(), from))
                }
                Err(_) => {
                    socket.register_recv_waker(context.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Sends a datagram; waits while the queue is full. An address that cannot be sent to swallows it.
    pub async fn send(&self, bytes: &[u8], to: SocketAddr) {
        poll_fn(|context| {
            let mut stack = self.shared.stack();
            let socket = stack.sockets.get_mut::<udp::Socket<'_>>(self.handle);
            match socket.send_slice(bytes, IpEndpoint::from(to)) {
                Err(udp::SendError::BufferFull) => {
                    socket.register_send_waker(context.waker());
                    Poll::Pending
                }
                Ok(()) | Err(udp::SendError::Unaddressable) => Poll::Ready(()),
            }
        })
        .await;
        self.shared.changed.notify_one();
    }

    /// Waits until everything is on the wire; what is queued when the socket is dropped is lost.
    pub async fn sent(&self) {
        poll_fn(|context| {
            let mut stack = self.shared.stack();
            let socket = stack.sockets.get_mut::<udp::Socket<'_>>(self.handle);
            if socket.send_queue() == 0 {
                return Poll::Ready(());
            }
            socket.register_send_waker(context.waker());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.shared.stack().sockets.remove(self.handle);
    }
}
