//! Beacons as datagrams to all on a link, for where multicast DNS does not get through.
//!
//! IPv4: to 255.255.255.255. IPv6: to `ff02::1`, which switches flood whatever they have learnt of groups (RFC 4541 §2.1.2).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    sync::Arc,
};

use shoal_discovery_core::LinkIndex;
use shoal_trust::beacon::{DATAGRAM_BYTES_MAX, UnverifiedBeacon};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::UdpSocket, sync::mpsc, task::JoinSet};

/// Datagrams that wait to be looked at. In a flood more are dropped, as the network would.
pub(crate) const DATAGRAMS_MAX: usize = 64;

/// A beacon that came.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) beacon: UnverifiedBeacon,
    pub(crate) link: LinkIndex,
    pub(crate) from: IpAddr,
}

/// The sockets of one link. Readers end when this is dropped.
#[derive(Debug)]
pub(crate) struct Sockets {
    sockets: Vec<(SocketAddr, Arc<UdpSocket>)>,
    _readers: JoinSet<()>,
}

impl Sockets {
    /// Opens what can be opened: a box without IPv6 has one socket a link.
    pub(crate) fn open(link: LinkIndex, name: &str, port: u16, datagrams: &mpsc::Sender<Datagram>) -> Self {
        let all_4 = SocketAddr::new(Ipv4Addr::BROADCAST.into(), port);
        let all_6 = SocketAddr::from(SocketAddrV6::new(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), port, 0, link.0));
        let mut sockets = Vec::new();
        let mut readers = JoinSet::new();
        for (to, local) in [(all_4, IpAddr::V4(Ipv4Addr::UNSPECIFIED)), (all_6, IpAddr::V6(Ipv6Addr::UNSPECIFIED))] {
            match bind(SocketAddr::new(local, port), name) {
                Ok(socket) => {
                    let socket = Arc::new(socket);
                    readers.spawn(read(socket.clone(), link, datagrams.clone()));
                    sockets.push((to, socket));
                }
                Err(error) => tracing::info!(name, %local, %error, "cannot listen for broadcast beacons"),
            }
        }
        Self { sockets, _readers: readers }
    }

    /// Sends a datagram to all on the link. A link without an address of a family cannot be sent on with it, which is no error.
    pub(crate) async fn send(&self, datagram: &[u8]) {
        for (to, socket) in &self.sockets {
            if let Err(error) = socket.send_to(datagram, to).await {
                tracing::debug!(%to, %error, "cannot broadcast");
            }
        }
    }
}

fn bind(local: SocketAddr, name: &str) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    // Each link has a socket with this port.
    socket.set_reuse_address(true)?;
    socket.bind_device(Some(name.as_bytes()))?;
    match local {
        SocketAddr::V4(_) => socket.set_broadcast(true)?,
        SocketAddr::V6(_) => socket.set_only_v6(true)?,
    }
    socket.set_nonblocking(true)?;
    socket.bind(&local.into())?;
    UdpSocket::from_std(socket.into())
}

async fn read(socket: Arc<UdpSocket>, link: LinkIndex, datagrams: mpsc::Sender<Datagram>) {
    // One more, so that what is too long is seen to be.
    let mut buffer = [0; DATAGRAM_BYTES_MAX + 1];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                let Ok(beacon) = UnverifiedBeacon::parse_datagram(&buffer[..length]) else { continue };
                if datagrams.try_send(Datagram { beacon, link, from: from.ip() }).is_err() && datagrams.is_closed() {
                    return;
                }
            }
            // Errors of earlier sends come here, too; the socket goes on.
            Err(error) => {
                tracing::debug!(%error, "cannot receive broadcast beacons");
                tokio::task::yield_now().await;
            }
        }
    }
}
