//! What travels in a session.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use alloc::vec::Vec;

use shoal_formation::NodeKey;

use crate::{
    ADDRESSES_MAX, EXCHANGE_MAX, Malformed,
    codec::{Reader, Wire, put_list, whole},
    message::{ADDRESSES, Parts, UnverifiedMessage},
};

/// One frame, whose sender the session proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// For the core.
    Message(UnverifiedMessage),
    /// Where nodes are that the sender has sessions with: at most [`EXCHANGE_MAX`], in the order of their keys. With this, one direction of multicast is
    /// enough for all to find each other.
    Addresses(Vec<PeerAddresses>),
}

/// Where a node may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddresses {
    /// Its key.
    pub node: NodeKey,
    /// Where it was reached, ascending, at least one and at most [`ADDRESSES_MAX`]; see [`is_told`].
    pub addresses: Vec<SocketAddr>,
}

/// Whether an address means the same to somebody else: it has a port, is no second way to write an IPv4 address, and is not of one link alone, whose number
/// every node chooses for itself.
#[must_use]
pub fn is_told(address: &SocketAddr) -> bool {
    let (link_local, extra) = match address {
        SocketAddr::V4(_) => (false, false),
        SocketAddr::V6(address) => (address.ip().is_unicast_link_local(), address.scope_id() != 0 || address.flowinfo() != 0),
    };
    address.port() != 0 && address.ip().to_canonical() == address.ip() && !link_local && !extra && !address.ip().is_unspecified()
}

impl PeerAddresses {
    /// Of a node, what can be told; none if nothing can.
    #[must_use]
    pub fn new(node: NodeKey, addresses: impl IntoIterator<Item = SocketAddr>) -> Option<Self> {
        let mut addresses: Vec<_> = addresses.into_iter().filter(is_told).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        (!addresses.is_empty()).then_some(Self { node, addresses })
    }
}

impl Frame {
    /// # Errors
    /// If these bytes are not exactly what [`Frame::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let frame = if bytes.first() == Some(&ADDRESSES) {
            whole(&bytes[1..], |reader| reader.list(EXCHANGE_MAX))
                .filter(|nodes: &Vec<PeerAddresses>| nodes.is_sorted_by(|one, next| one.node < next.node))
                .map(Self::Addresses)
        } else {
            whole(bytes, Parts::take).map(|parts| Self::Message(UnverifiedMessage(parts)))
        };
        frame.ok_or(Malformed("frame"))
    }

    /// Its bytes, at most [`crate::FRAME_BYTES_MAX`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Message(message) => message.0.put(&mut bytes),
            Self::Addresses(nodes) => {
                bytes.push(ADDRESSES);
                put_list(nodes.iter(), EXCHANGE_MAX, &mut bytes);
            }
        }
        bytes
    }
}

impl Wire for PeerAddresses {
    fn put(&self, bytes: &mut Vec<u8>) {
        self.node.put(bytes);
        bytes.push(self.addresses.len().min(ADDRESSES_MAX) as u8);
        self.addresses.iter().take(ADDRESSES_MAX).for_each(|address| address.put(bytes));
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        let node = reader.take()?;
        let count = usize::from(reader.u8()?);
        if count == 0 || count > ADDRESSES_MAX {
            return None;
        }
        let addresses = (0..count).map(|_| reader.take()).collect::<Option<Vec<SocketAddr>>>()?;
        let is_good = addresses.is_sorted_by(|one, next| one < next) && addresses.iter().all(is_told);
        is_good.then_some(Self { node, addresses })
    }
}

impl Wire for SocketAddr {
    fn put(&self, bytes: &mut Vec<u8>) {
        match self.ip() {
            IpAddr::V4(address) => {
                bytes.push(4);
                bytes.extend_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                bytes.push(6);
                bytes.extend_from_slice(&address.octets());
            }
        }
        self.port().put(bytes);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        let address: IpAddr = match reader.u8()? {
            4 => Ipv4Addr::from(reader.array::<4>()?).into(),
            6 => Ipv6Addr::from(reader.array::<16>()?).into(),
            _ => return None,
        };
        Some(Self::new(address, reader.take()?))
    }
}
