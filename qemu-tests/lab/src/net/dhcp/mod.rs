//! DHCP on the wire: frames in, frames out.
//!
//! A client without an address cannot answer ARP, so a reply goes to its hardware address directly (RFC 2131, 4.1). A socket of
//! the stack could not do that; this works on frames, before the stack sees them.

mod message;
mod server;

use std::net::Ipv4Addr;
use std::time::Duration;

use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, UdpPacket};

pub use message::{Message, MessageType};
pub use server::{BootClient, BootRule, DECLINE_LIFETIME, DhcpConfig, Lease, OFFER_LIFETIME, Server};

use super::frame;
use crate::switch::Frame;

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
const BROADCAST_MAC: [u8; 6] = [0xff; 6];

/// The server behind its frames.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) server: Server,
    address: Ipv4Addr,
}

impl Service {
    pub(crate) fn new(address: Ipv4Addr, config: DhcpConfig) -> Self {
        Self { server: Server::new(address, config), address }
    }

    /// Answers a frame that is for the server.
    pub(crate) fn handle(&mut self, now: Duration, mac: [u8; 6], frame: &[u8]) -> Option<Frame> {
        let message = Message::parse(datagram_for_server(frame)?)?;
        let reply = self.server.handle(now, &message)?;
        let (to_mac, to) = destination(&message, &reply);
        Some(frame::udp((mac, to_mac), (self.address, SERVER_PORT), (to, CLIENT_PORT), &reply.emit()))
    }
}

/// RFC 2131, 4.1: to ciaddr when the client has one, by broadcast when it asks for that or is refused, else to the hardware
/// address and the new address.
fn destination(request: &Message, reply: &Message) -> ([u8; 6], Ipv4Addr) {
    if reply.kind == MessageType::Nak || (request.broadcast && request.client_address.is_unspecified()) {
        (BROADCAST_MAC, Ipv4Addr::BROADCAST)
    } else if request.client_address.is_unspecified() {
        (request.hardware_address, reply.your_address)
    } else {
        (request.hardware_address, request.client_address)
    }
}

/// Whether a frame is the server's to take, answered or not.
pub(crate) fn is_for_server(frame: &[u8]) -> bool {
    datagram_for_server(frame).is_some()
}

fn datagram_for_server(frame: &[u8]) -> Option<&[u8]> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    if ethernet.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
    if packet.next_header() != IpProtocol::Udp {
        return None;
    }
    let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
    (datagram.dst_port() == SERVER_PORT).then(|| datagram.payload())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const CLIENT_MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
    const SERVER_MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 2];

    fn exchange(broadcast: bool, client_address: Ipv4Addr, kind: MessageType) -> ([u8; 6], Ipv4Addr, Message) {
        let server = Ipv4Addr::new(10, 0, 0, 1);
        let mut service = Service::new(server, DhcpConfig::new(Ipv4Addr::new(10, 0, 0, 9)..=Ipv4Addr::new(10, 0, 0, 9), 24));
        let request = Message {
            kind,
            from_client: true,
            transaction: 1,
            broadcast,
            client_address,
            your_address: Ipv4Addr::UNSPECIFIED,
            next_server: Ipv4Addr::UNSPECIFIED,
            hardware_address: CLIENT_MAC,
            options: BTreeMap::new(),
        };
        let request = frame::udp(
            (CLIENT_MAC, BROADCAST_MAC),
            (Ipv4Addr::UNSPECIFIED, CLIENT_PORT),
            (Ipv4Addr::BROADCAST, SERVER_PORT),
            &request.emit(),
        );
        let reply = service.handle(Duration::ZERO, SERVER_MAC, &request).expect("a reply");
        let ethernet = EthernetFrame::new_checked(&reply[..]).unwrap();
        let packet = Ipv4Packet::new_checked(ethernet.payload()).unwrap();
        assert!(packet.verify_checksum());
        let datagram = UdpPacket::new_checked(packet.payload()).unwrap();
        assert!(datagram.verify_checksum(&packet.src_addr().into(), &packet.dst_addr().into()));
        (ethernet.dst_addr().0, packet.dst_addr(), Message::parse(datagram.payload()).unwrap())
    }

    #[test]
    fn a_reply_reaches_a_client_in_each_state() {
        let none = Ipv4Addr::UNSPECIFIED;
        let own = Ipv4Addr::new(10, 0, 0, 9);
        let (mac, to, offer) = exchange(false, none, MessageType::Discover);
        assert_eq!((mac, to, offer.kind), (CLIENT_MAC, own, MessageType::Offer));
        let (mac, to, _) = exchange(true, none, MessageType::Discover);
        assert_eq!((mac, to), (BROADCAST_MAC, Ipv4Addr::BROADCAST));
        let (mac, to, ack) = exchange(false, own, MessageType::Request);
        assert_eq!((mac, to, ack.kind), (CLIENT_MAC, own, MessageType::Ack));
        let (mac, to, nak) = exchange(false, Ipv4Addr::new(10, 0, 0, 77), MessageType::Request);
        assert_eq!((mac, to, nak.kind), (BROADCAST_MAC, Ipv4Addr::BROADCAST, MessageType::Nak));
    }
}
