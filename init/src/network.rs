//! First network: wired links up, DHCPv4 on each, IPv6 by router advertisements, `/run/resolv.conf`.
//!
//! | task | owns | ends |
//! |---|---|---|
//! | links | netlink: which links there are, which have a carrier, IPv6 addresses | never |
//! | one lease for each link with a carrier | its DHCP client, the link's IPv4 address and routes | when the carrier goes |
//!
//! Addresses carry the lease's lifetime, so the kernel takes them away when nobody renews them. A link that loses its carrier keeps its
//! address until then, and the next lease task asks for the same one first (INIT-REBOOT, RFC 2131 4.4.2).

mod lease;
mod links;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use shoal_contract::boot::Network;
use shoal_init_core::dhcp::{Configuration, resolv_conf};
use tokio::sync::mpsc;

use crate::say;

/// Where the name servers of all links are listed; `/etc/resolv.conf` of the image is a link to it.
const RESOLV_CONF: &str = "/run/resolv.conf";

/// Something the network has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NetworkEvent {
    /// A wired link was found, with or without a carrier.
    Found {
        /// Its name.
        link: String,
    },
    /// The links that are there at the start have all been told of.
    Listed,
    /// A wired link has got or lost its carrier, or has none from the start.
    Carrier {
        /// Its name.
        link: String,
        /// It has one.
        carrier: bool,
    },
    /// A wired link is gone, or has been taken into a bridge or a bond.
    Gone {
        /// Its name.
        link: String,
    },
    /// A link has got an address.
    Address {
        /// Its name.
        link: String,
        /// The address.
        address: IpAddr,
        /// The default router, if there is one.
        gateway: Option<IpAddr>,
    },
    /// Something does not work, in words for the console.
    Trouble(String),
}

/// What all tasks share.
#[derive(Clone)]
struct Shared {
    netlink: rtnetlink::Handle,
    settings: Arc<Network>,
    events: mpsc::Sender<NetworkEvent>,
    configurations: Arc<Mutex<BTreeMap<u32, Configuration>>>,
}

/// Starts the tasks on the current runtime.
///
/// # Errors
/// When the kernel gives no netlink socket; the box is then without network.
pub(crate) fn start(settings: Network, events: mpsc::Sender<NetworkEvent>) -> std::io::Result<()> {
    let groups = [rtnetlink::MulticastGroup::Link, rtnetlink::MulticastGroup::Ipv6Ifaddr];
    let (connection, netlink, messages) = rtnetlink::new_multicast_connection(&groups)?;
    tokio::spawn(connection);
    std::fs::write(RESOLV_CONF, "")?;
    let shared = Shared { netlink, settings: Arc::new(settings), events, configurations: Arc::default() };
    tokio::spawn(links::follow(shared, messages));
    Ok(())
}

impl Shared {
    /// Tells the supervisor, and the console in plain words.
    async fn tell(&self, event: NetworkEvent) {
        match &event {
            NetworkEvent::Found { link } => say::line(&format!("link {link} found")),
            NetworkEvent::Listed => {}
            NetworkEvent::Carrier { link, carrier: true } => say::line(&format!("link {link} has a carrier")),
            NetworkEvent::Carrier { link, carrier: false } => say::line(&format!("link {link} has no carrier")),
            NetworkEvent::Gone { link } => say::line(&format!("link {link} is gone")),
            NetworkEvent::Address { link, address, .. } => say::line(&format!("address {address} on {link}")),
            NetworkEvent::Trouble(words) => say::line(words),
        }
        // The supervisor stops listening when the box ends.
        let _ = self.events.send(event).await;
    }

    /// Takes over a link's configuration (None: it has none any more) and lists the name servers of all.
    fn name_servers(&self, link: u32, configuration: Option<Configuration>) -> std::io::Result<()> {
        let mut all = self.configurations.lock().unwrap_or_else(PoisonError::into_inner);
        match configuration {
            Some(configuration) => all.insert(link, configuration),
            None => all.remove(&link),
        };
        let new = format!("{RESOLV_CONF}.new");
        std::fs::write(&new, resolv_conf(all.values()))?;
        std::fs::rename(new, RESOLV_CONF)
    }
}
