//! Finds peers on the links of this box. It does what [`shoal_discovery_core`] decides, and has no opinion of its own.
//!
//! | task | owns |
//! |---|---|
//! | discovery | the core, multicast DNS, what is sent as broadcast, netlink; one `select!` over all that can happen |
//! | netlink | rtnetlink's connection to the kernel |
//! | a reader for each broadcast socket | two a link: IPv4, IPv6 |
//!
//! | channel | from | holds | when it is full |
//! |---|---|---|---|
//! | [`Handle`] | whoever uses this | what has happened to sessions | they wait |
//! | [`Found`] | discovery | addresses to try | what does not fit counts as tried in vain, and is tried again |
//! | datagrams | readers | beacons that came as broadcast | they are dropped, as the network would |
//!
//! Multicast DNS is mdns-sd: a thread of its own for each generation of links. When links change it is begun anew, so that groups are left and joined
//! and switches learn of it.
//!
//! # Which links
//! [`Links::Physical`] are those with a device behind them in sysfs: no veth, bridge, tunnel or container network has one, and so nothing is announced to
//! workloads. Up, with a carrier, and with addresses that are no longer tentative.
//!
//! # What it does not do
//! It opens no session and asks no DNS server: [`Found::Connect`] and [`Found::AskDomain`] are for those who do.
//!
//! # What a flood does to the library
//! mdns-sd keeps every record that it hears for as long as the record says. So its cache is looked at each [`CACHE_CHECK`], and with more than
//! [`CACHE_RECORDS_MAX`] records it is begun anew. A flood that keeps it busy without a pause keeps it from answering this, too; then it goes on, and
//! broadcast and peer exchange find peers without it.

mod broadcast;
mod links;
mod mdns;
mod run;

pub use links::Links;
pub use mdns::{CACHE_CHECK, CACHE_RECORDS_MAX};
pub use run::{Found, Gone, Handle, Settings, StartError, start};

/// Where beacons are broadcast to, UDP: in the range for private use, and outside of what Linux gives to clients.
pub const BROADCAST_PORT: u16 = 61_953;
