//! Which links there are, and which have a carrier.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::path::Path;

use futures_util::{StreamExt, TryStreamExt};
use mozim::DhcpV4Lease;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use rtnetlink::sys::SocketAddr;
use rtnetlink::{LinkMessageBuilder, LinkUnspec};
use shoal_init_core::link::Link;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{NetworkEvent, Shared, lease};

/// A link of ours.
struct Ours {
    name: String,
    hardware_address: Vec<u8>,
    /// The task that keeps its lease while it has a carrier.
    task: Option<JoinHandle<()>>,
    /// The last lease, which outlives the task.
    lease: watch::Sender<Option<DhcpV4Lease>>,
    carrier: bool,
}

/// Follows the links of the box for ever.
pub(super) async fn follow(
    shared: Shared,
    mut messages: impl futures_util::Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)> + Unpin,
) {
    let mut links: BTreeMap<u32, Ours> = BTreeMap::new();
    let mut present = shared.netlink.link().get().execute();
    loop {
        match present.try_next().await {
            Ok(Some(message)) => seen(&shared, &mut links, &message).await,
            Ok(None) => break,
            Err(error) => {
                shared.tell(NetworkEvent::Trouble(format!("cannot list the network links: {error}"))).await;
                break;
            }
        }
    }
    while let Some((message, _)) = messages.next().await {
        match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(message)) => seen(&shared, &mut links, &message).await,
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(message)) => gone(&shared, &mut links, message.header.index).await,
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) => address(&shared, &links, &message).await,
            _ => {}
        }
    }
    shared.tell(NetworkEvent::Trouble("the kernel tells no more about network links; reboot to get them back".into())).await;
}

/// A link has appeared or changed.
async fn seen(shared: &Shared, links: &mut BTreeMap<u32, Ours>, message: &LinkMessage) {
    let index = message.header.index;
    let link = described(message);
    if message.header.flags.contains(LinkFlags::Loopback) && !message.header.flags.contains(LinkFlags::Up) {
        bring_up(shared, index, &link.name).await;
    }
    if !link.is_ours() {
        // It may have been taken into a bridge or a bond.
        gone(shared, links, index).await;
        return;
    }
    if let Entry::Vacant(vacant) = links.entry(index) {
        prepare(shared, index, &link.name).await;
        let hardware_address =
            attribute(message, |attribute| if let LinkAttribute::Address(bytes) = attribute { Some(bytes.clone()) } else { None });
        let ours = Ours {
            name: link.name.clone(),
            hardware_address: hardware_address.unwrap_or_default(),
            task: None,
            lease: watch::Sender::new(None),
            carrier: false,
        };
        vacant.insert(ours);
    }
    let Some(ours) = links.get_mut(&index) else { return };
    let carrier = message.header.flags.contains(LinkFlags::LowerUp);
    if carrier == ours.carrier {
        return;
    }
    ours.carrier = carrier;
    if let Some(task) = ours.task.take() {
        task.abort();
    }
    if carrier && shared.settings.dhcp4 {
        let link = lease::LinkIdentity { index, name: ours.name.clone(), hardware_address: ours.hardware_address.clone() };
        ours.task = Some(tokio::spawn(lease::keep(shared.clone(), link, ours.lease.clone())));
    }
    shared.tell(NetworkEvent::Link { name: ours.name.clone(), up: carrier }).await;
}

/// A link is gone, or is not ours any more.
async fn gone(shared: &Shared, links: &mut BTreeMap<u32, Ours>, index: u32) {
    let Some(ours) = links.remove(&index) else { return };
    if let Some(task) = ours.task {
        task.abort();
    }
    if let Err(error) = shared.name_servers(index, None) {
        shared.tell(NetworkEvent::Trouble(format!("cannot list the name servers: {error}"))).await;
    }
    shared.tell(NetworkEvent::Link { name: ours.name, up: false }).await;
}

/// Sets what must be set before a link comes up, then brings it up.
async fn prepare(shared: &Shared, index: u32, name: &str) {
    // 2: also while the box forwards packets for its pods (Documentation/networking/ip-sysctl.rst).
    let accept = if shared.settings.ipv6_ra { "2" } else { "0" };
    if let Err(error) = std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/accept_ra"), accept) {
        shared.tell(NetworkEvent::Trouble(format!("{name} takes no IPv6 router advertisements: {error}"))).await;
    }
    bring_up(shared, index, name).await;
}

async fn bring_up(shared: &Shared, index: u32, name: &str) {
    let up = LinkMessageBuilder::<LinkUnspec>::new().index(index).up().build();
    if let Err(error) = shared.netlink.link().set(up).execute().await {
        shared.tell(NetworkEvent::Trouble(format!("cannot bring {name} up: {error}"))).await;
    }
}

/// An IPv6 address of the whole network has been made from an advertisement.
async fn address(shared: &Shared, links: &BTreeMap<u32, Ours>, message: &AddressMessage) {
    let Some(ours) = links.get(&message.header.index) else { return };
    let found = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address @ IpAddr::V6(_)) => Some(*address),
        _ => None,
    });
    if let (AddressScope::Universe, Some(address)) = (message.header.scope, found) {
        shared.tell(NetworkEvent::Address { link: ours.name.clone(), address, gateway: None }).await;
    }
}

/// A link as netlink and sysfs show it.
fn described(message: &LinkMessage) -> Link {
    let name = attribute(message, |attribute| if let LinkAttribute::IfName(name) = attribute { Some(name.clone()) } else { None })
        .unwrap_or_default();
    let folder = Path::new("/sys/class/net").join(&name);
    Link {
        ethernet: message.header.link_layer_type == LinkLayerType::Ether,
        hardware: folder.join("device").exists(),
        wireless: folder.join("phy80211").exists(),
        enslaved: attribute(message, |attribute| matches!(attribute, LinkAttribute::Controller(_)).then_some(())).is_some(),
        name,
    }
}

fn attribute<T>(message: &LinkMessage, of: impl FnMut(&LinkAttribute) -> Option<T>) -> Option<T> {
    message.attributes.iter().find_map(of)
}
