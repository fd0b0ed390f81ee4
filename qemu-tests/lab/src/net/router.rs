//! Router advertisements (RFC 4861, 6.2): how guests learn an IPv6 prefix.

use std::net::Ipv6Addr;
use std::time::Duration;

use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv6Message, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet,
    NdiscPrefixInfoFlags, NdiscPrefixInformation, NdiscRepr, NdiscRouterFlags,
};

use super::frame;
use crate::switch::Frame;

/// Between unasked advertisements: within RFC 4861's 3 s to 30 min, and short enough for a test that waits for one.
const INTERVAL: Duration = Duration::from_secs(10);

/// Of the prefix and of the router. RFC 4861 wants at least three intervals for the router.
const LIFETIME: Duration = Duration::from_secs(1800);

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// Says one prefix, when asked and from time to time.
#[derive(Debug)]
pub(crate) struct Advertiser {
    /// Our link-local address: an advertisement from any other kind is refused.
    address: Ipv6Addr,
    /// A /64: what stateless configuration needs.
    prefix: Ipv6Addr,
    next: Duration,
}

impl Advertiser {
    pub(crate) fn new(address: Ipv6Addr, prefix: Ipv6Addr) -> Self {
        Self { address, prefix, next: Duration::ZERO }
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.next
    }

    /// The unasked advertisement, when it is time.
    pub(crate) fn due(&mut self, now: Duration, mac: [u8; 6]) -> Option<Frame> {
        if now < self.next {
            return None;
        }
        self.next = now + INTERVAL;
        Some(self.advertisement(mac))
    }

    /// Answers a solicitation.
    pub(crate) fn handle(&self, mac: [u8; 6], frame: &[u8]) -> Option<Frame> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        if ethernet.ethertype() != EthernetProtocol::Ipv6 {
            return None;
        }
        let packet = Ipv6Packet::new_checked(ethernet.payload()).ok()?;
        if packet.next_header() != IpProtocol::Icmpv6 {
            return None;
        }
        let message = Icmpv6Packet::new_checked(packet.payload()).ok()?;
        (message.msg_type() == Icmpv6Message::RouterSolicit).then(|| self.advertisement(mac))
    }

    fn advertisement(&self, mac: [u8; 6]) -> Frame {
        let lifetime = smoltcp::time::Duration::from_secs(LIFETIME.as_secs());
        let unspecified = smoltcp::time::Duration::ZERO;
        let message = Icmpv6Repr::Ndisc(NdiscRepr::RouterAdvert {
            hop_limit: 64,
            flags: NdiscRouterFlags::empty(),
            router_lifetime: lifetime,
            reachable_time: unspecified,
            retrans_time: unspecified,
            lladdr: Some(EthernetAddress(mac).into()),
            mtu: None,
            prefix_info: Some(NdiscPrefixInformation {
                prefix_len: 64,
                flags: NdiscPrefixInfoFlags::ON_LINK | NdiscPrefixInfoFlags::ADDRCONF,
                valid_lifetime: lifetime,
                preferred_lifetime: lifetime,
                prefix: self.prefix,
            }),
        });
        frame::icmpv6((mac, ALL_NODES_MAC), self.address, ALL_NODES, &message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advertisement_carries_the_prefix_and_comes_when_due() {
        let mac = [0x52, 0x54, 0, 0, 0, 1];
        let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let prefix = Ipv6Addr::new(0xfd00, 1, 2, 3, 0, 0, 0, 0);
        let mut advertiser = Advertiser::new(router, prefix);
        let sent = advertiser.due(Duration::ZERO, mac).expect("the first at once");
        assert!(advertiser.due(INTERVAL - Duration::from_millis(1), mac).is_none());
        assert!(advertiser.due(INTERVAL, mac).is_some());
        let ethernet = EthernetFrame::new_checked(&sent[..]).unwrap();
        let packet = Ipv6Packet::new_checked(ethernet.payload()).unwrap();
        assert_eq!((packet.hop_limit(), packet.src_addr(), packet.dst_addr()), (255, router, ALL_NODES));
        let message = Icmpv6Packet::new_checked(packet.payload()).unwrap();
        assert!(message.verify_checksum(&router, &ALL_NODES));
        match NdiscRepr::parse(&message).unwrap() {
            NdiscRepr::RouterAdvert { prefix_info: Some(information), .. } => assert_eq!(information.prefix, prefix),
            other => panic!("{other:?}"),
        }
    }
}
