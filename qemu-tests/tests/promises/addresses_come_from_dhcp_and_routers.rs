//! A box on an ordinary network has an IPv4 address by DHCP and an IPv6 address by router advertisement, and says which.

use std::net::Ipv4Addr;

use anyhow::ensure;
use qemu_tests::{boxes, hold, images, words};
use shoal_contract::Arch;
use shoal_lab::net::dhcp::DhcpConfig;
use shoal_lab::{Net, NetConfig, Vm};

/// The only address that is given out.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// How addresses of [`NetConfig`]'s IPv6 network begin.
const PREFIX6: &str = "fd77:";

#[test]
fn and_are_told() {
    hold("addresses", async |lab| {
        let image = images::bare(Arch::Amd64)?;
        let net = Net::attach(&lab.network(boxes::NOWHERE)?, NetConfig::default()).await?;
        let mut dhcp = DhcpConfig::new(ADDRESS..=ADDRESS, 24);
        dhcp.routers = vec![net.address()];
        net.serve_dhcp(dhcp);
        net.advertise_router();
        let mut vm = Vm::start(boxes::machine(image).firmware(boxes::kernel(image, boxes::STATE_IN_RAM)), lab).await?;
        // They come in any order.
        let wanted = [format!("{}{ADDRESS} ", words::ADDRESS), format!("{}{PREFIX6}", words::ADDRESS)];
        let (first, _) = vm.console().wait_for_any(&wanted.each_ref().map(String::as_str), boxes::DEADLINE).await?;
        vm.console().wait_for(&wanted[1 - first], boxes::DEADLINE).await?;
        let mac = vm.mac(0);
        ensure!(net.leases().iter().any(|lease| !lease.offered && Some(lease.hardware_address) == mac), "it took no lease");
        Ok(())
    });
}
