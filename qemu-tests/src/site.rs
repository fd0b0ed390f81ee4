//! A site: boxes with the same image on one switch, with somebody who gives addresses, and what they say of the cluster that they are.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};
use shoal_lab::net::dhcp::DhcpConfig;
use shoal_lab::{Bus, Disk, Drive, Format, Lab, Machine, Net, NetConfig, PortId, Vm};

use crate::boxes;
use crate::images::Image;
use crate::words;

/// MiB of a box: with containers it uses half of it.
const MEMORY: u32 = 1024;

/// What a box says of its cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Membership {
    /// The cluster's name.
    pub cluster: String,
    /// The box's number in it.
    pub node: String,
}

impl Membership {
    /// From a line of the console, such as `cluster 1a2b3c4d, node n7, 3 voters of 3 members: highly available`.
    ///
    /// # Errors
    /// If it says nothing of the kind.
    pub fn parse(line: &str) -> Result<Self> {
        let found = || {
            let (before, rest) = line.split_once(", node ")?;
            let (_, cluster) = before.rsplit_once("cluster ")?;
            let (node, _) = rest.split_once(',')?;
            Some(Self { cluster: cluster.to_owned(), node: node.to_owned() })
        };
        found().with_context(|| format!("{line:?} names no cluster"))
    }
}

/// One switch with a DHCP server and a router.
#[derive(Debug)]
pub struct Site {
    /// Who gives addresses.
    pub net: Net,
}

impl Site {
    /// A site for as many boxes on the network that [`boxes::machine`] is plugged into.
    ///
    /// # Errors
    /// If the lab cannot have one.
    pub async fn new(lab: &Lab) -> Result<Self> {
        let net = Net::attach(&lab.network(boxes::NOWHERE)?, NetConfig::default()).await?;
        let site = Self { net };
        site.give_addresses(100);
        site.net.advertise_router();
        Ok(site)
    }

    /// A second server of addresses on the same switch, with others to give, for a part of the site that is cut off.
    ///
    /// # Errors
    /// If the lab cannot have one.
    pub async fn annex(lab: &Lab) -> Result<Self> {
        let config = NetConfig::default();
        let [a, b, c, d] = config.address.octets();
        let [.., last] = config.mac;
        let mut mac = config.mac;
        mac[5] = last + 1;
        let config = NetConfig { mac, address: Ipv4Addr::new(a, b, c, d + 1), ..config };
        let site = Self { net: Net::attach(&lab.network(boxes::NOWHERE)?, config).await? };
        site.give_addresses(150);
        Ok(site)
    }

    /// Gives out addresses from this one on, to whoever asks.
    pub fn give_addresses(&self, first: u8) {
        let address = |last: u8| Ipv4Addr::new(10, 77, 0, last);
        let mut dhcp = DhcpConfig::new(address(first)..=address(first + 20), 24);
        dhcp.routers = vec![self.net.address()];
        self.net.serve_dhcp(dhcp);
    }
}

/// A box that is switched off, with a disk of its own to which the image was written.
///
/// # Errors
/// If `qemu-img` fails.
pub async fn blank(lab: &Lab, image: &Image, name: &str) -> Result<Machine> {
    with(lab, image, name, &image.disk).await
}

/// The same from another image.
///
/// # Errors
/// If `qemu-img` fails.
pub async fn with(lab: &Lab, image: &Image, name: &str, source: &Path) -> Result<Machine> {
    let disk = Disk::at(source, Format::Raw).overlay(lab.qemu(), lab.directory().join(format!("{name}.qcow2"))).await?;
    disk.grow(lab.qemu(), boxes::SMALL_DISK_BYTES).await?;
    let machine = Machine::new(name, shoal::boot::lab_arch(image.arch)).nic(boxes::NOWHERE).memory(MEMORY);
    Ok(machine.firmware(boxes::kernel(image, "")).drive(Drive::new(disk, Bus::Virtio)))
}

/// The network ports of boxes.
///
/// # Errors
/// If one has none.
pub fn ports(vms: &[Vm]) -> Result<Vec<PortId>> {
    vms.iter().map(|vm| vm.port(0).context("a box is plugged in nowhere")).collect()
}

/// Waits until a box says that it is one of so many voters that all answer, and gives who it is.
///
/// # Errors
/// If it does not come to it.
pub async fn highly_available(vm: &mut Vm, voters: usize, members: usize) -> Result<Membership> {
    Membership::parse(&vm.console().wait_for(&words::highly_available(voters, members), boxes::DEADLINE).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_says_who_it_is() {
        let said = "[agent]  INFO cluster 1a2b3c4d, node n7, 3 voters of 3 members: highly available";
        assert_eq!(Membership::parse(said).unwrap(), Membership { cluster: "1a2b3c4d".into(), node: "n7".into() });
        let shown = "shoal: health: unclaimed; cluster 1a2b3c4d, node n7, 3 voters of 3 members: highly available; 2 services are well";
        assert_eq!(Membership::parse(shown).unwrap(), Membership::parse(said).unwrap());
        assert!(said.contains(&words::highly_available(3, 3)));
        assert!(Membership::parse("cluster of nobody").is_err());
    }
}
