//! The lab's own host on the switch: services for the guests, and a way in for the tests.
//!
//! ARP, ICMP echo, neighbour discovery and TCP are smoltcp's; DHCP and router advertisements work on frames below it.
//!
//! ```text
//!            connect, listen, datagrams    dhcp, router
//!                       │                       │
//! switch ── plug ── task: one round at a time (frames in, smoltcp, frames out)
//! ```

mod connection;
mod datagram;
mod device;
pub mod dhcp;
mod files;
mod frame;
mod http;
mod router;
mod stack;
mod tftp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use smoltcp::wire::{IpCidr, Ipv4Cidr, Ipv6Cidr};
use tokio::task::{AbortHandle, JoinHandle};

pub use connection::{Connection, Listener};
pub use datagram::Datagrams;
pub use files::Files;

use crate::switch::{PortId, Switch, SwitchError};
use dhcp::{DhcpConfig, Lease};
use stack::Shared;

/// Where the lab's host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetConfig {
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Its IPv4 address.
    pub address: Ipv4Addr,
    /// Length of the IPv4 prefix, bits.
    pub prefix: u8,
    /// Its IPv6 address; the first 64 bits are the network's prefix. It has a link-local address, too, made from `mac`.
    pub address6: Ipv6Addr,
}

impl Default for NetConfig {
    /// 10.77.0.1/24 and fd77::1/64: private (RFC 1918, RFC 4193), and rare enough not to be the host's own network.
    fn default() -> Self {
        Self {
            mac: [0x52, 0x54, 0x00, 0xff, 0xff, 0x01],
            address: Ipv4Addr::new(10, 77, 0, 1),
            prefix: 24,
            address6: Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1),
        }
    }
}

/// Why the lab's host could not do it. Nothing was opened then.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The switch is gone.
    #[error("the lab's host cannot be plugged in")]
    Switch(#[from] SwitchError),
    /// The address is not one that TCP can reach from here.
    #[error("cannot connect to {to} ({reason}): give a guest's address on the lab's own network and a port above 0")]
    Unaddressable {
        /// The guest.
        to: SocketAddr,
        /// smoltcp's word for it.
        reason: String,
    },
    /// The guest refused, or did not answer in time.
    #[error("{to} does not take the connection: is the guest up, and does it listen there?")]
    Refused {
        /// The guest.
        to: SocketAddr,
    },
    /// Port 0 is none.
    #[error("port 0 cannot be listened on: name the port")]
    NoPort,
}

/// The lab's host. Clones are handles on the same; its services and connections end with the last of them.
#[derive(Debug, Clone)]
pub struct Net {
    shared: Arc<Shared>,
    config: NetConfig,
    port: PortId,
    _driver: Arc<Task>,
}

/// A task that ends with its owner.
#[derive(Debug)]
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A service. It ends when this is dropped.
#[derive(Debug)]
#[must_use = "a service ends when it is dropped"]
pub struct Service(JoinHandle<()>);

impl Drop for Service {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Net {
    /// Plugs a host into the switch.
    pub async fn attach(switch: &Switch, config: NetConfig) -> Result<Self, NetError> {
        let plug = switch.plug().await?;
        let port = plug.port();
        let addresses = [
            IpCidr::Ipv4(Ipv4Cidr::new(config.address, config.prefix)),
            IpCidr::Ipv6(Ipv6Cidr::new(link_local(config.mac), 64)),
            IpCidr::Ipv6(Ipv6Cidr::new(config.address6, 64)),
        ];
        let shared = Shared::new(config.mac, &addresses, u64::from(port.0));
        let driver = tokio::spawn(stack::drive(Arc::clone(&shared), plug));
        Ok(Self { shared, config, port, _driver: Arc::new(Task(driver.abort_handle())) })
    }

    /// Its IPv4 address.
    pub fn address(&self) -> Ipv4Addr {
        self.config.address
    }

    /// Its port on the switch, for partitions.
    pub fn port(&self) -> PortId {
        self.port
    }

    /// Starts the DHCP server, with an empty table.
    pub fn serve_dhcp(&self, config: DhcpConfig) {
        self.shared.stack().dhcp = Some(dhcp::Service::new(self.config.address, config));
    }

    /// Changes what the DHCP server hands out; leases stay until they are renewed.
    pub fn change_dhcp(&self, change: impl FnOnce(&mut DhcpConfig)) {
        if let Some(service) = &mut self.shared.stack().dhcp {
            change(&mut service.server.config);
        }
    }

    /// Takes the DHCP server away. Its table is lost.
    pub fn stop_dhcp(&self) {
        self.shared.stack().dhcp = None;
    }

    /// The leases that run, by address; among them those offered but not taken yet.
    pub fn leases(&self) -> Vec<Lease> {
        let stack = self.shared.stack();
        let now = stack.now();
        stack.dhcp.as_ref().map(|service| service.server.leases(now)).unwrap_or_default()
    }

    /// Starts to advertise the IPv6 prefix.
    pub fn advertise_router(&self) {
        self.shared.stack().router = Some(router::Advertiser::new(link_local(self.config.mac), prefix_of(self.config.address6)));
        self.shared.changed.notify_one();
    }

    /// Stops advertising; guests keep the prefix for its lifetime.
    pub fn stop_router(&self) {
        self.shared.stack().router = None;
    }

    /// Serves files by TFTP on port 69.
    pub fn serve_tftp(&self, files: Files) -> Result<Service, NetError> {
        let requests = tftp::open(self)?;
        Ok(Service(tokio::spawn(tftp::serve(self.clone(), requests, files))))
    }

    /// Serves files by HTTP.
    pub fn serve_http(&self, port: u16, files: Files) -> Result<Service, NetError> {
        let listener = self.listen(port)?;
        Ok(Service(tokio::spawn(http::serve(listener, files))))
    }

    /// Opens a connection to a guest. A guest that does not answer is waited for until the stack gives up, a minute; wrap it in a
    /// deadline to wait less.
    pub async fn connect(&self, address: IpAddr, port: u16) -> Result<Connection, NetError> {
        Connection::open(Arc::clone(&self.shared), SocketAddr::new(address, port)).await
    }

    /// Listens for connections from guests.
    pub fn listen(&self, port: u16) -> Result<Listener, NetError> {
        Listener::open(Arc::clone(&self.shared), port)
    }

    /// A UDP socket on this port, or on a free one.
    pub fn datagrams(&self, port: Option<u16>) -> Result<Datagrams, NetError> {
        Datagrams::open(Arc::clone(&self.shared), port)
    }

    /// A time span in the past to compare [`Lease::until`] with: since the host was plugged in.
    pub fn now(&self) -> Duration {
        self.shared.stack().now()
    }
}

/// RFC 4291, appendix A: the hardware address with `fffe` in its middle and one bit turned.
fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    let [first, second, third, fourth, fifth, sixth] = mac;
    let half = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, half(first ^ 2, second), half(third, 0xff), half(0xfe, fourth), half(fifth, sixth))
}

fn prefix_of(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(address) >> 64 << 64)
}

#[cfg(test)]
mod tests;
