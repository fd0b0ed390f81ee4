//! The DHCP server's decisions (RFC 2131, 4.3), without sockets or clocks.
//!
//! | the client | has | the server |
//! |---|---|---|
//! | DISCOVER | anything | OFFERs its old address, the one it asks for, or the first free one; silence when none is free |
//! | REQUEST, server id ours | the offered address | ACK, otherwise NAK |
//! | REQUEST, server id another's | | forgets the offer |
//! | REQUEST, address in option 50 or ciaddr | its own address, still in a range | ACK |
//! | | any other | NAK, so that it starts again |
//! | DECLINE | | sets the address aside |
//! | RELEASE | its own address | frees it |
//! | INFORM | an address | ACK without one |
//!
//! An unknown client that asks to keep an address gets it when it is free and in a range: the lab's server starts with an empty
//! table each time, and a box that boots again must not be punished for it.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::message::{Message, MessageType, domain_search, option};

/// An address that was offered is kept for the client this long: several times what a slow emulated client takes to answer.
pub const OFFER_LIFETIME: Duration = Duration::from_secs(60);

/// An address that someone else uses is not given out for this long.
pub const DECLINE_LIFETIME: Duration = Duration::from_secs(600);

/// What is handed out. May change while clients have leases: they hear of it when they renew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhcpConfig {
    /// Addresses to give, tried in order. A lease outside of them is refused at renewal.
    pub ranges: Vec<RangeInclusive<Ipv4Addr>>,
    /// Length of the network's prefix, bits.
    pub prefix: u8,
    /// Life of a lease; a client renews after half of it.
    pub lease: Duration,
    /// Option 3.
    pub routers: Vec<Ipv4Addr>,
    /// Option 6.
    pub dns: Vec<Ipv4Addr>,
    /// Option 15, and first name of option 119.
    pub search: Vec<String>,
    /// What network boot gets: the first rule that fits.
    pub boot: Vec<BootRule>,
}

impl DhcpConfig {
    /// One range and nothing else: leases of an hour.
    pub fn new(range: RangeInclusive<Ipv4Addr>, prefix: u8) -> Self {
        Self {
            ranges: vec![range],
            prefix,
            lease: Duration::from_secs(3600),
            routers: Vec::new(),
            dns: Vec::new(),
            search: Vec::new(),
            boot: Vec::new(),
        }
    }
}

/// Which program asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootClient {
    /// UEFI HTTP boot: vendor class `HTTPClient`; the file is a URI.
    Http,
    /// iPXE: user class `iPXE`; a path or a URI.
    Ipxe,
    /// PXE of UEFI or BIOS: vendor class `PXEClient`; a path on the TFTP server.
    Pxe,
}

/// The boot file for one kind of client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootRule {
    /// The client.
    pub client: BootClient,
    /// Option 93, RFC 4578 and IANA: 0 BIOS, 7 UEFI x86-64, 11 UEFI arm64, 16 and 19 the same over HTTP. `None` fits all.
    pub architecture: Option<u16>,
    /// Option 67.
    pub file: String,
}

/// An address in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Who has it.
    pub hardware_address: [u8; 6],
    /// When it ends, on the clock of [`Server::handle`]'s `now`.
    pub until: Duration,
    /// Offered only: the client has not taken it yet.
    pub offered: bool,
}

/// The table of leases. A client is known by option 61 or, without it, by its hardware address.
#[derive(Debug)]
pub struct Server {
    /// Our address: option 54, and the server of boot files.
    address: Ipv4Addr,
    /// What is handed out.
    pub config: DhcpConfig,
    leases: HashMap<Vec<u8>, Lease>,
    declined: BTreeMap<Ipv4Addr, Duration>,
}

impl Server {
    /// A server with an empty table.
    pub fn new(address: Ipv4Addr, config: DhcpConfig) -> Self {
        Self { address, config, leases: HashMap::new(), declined: BTreeMap::new() }
    }

    /// Leases that have not ended by `now`, by address.
    pub fn leases(&self, now: Duration) -> Vec<Lease> {
        let mut leases: Vec<Lease> = self.leases.values().filter(|lease| lease.until > now).cloned().collect();
        leases.sort_by_key(|lease| lease.address);
        leases
    }

    /// Answers a message, or not.
    pub fn handle(&mut self, now: Duration, message: &Message) -> Option<Message> {
        if !message.from_client {
            return None;
        }
        self.declined.retain(|_, until| *until > now);
        let client = client_of(message);
        match message.kind {
            MessageType::Discover => self.discover(now, client, message),
            MessageType::Request => self.request(now, client, message),
            MessageType::Decline => {
                if let Some(lease) = self.leases.remove(&client) {
                    self.declined.insert(lease.address, now + DECLINE_LIFETIME);
                }
                None
            }
            MessageType::Release => {
                if self.leases.get(&client).is_some_and(|lease| lease.address == message.client_address) {
                    self.leases.remove(&client);
                }
                None
            }
            MessageType::Inform => Some(self.reply(message, MessageType::Ack, None)),
            MessageType::Offer | MessageType::Ack | MessageType::Nak => None,
        }
    }

    fn discover(&mut self, now: Duration, client: Vec<u8>, message: &Message) -> Option<Message> {
        let old = self.leases.get(&client).map(|lease| lease.address);
        let wanted = message.address(option::REQUESTED_ADDRESS);
        let address = [old, wanted]
            .into_iter()
            .flatten()
            .chain(self.config.ranges.iter().flat_map(|range| (u32::from(*range.start())..=u32::from(*range.end())).map(Ipv4Addr::from)))
            .find(|address| self.may_have(now, &client, *address))?;
        // A lease that runs is not shortened by an offer of the same address.
        let until = self.leases.get(&client).filter(|lease| lease.address == address).map_or(Duration::ZERO, |lease| lease.until);
        let lease = Lease { address, hardware_address: message.hardware_address, until: until.max(now + OFFER_LIFETIME), offered: true };
        self.leases.insert(client, lease);
        Some(self.reply(message, MessageType::Offer, Some(address)))
    }

