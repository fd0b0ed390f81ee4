//! A DHCP message as bytes: RFC 2131 (format), RFC 2132 and later (options). Only what a server reads and writes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Everything before the options: BOOTP's fields, RFC 2131 figure 1.
const FIXED_BYTES: usize = 236;

/// Marks options (RFC 2132, 2).
const MAGIC: [u8; 4] = [99, 130, 83, 99];

/// Some clients drop messages shorter than BOOTP's (RFC 951: 300 bytes).
const LEAST_BYTES: usize = 300;

/// The options that the server knows, by their numbers at IANA.
pub(crate) mod option {
    pub(crate) const PAD: u8 = 0;
    pub(crate) const SUBNET_MASK: u8 = 1;
    pub(crate) const ROUTERS: u8 = 3;
    pub(crate) const DNS_SERVERS: u8 = 6;
    pub(crate) const DOMAIN_NAME: u8 = 15;
    pub(crate) const REQUESTED_ADDRESS: u8 = 50;
    pub(crate) const LEASE_TIME: u8 = 51;
    pub(crate) const MESSAGE_TYPE: u8 = 53;
    pub(crate) const SERVER_ID: u8 = 54;
    pub(crate) const RENEWAL_TIME: u8 = 58;
    pub(crate) const REBINDING_TIME: u8 = 59;
    pub(crate) const VENDOR_CLASS: u8 = 60;
    pub(crate) const CLIENT_ID: u8 = 61;
    pub(crate) const TFTP_SERVER: u8 = 66;
    pub(crate) const BOOT_FILE: u8 = 67;
    pub(crate) const USER_CLASS: u8 = 77;
    pub(crate) const ARCHITECTURE: u8 = 93;
    pub(crate) const DOMAIN_SEARCH: u8 = 119;
    pub(crate) const END: u8 = 255;
}

/// Option 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageType {
    /// Who has an address for me?
    Discover,
    /// You may have this one.
    Offer,
    /// I take it, or: I want to keep it.
    Request,
    /// Someone else uses it.
    Decline,
    /// It is yours.
    Ack,
    /// It is not.
    Nak,
    /// I no longer need it.
    Release,
    /// I have an address and want to know the rest.
    Inform,
}

impl MessageType {
    const ALL: [Self; 8] = [Self::Discover, Self::Offer, Self::Request, Self::Decline, Self::Ack, Self::Nak, Self::Release, Self::Inform];

    fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    fn number(self) -> u8 {
        self as u8 + 1
    }
}

/// A message, both ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Option 53.
    pub kind: MessageType,
    /// From a client (BOOTREQUEST) or from a server (BOOTREPLY).
    pub from_client: bool,
    /// Ties replies to requests.
    pub transaction: u32,
    /// The client cannot receive unicast yet.
    pub broadcast: bool,
    /// ciaddr: the address that the client uses now.
    pub client_address: Ipv4Addr,
    /// yiaddr: the address that the client gets.
    pub your_address: Ipv4Addr,
    /// siaddr: where the boot file is.
    pub next_server: Ipv4Addr,
    /// chaddr, Ethernet.
    pub hardware_address: [u8; 6],
    /// Every option but 53, by number; fragments of one option joined (RFC 3396).
    pub options: BTreeMap<u8, Vec<u8>>,
}

