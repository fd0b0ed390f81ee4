//! Which links there are, from the kernel.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use futures_util::TryStreamExt;
use rtnetlink::packet_route::{
    AddressFamily,
    address::{AddressAttribute, AddressFlags, AddressMessage},
    link::{LinkAttribute, LinkFlags, LinkMessage},
};
use shoal_discovery_core::{Link, LinkIndex};

/// Which links are used.
#[derive(Debug, Clone)]
pub enum Links {
    /// Those with a device behind them, by this sysfs: `/sys` but for tests.
    Physical(PathBuf),
    /// Those with these names, whatever they are: for tests, and for boxes whose network is not what it seems.
    Named(Vec<String>),
}

impl Links {
    /// Those of this box with a device behind them.
    #[must_use]
    pub fn physical() -> Self {
        Self::Physical("/sys".into())
    }

    /// Whether a link with this name is used.
    pub(crate) fn take(&self, name: &str) -> bool {
        match self {
            // A name cannot have a slash (dev_valid_name in the kernel's net/core/dev.c), so this leads nowhere else.
            Self::Physical(sysfs) => sysfs.join("class/net").join(name).join("device").exists(),
            Self::Named(names) => names.iter().any(|known| known == name),
        }
    }
}

/// Lists the links that are used now, and what they are called.
pub(crate) async fn list(netlink: &rtnetlink::Handle, links: &Links) -> Result<(Vec<Link>, BTreeMap<LinkIndex, String>), rtnetlink::Error> {
    let mut found = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut messages = netlink.link().get().execute();
    while let Some(message) = messages.try_next().await? {
        let Some(name) = usable(&message).filter(|name| links.take(name)) else { continue };
        let index = LinkIndex(message.header.index);
        found.insert(index, Link { index, addresses: Vec::new() });
        names.insert(index, name);
    }
    let mut messages = netlink.address().get().execute();
    while let Some(message) = messages.try_next().await? {
        if let (Some(link), Some(address)) = (found.get_mut(&LinkIndex(message.header.index)), address(&message)) {
            link.addresses.push(address);
        }
    }
    let mut found: Vec<Link> = found.into_values().collect();
    found.iter_mut().for_each(|link| link.addresses.sort_unstable());
    Ok((found, names))
}

/// The name of a link that is up and has a carrier.
fn usable(message: &LinkMessage) -> Option<String> {
    let flags = message.header.flags;
    if !flags.contains(LinkFlags::Up | LinkFlags::LowerUp) || flags.contains(LinkFlags::Loopback) {
        return None;
    }
    message.attributes.iter().find_map(|attribute| if let LinkAttribute::IfName(name) = attribute { Some(name.clone()) } else { None })
}

/// The address that a message is about, once it can be used.
fn address(message: &AddressMessage) -> Option<IpAddr> {
    let flags =
        message.attributes.iter().find_map(|attribute| if let AddressAttribute::Flags(flags) = attribute { Some(*flags) } else { None });
    if flags.is_some_and(|flags| flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed)) {
        return None;
    }
    // Of a point-to-point link `Address` is the other end and `Local` this one; of others with IPv4 they are the same, and with IPv6 there is no `Local`.
    let local = message
        .attributes
        .iter()
        .find_map(|attribute| if let AddressAttribute::Local(address) = attribute { Some(*address) } else { None });
    let remote = message
        .attributes
        .iter()
        .find_map(|attribute| if let AddressAttribute::Address(address) = attribute { Some(*address) } else { None });
    let is_ip = matches!(message.header.family, AddressFamily::Inet | AddressFamily::Inet6);
    local.or(remote).filter(|_| is_ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_with_a_device_are_physical() {
        let sysfs = tempfile::tempdir().unwrap();
        let net = sysfs.path().join("class/net");
        std::fs::create_dir_all(net.join("eth0/device")).unwrap();
        ["veth1", "br0", "lo", "wg0"].iter().for_each(|name| std::fs::create_dir_all(net.join(name)).unwrap());
        let physical = Links::Physical(sysfs.path().into());
        let taken: Vec<&str> = ["eth0", "veth1", "br0", "lo", "wg0", "gone"].into_iter().filter(|name| physical.take(name)).collect();
        assert_eq!(taken, ["eth0"]);
        assert!(Links::Named(vec!["veth1".into()]).take("veth1") && !Links::Named(vec!["veth1".into()]).take("eth0"));
    }
}
