//! What is seen on links, and what a liar says there.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// Hears multicast DNS on the link with this address of ours.
pub(crate) fn listen(own: Ipv4Addr) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    // Only what comes by the membership of this socket.
    socket.set_multicast_all_v4(false).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5353)).into()).unwrap();
    socket.join_multicast_v4(&GROUP, &own).unwrap();
    socket.into()
}

/// Waits for an announcement of `from`: a response with our service in it. Says how long it took.
pub(crate) fn announcement(socket: &UdpSocket, from: Ipv4Addr, patience: Duration) -> Option<Duration> {
    let began = Instant::now();
    let mut buffer = [0; 9000];
    loop {
        let left = patience.checked_sub(began.elapsed()).filter(|left| !left.is_zero())?;
        socket.set_read_timeout(Some(left)).unwrap();
        let Ok((length, sender)) = socket.recv_from(&mut buffer) else { continue };
        let is_response = length > 12 && buffer[2] & 0x80 != 0;
        if is_response && sender.ip() == from && buffer[..length].windows(6).any(|window| window == b"_shoal") {
            return Some(began.elapsed());
        }
    }
}

fn name(labels: &[&str]) -> Vec<u8> {
    labels.iter().flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).chain([0]).collect()
}

fn record(owner: &[u8], kind: u16, class: u16, data: &[u8]) -> Vec<u8> {
    let (kind, class, ttl, length) = (kind.to_be_bytes(), class.to_be_bytes(), 120_u32.to_be_bytes(), (data.len() as u16).to_be_bytes());
    [owner, &kind, &class, &ttl, &length, data].concat()
}

/// An announcement of a service of ours as multicast DNS has it (RFC 6762 §8.3), with any TXT record.
pub(crate) fn announce(label: &str, txt: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let service = name(&["_shoal", "_tcp", "local"]);
    let instance = name(&[label, "_shoal", "_tcp", "local"]);
    let host = name(&[label, "local"]);
    let srv = [&[0, 0, 0, 0], &6443_u16.to_be_bytes()[..], &host].concat();
    let header = [0, 0, 0x84, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    let records = [
        record(&service, 12, 1, &instance),
        record(&instance, 33, 0x8001, &srv),
        record(&instance, 16, 0x8001, txt),
        record(&host, 1, 0x8001, &address.octets()),
    ];
    [&header[..], &records.concat()].concat()
}