    fn request(&mut self, now: Duration, client: Vec<u8>, message: &Message) -> Option<Message> {
        if message.address(option::SERVER_ID).is_some_and(|server| server != self.address) {
            if self.leases.get(&client).is_some_and(|lease| lease.offered) {
                self.leases.remove(&client);
            }
            return None;
        }
        let wanted = message.address(option::REQUESTED_ADDRESS).unwrap_or(message.client_address);
        let own = self.leases.get(&client).is_none_or(|lease| lease.address == wanted || lease.until <= now);
        if !own || !self.may_have(now, &client, wanted) {
            return Some(self.reply(message, MessageType::Nak, None));
        }
        let lease = Lease { address: wanted, hardware_address: message.hardware_address, until: now + self.config.lease, offered: false };
        self.leases.insert(client, lease);
        Some(self.reply(message, MessageType::Ack, Some(wanted)))
    }

    /// In a range, not ours, not set aside, and nobody else's.
    fn may_have(&self, now: Duration, client: &[u8], address: Ipv4Addr) -> bool {
        self.config.ranges.iter().any(|range| range.contains(&address))
            && address != self.address
            && !self.declined.contains_key(&address)
            && !self.leases.iter().any(|(other, lease)| other != client && lease.address == address && lease.until > now)
    }

    fn reply(&self, to: &Message, kind: MessageType, address: Option<Ipv4Addr>) -> Message {
        let mut options = BTreeMap::from([(option::SERVER_ID, self.address.octets().to_vec())]);
        // RFC 6842: a client id comes back.
        if let Some(id) = to.options.get(&option::CLIENT_ID) {
            options.insert(option::CLIENT_ID, id.clone());
        }
        let mut next_server = Ipv4Addr::UNSPECIFIED;
        if kind != MessageType::Nak {
            options.extend(self.settings());
            if address.is_some() {
                options.extend(self.lease_times());
            }
            if let Some((class, rule)) = self.boot_rule(to) {
                next_server = self.address;
                options.insert(option::BOOT_FILE, rule.file.clone().into_bytes());
                options.insert(option::TFTP_SERVER, self.address.to_string().into_bytes());
                if let Some(class) = class {
                    options.insert(option::VENDOR_CLASS, class.as_bytes().to_vec());
                }
            }
        }
        Message {
            kind,
            from_client: false,
            transaction: to.transaction,
            broadcast: to.broadcast,
            client_address: if kind == MessageType::Ack { to.client_address } else { Ipv4Addr::UNSPECIFIED },
            your_address: address.unwrap_or(Ipv4Addr::UNSPECIFIED),
            next_server,
            hardware_address: to.hardware_address,
            options,
        }
    }

    fn settings(&self) -> impl Iterator<Item = (u8, Vec<u8>)> {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.config.prefix.min(32))).unwrap_or(0);
        let addresses = |list: &[Ipv4Addr]| list.iter().flat_map(Ipv4Addr::octets).collect::<Vec<u8>>();
        let name = self.config.search.first().map(|name| name.clone().into_bytes()).unwrap_or_default();
        [
            (option::SUBNET_MASK, mask.to_be_bytes().to_vec()),
            (option::ROUTERS, addresses(&self.config.routers)),
            (option::DNS_SERVERS, addresses(&self.config.dns)),
            (option::DOMAIN_NAME, name),
            (option::DOMAIN_SEARCH, domain_search(&self.config.search)),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
    }

    /// Renew at half, rebind at seven eighths: the defaults of RFC 2131, 4.4.5, said aloud.
    fn lease_times(&self) -> [(u8, Vec<u8>); 3] {
        let seconds = u32::try_from(self.config.lease.as_secs()).unwrap_or(u32::MAX);
        let value = |seconds: u32| seconds.to_be_bytes().to_vec();
        [
            (option::LEASE_TIME, value(seconds)),
            (option::RENEWAL_TIME, value(seconds / 2)),
            (option::REBINDING_TIME, value(seconds - seconds / 8)),
        ]
    }

    /// The rule for this client, and the vendor class that it must see in the answer (UEFI 2.10, 24.7.3).
    fn boot_rule(&self, message: &Message) -> Option<(Option<&'static str>, &BootRule)> {
        let vendor = message.text(option::VENDOR_CLASS).unwrap_or_default();
        let ipxe = message.text(option::USER_CLASS).is_some_and(|class| class.contains("iPXE"));
        let (client, class) = if vendor.starts_with("HTTPClient") {
            (BootClient::Http, Some("HTTPClient"))
        } else if ipxe {
            (BootClient::Ipxe, None)
        } else if vendor.starts_with("PXEClient") {
            // Without PXE's own option 43 an answer of class `PXEClient` would be none to it; without the class it is plain BOOTP.
            (BootClient::Pxe, None)
        } else {
            return None;
        };
        let architecture = message.options.get(&option::ARCHITECTURE).and_then(|value| Some(u16::from_be_bytes(*value.first_chunk()?)));
        let fits = |rule: &&BootRule| rule.client == client && (rule.architecture.is_none() || rule.architecture == architecture);
        Some((class, self.config.boot.iter().find(fits)?))
    }
}

fn client_of(message: &Message) -> Vec<u8> {
    match message.options.get(&option::CLIENT_ID) {
        Some(id) => id.clone(),
        // Type 1, Ethernet: what a client that sends an id of this kind would send.
        None => [&[1], &message.hardware_address[..]].concat(),
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
