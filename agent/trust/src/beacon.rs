//! What a node shouts on its links: the TXT record of its DNS-SD service, or the same as one datagram.
//!
//! ```text
//! v=1      version
//! f=…      8 bytes: fleet tag
//! g=…      4 bytes: generation of the join secret
//! s=V      V virgin, M member, D member of a cluster that is dark (without a leader), X was removed from its cluster
//! c=…      8 bytes: cluster tag; of M and D only
//! b=…      8 bytes: random at each boot
//! a=…      addresses, ascending: 4 and 4 bytes, or 6 and 16 bytes, each; not there without any
//! m=…      10 bytes: HMAC-SHA256 with K_disc, cut off
//! ```
//!
//! These keys, in this order, with these lengths, and no others: a beacon has one encoding. Values are bytes (RFC 6763 §6.5), not text. With the length in
//! front of each string this is 200 bytes at most, so that it fits into one packet beside the other records.
//!
//! The MAC is over `"shoal beacon v1"`, the port of the SRV record, and all strings before `m`, with their lengths. Addresses are in the TXT record,
//! since those in A and AAAA records differ by the link on which somebody asks, and come and go by themselves: a MAC over them could not be checked.
//!
//! **A beacon is a hint.** With the MAC it comes from somebody who has the join secret, or is one of theirs sent again. All that it may lead to is that
//! somebody connects to the addresses in it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use alloc::{borrow::ToOwned, vec::Vec};
use hmac::Mac;
use thiserror::Error;

use crate::{
    codec::{Put, Reader},
    fleet::{ClusterTag, FleetTag, Generation},
    schedule::{Authentication, FleetKeys},
};

/// The DNS-SD service (RFC 6763 §7).
pub const SERVICE_TYPE: &str = "_shoal._tcp.local.";

/// Bytes of a TXT record at most.
pub const TXT_BYTES_MAX: usize = 200;

/// Addresses in one beacon at most, of any kind: eight of IPv6 make it 200 bytes long.
pub const ADDRESSES_MAX: usize = 8;

/// Bytes of the MAC: who has no key is right once in 2^80 tries, and a try costs a packet.
pub const MAC_BYTES: usize = 10;

/// How a beacon begins that is sent as a datagram by itself; then the port follows, and the TXT record.
pub const DATAGRAM_MAGIC: [u8; 8] = *b"SHOALBC1";

/// Bytes of a datagram at most.
pub const DATAGRAM_BYTES_MAX: usize = DATAGRAM_MAGIC.len() + 2 + TXT_BYTES_MAX;

/// Eight random bytes that a node chooses at each boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootNonce(pub [u8; 8]);

/// What a node says of itself. It is proven, or not, by the session that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Of no cluster, and never was.
    Virgin,
    /// Of this cluster, which has a leader.
    Member(ClusterTag),
    /// Of this cluster, which has none.
    Dark(ClusterTag),
    /// It was removed from its cluster.
    Removed,
}

/// A beacon that somebody with the join secret has made, now or earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beacon {
    /// Of which fleet it is.
    pub fleet: FleetTag,
    /// Which join secret its node has.
    pub generation: Generation,
    /// What its node says of itself.
    pub standing: Standing,
    /// Which boot of its node it is from.
    pub boot: BootNonce,
    /// Where its node listens, TCP.
    pub port: u16,
    /// The addresses under which it does, on the link where this is sent: ascending, each once, [`ADDRESSES_MAX`] at most.
    pub addresses: Vec<IpAddr>,
}

/// Why a beacon is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BeaconError {
    /// It is longer than [`TXT_BYTES_MAX`], or [`DATAGRAM_BYTES_MAX`].
    #[error("a beacon of {0} bytes is too long")]
    Length(usize),
    /// Its keys are not those of version 1, or not in their order, or a value is none.
    #[error("it is no beacon: {0}")]
    Malformed(&'static str),
    /// Of a version that is not known here.
    #[error("the beacon has another version")]
    Version,
    /// It has an address that no peer can have, or one twice, or they are not ascending, or there are more than [`ADDRESSES_MAX`].
    #[error("the beacon's addresses are none, or not in their order")]
    Addresses,
    /// Port 0.
    #[error("the beacon has no port")]
    Port,
    /// Of another fleet.
    #[error("the beacon is of another fleet")]
    OtherFleet,
    /// Of the same fleet, with another join secret: its MAC cannot be checked. **It can be of anybody.**
    #[error("the beacon says that its node has join secret {theirs}, and here it is {ours}")]
    OtherGeneration {
        /// What the beacon says.
        theirs: Generation,
        /// What this node has.
        ours: Generation,
    },
    /// Its MAC is wrong.
    #[error("the beacon was not made with the fleet's join secret")]
    Forged,
}

