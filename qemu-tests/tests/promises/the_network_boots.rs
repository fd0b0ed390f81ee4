//! A box without a disk boots the live image over the network: one file by UEFI HTTP boot, or kernel and initrd by iPXE.
//!
//! The network has a DHCP, a TFTP and an HTTP server and leads nowhere else.

use std::net::Ipv4Addr;

use anyhow::Result;
use qemu_tests::boxes::{self, State, boots};
use qemu_tests::{hold, images};
use shoal_contract::Arch;
use shoal_lab::net::Files;
use shoal_lab::net::dhcp::{BootClient, BootRule, DhcpConfig};
use shoal_lab::{Firmware, Lab, Net, NetConfig, NetworkBoot};

/// HTTP's own.
const HTTP_PORT: u16 = 80;
/// MiB. UEFI holds the file it fetched beside the kernel and the initrd that it unpacks from it.
const MEMORY: u32 = 3072;

/// A network that answers `client` with the boot file `file`; `{server}` in it stands for the server's address.
async fn network(lab: &Lab, client: BootClient, file: &str) -> Result<Net> {
    let net = Net::attach(&lab.network(boxes::NOWHERE)?, NetConfig::default()).await?;
    let mut dhcp = DhcpConfig::new(Ipv4Addr::new(10, 77, 0, 100)..=Ipv4Addr::new(10, 77, 0, 199), 24);
    let file = file.replace("{server}", &net.address().to_string());
    dhcp.boot = vec![BootRule { client, architecture: None, file }];
    net.serve_dhcp(dhcp);
    Ok(net)
}

#[test]
fn x86_64_uefi_by_http() {
    hold("uefi_http", async |lab| {
        let image = images::image(Arch::Amd64)?;
        let net = network(lab, BootClient::Http, "http://{server}/shoal.efi").await?;
        let files = Files::new();
        files.put_file("shoal.efi", &image.uki);
        let _http = net.serve_http(HTTP_PORT, files)?;
        boots(lab, image, boxes::machine(image).memory(MEMORY).network_boot(NetworkBoot::Http), State::InRam).await.map(drop)
    });
}

#[test]
fn x86_64_bios_by_ipxe() {
    hold("ipxe", async |lab| {
        let image = images::image(Arch::Amd64)?;
        let net = network(lab, BootClient::Ipxe, "boot.ipxe").await?;
        let script = format!(
            "#!ipxe\nkernel http://{0}/vmlinuz initrd=initrd {1}\ninitrd --name initrd http://{0}/initrd\nboot\n",
            net.address(),
            image.command_line
        );
        let files = Files::new();
        files.put("boot.ipxe", script.into_bytes());
        files.put_file("vmlinuz", &image.kernel);
        files.put_file("initrd", &image.initrd);
        let _tftp = net.serve_tftp(files.clone())?;
        let _http = net.serve_http(HTTP_PORT, files)?;
        let machine = boxes::machine(image).memory(MEMORY).firmware(Firmware::Bios).network_boot(NetworkBoot::Pxe);
        boots(lab, image, machine, State::InRam).await.map(drop)
    });
}
