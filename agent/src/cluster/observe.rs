//! What is seen of the node: its name, its addresses, its name servers.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Context;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use shoal_plane::ranges::Range;
use shoal_plane::{Observed, Role};

/// The host name. PID 1 gives each box another, which is a DNS label of small letters, as Kubernetes wants it (RFC 1123).
const HOSTNAME: &str = "/proc/sys/kernel/hostname";
/// Written by PID 1 from what the links were given.
const RESOLV_CONF: &str = "/run/resolv.conf";
/// Beginnings of the names of links that are the pods'.
const PODS_LINKS: [&str; 2] = ["cni", "veth"];

/// Looks at the node. What it is in its cluster, and its number there, are said by whoever asks.
///
/// # Errors
/// If it has no name, or the kernel does not list its addresses.
pub(crate) fn node(role: Role, ordinal: u32) -> anyhow::Result<Observed> {
    let hostname = std::fs::read_to_string(HOSTNAME).with_context(|| format!("this box's name cannot be read from {HOSTNAME}"))?;
    Ok(Observed {
        role,
        node: hostname.trim_end().to_owned(),
        ordinal,
        addresses: links()?.into_iter().map(|(address, _)| address).collect(),
        // The file is there once a link has been given something.
        name_servers: std::fs::read_to_string(RESOLV_CONF).map(|text| name_servers(&text)).unwrap_or_default(),
    })
}

/// Ranges of addresses that the node's links use.
///
/// # Errors
/// If the kernel does not list them.
pub(crate) fn used() -> anyhow::Result<Vec<Range>> {
    Ok(links()?.into_iter().map(|(address, prefix)| Range::of(address, prefix)).collect())
}

/// Addresses of the links, with prefix lengths, in the order of the links.
fn links() -> anyhow::Result<Vec<(Ipv4Addr, u8)>> {
    Ok(getifaddrs().context("the kernel does not list addresses")?.filter_map(|address| usable(&address)).collect())
}

fn usable(interface: &InterfaceAddress) -> Option<(Ipv4Addr, u8)> {
    let is_pods = PODS_LINKS.iter().any(|beginning| interface.interface_name.starts_with(beginning));
    let flags = interface.flags;
    if is_pods || flags.contains(InterfaceFlags::IFF_LOOPBACK) || !flags.contains(InterfaceFlags::IFF_UP) {
        return None;
    }
    let address = interface.address?.as_sockaddr_in()?.ip();
    let mask = interface.netmask.and_then(|mask| mask.as_sockaddr_in().map(|mask| mask.ip().to_bits())).unwrap_or(u32::MAX);
    let prefix = u8::try_from(mask.leading_ones()).unwrap_or(u8::MAX);
    (!address.is_link_local()).then_some((address, prefix))
}

/// Name servers of a resolv.conf(5).
fn name_servers(text: &str) -> Vec<IpAddr> {
    text.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_and_the_rest_is_passed_over() {
        let text = "# by init\nsearch example.org\nnameserver 10.0.0.1\nnameserver\t2001:db8::1\nnameserver none\n";
        assert_eq!(name_servers(text), [IpAddr::from([10, 0, 0, 1]), "2001:db8::1".parse().unwrap()]);
    }
}