/// Whether a node can have such an address: it is one of a single host, and not of this one.
#[must_use]
pub const fn is_address_of_a_peer(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let is_of_this_network = address.octets()[0] == 0;
            let is_reserved = address.octets()[0] >= 240;
            !(is_of_this_network || is_reserved || address.is_loopback() || address.is_multicast())
        }
        IpAddr::V6(address) => {
            !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || address.to_ipv4_mapped().is_some())
        }
    }
}

impl Beacon {
    /// The TXT record: strings with their lengths in front.
    ///
    /// # Errors
    /// If the addresses or the port are not as they must be.
    ///
    /// # Panics
    /// If fleet and generation are not those of the keys: that is a bug.
    pub fn to_txt(&self, keys: &FleetKeys) -> Result<Vec<u8>, BeaconError> {
        assert!(self.fleet == keys.fleet().tag() && self.generation == keys.generation(), "a beacon is made with its own fleet's keys");
        check(self.port, &self.addresses)?;
        let mut txt = Vec::with_capacity(TXT_BYTES_MAX);
        let (letter, cluster) = match self.standing {
            Standing::Virgin => (b"V", None),
            Standing::Member(cluster) => (b"M", Some(cluster)),
            Standing::Dark(cluster) => (b"D", Some(cluster)),
            Standing::Removed => (b"X", None),
        };
        put_string(&mut txt, b'v', b"1");
        put_string(&mut txt, b'f', &self.fleet.0);
        put_string(&mut txt, b'g', &self.generation.get().to_be_bytes());
        put_string(&mut txt, b's', letter);
        if let Some(cluster) = cluster {
            put_string(&mut txt, b'c', &cluster.0);
        }
        put_string(&mut txt, b'b', &self.boot.0);
        if !self.addresses.is_empty() {
            put_string(&mut txt, b'a', &encode_addresses(&self.addresses));
        }
        let mac = authentication(keys, self.port, &txt).finalize().into_bytes();
        put_string(&mut txt, b'm', &mac[..MAC_BYTES]);
        Ok(txt)
    }

    /// The same as a datagram by itself.
    ///
    /// # Errors
    /// As [`Beacon::to_txt`].
    pub fn to_datagram(&self, keys: &FleetKeys) -> Result<Vec<u8>, BeaconError> {
        let mut datagram = DATAGRAM_MAGIC.to_vec();
        datagram.put_u16(self.port);
        datagram.extend(self.to_txt(keys)?);
        Ok(datagram)
    }
}

/// A beacon as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedBeacon {
    claimed: Beacon,
    authenticated: Vec<u8>,
    mac: [u8; MAC_BYTES],
}

