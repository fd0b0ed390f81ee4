//! Whole Ethernet frames for the services that work below the stack.

use std::net::{Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet,
    Ipv6Repr, UdpPacket, UdpRepr,
};

use crate::switch::Frame;

const ETHERNET_BYTES: usize = 14;

/// Hop limit of what neighbours say to each other; anything lower has crossed a router and is refused (RFC 4861, 6.1.2).
const NEIGHBOUR_HOP_LIMIT: u8 = 255;

/// A UDP datagram over IPv4; `macs` and the ends are (source, destination).
pub(crate) fn udp(macs: ([u8; 6], [u8; 6]), source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), payload: &[u8]) -> Frame {
    let datagram = UdpRepr { src_port: source.1, dst_port: destination.1 };
    let packet = Ipv4Repr {
        src_addr: source.0,
        dst_addr: destination.0,
        next_header: IpProtocol::Udp,
        payload_len: datagram.header_len() + payload.len(),
        hop_limit: 64,
    };
    let checksums = ChecksumCapabilities::default();
    let mut bytes = ethernet(macs, EthernetProtocol::Ipv4, packet.buffer_len() + packet.payload_len);
    let (header, rest) = bytes[ETHERNET_BYTES..].split_at_mut(packet.buffer_len());
    // The header's own length field counts the payload, which lies in the other half of the split.
    packet.emit(&mut Ipv4Packet::new_unchecked(header), &checksums);
    let ends = (source.0.into(), destination.0.into());
    let fill = |buffer: &mut [u8]| buffer.copy_from_slice(payload);
    datagram.emit(&mut UdpPacket::new_unchecked(rest), &ends.0, &ends.1, payload.len(), fill, &checksums);
    bytes.into()
}

/// An ICMPv6 message between neighbours.
pub(crate) fn icmpv6(macs: ([u8; 6], [u8; 6]), source: Ipv6Addr, destination: Ipv6Addr, message: &Icmpv6Repr<'_>) -> Frame {
    let packet = Ipv6Repr {
        src_addr: source,
        dst_addr: destination,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit: NEIGHBOUR_HOP_LIMIT,
    };
    let mut bytes = ethernet(macs, EthernetProtocol::Ipv6, packet.buffer_len() + packet.payload_len);
    let (header, rest) = bytes[ETHERNET_BYTES..].split_at_mut(packet.buffer_len());
    packet.emit(&mut Ipv6Packet::new_unchecked(header));
    message.emit(&source, &destination, &mut Icmpv6Packet::new_unchecked(rest), &ChecksumCapabilities::default());
    bytes.into()
}

fn ethernet(macs: ([u8; 6], [u8; 6]), ethertype: EthernetProtocol, payload: usize) -> Vec<u8> {
    let mut bytes = vec![0; ETHERNET_BYTES + payload];
    let header = EthernetRepr { src_addr: EthernetAddress(macs.0), dst_addr: EthernetAddress(macs.1), ethertype };
    header.emit(&mut EthernetFrame::new_unchecked(&mut bytes[..]));
    bytes
}