impl Message {
    /// Reads a UDP payload. `None` for anything that is not DHCP over Ethernet.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_at_checked(FIXED_BYTES)?;
        let [operation @ (1 | 2), 1, 6] = fixed[..3] else { return None };
        let mut options = parse_options(rest.strip_prefix(&MAGIC)?);
        let kind = MessageType::of(*options.remove(&option::MESSAGE_TYPE)?.first()?)?;
        let word = |at: usize| [fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]];
        Some(Self {
            kind,
            from_client: operation == 1,
            transaction: u32::from_be_bytes(word(4)),
            broadcast: fixed[10] & 0x80 != 0,
            client_address: word(12).into(),
            your_address: word(16).into(),
            next_server: word(20).into(),
            hardware_address: fixed[28..34].try_into().ok()?,
            options,
        })
    }

    /// Writes a UDP payload. The boot file is written in option 67 and, for clients that know BOOTP alone, in the field `file`.
    pub fn emit(&self) -> Vec<u8> {
        let mut bytes = vec![0; FIXED_BYTES];
        bytes[..3].copy_from_slice(&[if self.from_client { 1 } else { 2 }, 1, 6]);
        bytes[4..8].copy_from_slice(&self.transaction.to_be_bytes());
        bytes[10] = if self.broadcast { 0x80 } else { 0 };
        bytes[12..16].copy_from_slice(&self.client_address.octets());
        bytes[16..20].copy_from_slice(&self.your_address.octets());
        bytes[20..24].copy_from_slice(&self.next_server.octets());
        bytes[28..34].copy_from_slice(&self.hardware_address);
        if let Some(file) = self.options.get(&option::BOOT_FILE).filter(|file| file.len() < 128) {
            bytes[108..108 + file.len()].copy_from_slice(file);
        }
        bytes.extend(MAGIC);
        bytes.extend([option::MESSAGE_TYPE, 1, self.kind.number()]);
        for (number, value) in &self.options {
            // A long value is cut in pieces that the reader joins (RFC 3396).
            for piece in value.chunks(255) {
                bytes.extend([*number, u8::try_from(piece.len()).unwrap_or(u8::MAX)]);
                bytes.extend(piece);
            }
        }
        bytes.push(option::END);
        bytes.resize(bytes.len().max(LEAST_BYTES), option::PAD);
        bytes
    }

    /// An option that is one address, or the first of a list.
    pub(crate) fn address(&self, number: u8) -> Option<Ipv4Addr> {
        let value: [u8; 4] = self.options.get(&number)?.get(..4)?.try_into().ok()?;
        Some(value.into())
    }

    /// An option that is text.
    pub(crate) fn text(&self, number: u8) -> Option<String> {
        self.options.get(&number).map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

/// A cut-off option ends the list; what came before it counts.
fn parse_options(mut bytes: &[u8]) -> BTreeMap<u8, Vec<u8>> {
    let mut options: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    while let [number, rest @ ..] = bytes {
        match (*number, rest) {
            (option::PAD, _) => bytes = rest,
            (option::END, _) => break,
            (number, [length, rest @ ..]) => {
                let Some((value, rest)) = rest.split_at_checked(usize::from(*length)) else { break };
                options.entry(number).or_default().extend(value);
                bytes = rest;
            }
            _ => break,
        }
    }
    options
}

/// Names as option 119 wants them: labels with their lengths, each name ended by an empty label (RFC 3397, without compression).
pub(crate) fn domain_search(names: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in names {
        for label in name.split('.').filter(|label| !label.is_empty()) {
            // A label has at most 63 bytes (RFC 1035, 2.3.4).
            let label = &label.as_bytes()[..label.len().min(63)];
            bytes.push(label.len() as u8);
            bytes.extend(label);
        }
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_survives_the_wire() {
        let message = Message {
            kind: MessageType::Ack,
            from_client: false,
            transaction: 0x0102_0304,
            broadcast: true,
            client_address: Ipv4Addr::new(10, 0, 0, 1),
            your_address: Ipv4Addr::new(10, 0, 0, 2),
            next_server: Ipv4Addr::new(10, 0, 0, 3),
            hardware_address: [0x52, 0x54, 0, 0, 0, 1],
            options: BTreeMap::from([(option::BOOT_FILE, b"boot.efi".to_vec()), (option::DOMAIN_NAME, vec![b'a'; 300])]),
        };
        let bytes = message.emit();
        assert_eq!(Message::parse(&bytes), Some(message));
        assert_eq!(&bytes[108..117], b"boot.efi\0");
    }

    #[test]
    fn search_names_are_labels() {
        assert_eq!(domain_search(&["a.lab".into(), "b".into()]), b"\x01a\x03lab\0\x01b\0");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(options in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut bytes = vec![0; FIXED_BYTES];
            bytes[..3].copy_from_slice(&[1, 1, 6]);
            bytes.extend(MAGIC);
            bytes.extend(options);
            if let Some(message) = Message::parse(&bytes) {
                prop_assert_eq!(Message::parse(&message.emit()).map(|again| again.options), Some(message.options));
            }
        }
    }
}