impl UnverifiedBeacon {
    /// Reads a TXT record and the port of the SRV record.
    ///
    /// # Errors
    /// If it is no beacon.
    pub fn parse(txt: &[u8], port: u16) -> Result<Self, BeaconError> {
        if txt.len() > TXT_BYTES_MAX {
            return Err(BeaconError::Length(txt.len()));
        }
        let mut strings = Strings(Reader(txt));
        match strings.value(b'v') {
            Some(b"1") => {}
            Some(_) => return Err(BeaconError::Version),
            None => return Err(BeaconError::Malformed("it does not begin with its version")),
        }
        let fleet = FleetTag(strings.array(b'f').ok_or(BeaconError::Malformed("the fleet tag"))?);
        let generation = strings.array(b'g').and_then(|bytes| Generation::new(u32::from_be_bytes(bytes)));
        let generation = generation.ok_or(BeaconError::Malformed("the generation"))?;
        let standing = strings.standing().ok_or(BeaconError::Malformed("what the node says of itself"))?;
        let boot = BootNonce(strings.array(b'b').ok_or(BeaconError::Malformed("the boot nonce"))?);
        let addresses = match strings.next_key() {
            Some(b'a') => strings.value(b'a').and_then(decode_addresses).ok_or(BeaconError::Addresses)?,
            _ => Vec::new(),
        };
        let authenticated = txt[..txt.len() - strings.0.0.len()].to_owned();
        let mac = strings.array(b'm').ok_or(BeaconError::Malformed("the MAC"))?;
        if !strings.0.0.is_empty() {
            return Err(BeaconError::Malformed("there is more after the MAC"));
        }
        check(port, &addresses)?;
        Ok(Self { claimed: Beacon { fleet, generation, standing, boot, port, addresses }, authenticated, mac })
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// If it is no beacon.
    pub fn parse_datagram(datagram: &[u8]) -> Result<Self, BeaconError> {
        if datagram.len() > DATAGRAM_BYTES_MAX {
            return Err(BeaconError::Length(datagram.len()));
        }
        let txt = datagram.strip_prefix(&DATAGRAM_MAGIC).ok_or(BeaconError::Malformed("it does not begin like one"))?;
        let mut reader = Reader(txt);
        let port = reader.u16().ok_or(BeaconError::Malformed("it is cut off"))?;
        Self::parse(reader.0, port)
    }

    /// Checks the MAC, in constant time.
    ///
    /// # Errors
    /// If it is of another fleet or generation, or forged. For other fleets nothing is computed.
    pub fn verify(self, keys: &FleetKeys) -> Result<Beacon, BeaconError> {
        if self.claimed.fleet != keys.fleet().tag() {
            return Err(BeaconError::OtherFleet);
        }
        if self.claimed.generation != keys.generation() {
            return Err(BeaconError::OtherGeneration { theirs: self.claimed.generation, ours: keys.generation() });
        }
        match authentication(keys, self.claimed.port, &self.authenticated).verify_truncated_left(&self.mac) {
            Ok(()) => Ok(self.claimed),
            Err(_) => Err(BeaconError::Forged),
        }
    }
}

fn authentication(keys: &FleetKeys, port: u16, strings: &[u8]) -> Authentication {
    keys.beacon().chain_update(port.to_be_bytes()).chain_update(strings)
}

fn put_string(txt: &mut Vec<u8>, key: u8, value: &[u8]) {
    txt.put(&[value.len() as u8 + 2, key, b'=']);
    txt.put(value);
}

/// The strings of a TXT record that are still to be read.
struct Strings<'a>(Reader<'a>);

impl<'a> Strings<'a> {
    fn next_key(&self) -> Option<u8> {
        self.0.0.get(1).copied()
    }

    /// The value of the next string, if it has this key.
    fn value(&mut self, key: u8) -> Option<&'a [u8]> {
        let length = self.0.u8()?;
        self.0.bytes(usize::from(length))?.strip_prefix(&[key, b'='])
    }

    fn array<const N: usize>(&mut self, key: u8) -> Option<[u8; N]> {
        self.value(key)?.try_into().ok()
    }

    fn standing(&mut self) -> Option<Standing> {
        match self.value(b's')? {
            b"V" => Some(Standing::Virgin),
            b"M" => Some(Standing::Member(ClusterTag(self.array(b'c')?))),
            b"D" => Some(Standing::Dark(ClusterTag(self.array(b'c')?))),
            b"X" => Some(Standing::Removed),
            _ => None,
        }
    }
}

fn check(port: u16, addresses: &[IpAddr]) -> Result<(), BeaconError> {
    if port == 0 {
        return Err(BeaconError::Port);
    }
    let is_ascending = addresses.windows(2).all(|pair| pair[0] < pair[1]);
    if addresses.len() > ADDRESSES_MAX || !is_ascending || !addresses.iter().copied().all(is_address_of_a_peer) {
        return Err(BeaconError::Addresses);
    }
    Ok(())
}

fn encode_addresses(addresses: &[IpAddr]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for address in addresses {
        match address {
            IpAddr::V4(address) => {
                bytes.put(&[4]);
                bytes.put(&address.octets());
            }
            IpAddr::V6(address) => {
                bytes.put(&[6]);
                bytes.put(&address.octets());
            }
        }
    }
    bytes
}

/// At least one, or none where they are not encoded as they should be.
fn decode_addresses(bytes: &[u8]) -> Option<Vec<IpAddr>> {
    let mut reader = Reader(bytes);
    let mut addresses = Vec::new();
    while !reader.0.is_empty() {
        addresses.push(match reader.u8()? {
            4 => IpAddr::V4(Ipv4Addr::from(reader.array::<4>()?)),
            6 => IpAddr::V6(Ipv6Addr::from(reader.array::<16>()?)),
            _ => return None,
        });
    }
    (!addresses.is_empty()).then_some(addresses)
}
