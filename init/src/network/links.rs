//! Which links there are, and which have a carrier: does what [`shoal_init_core::link`] decides.

use std::collections::{BTreeMap, BTreeSet};
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
use shoal_init_core::link::{Effect, Link, Links, Sighting};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{NetworkEvent, Shared, lease};

/// What is kept of a link of ours.
#[derive(Debug, Default)]
struct Ours {
    hardware_address: Vec<u8>,
    /// The task that keeps its lease while it has a carrier.
    task: Option<JoinHandle<()>>,
    /// The last lease, which outlives the task.
    lease: watch::Sender<Option<DhcpV4Lease>>,
    /// Addresses from advertisements that were told of: each advertisement renews them, and is no news.
    advertised: BTreeSet<IpAddr>,
}

/// Does what [`Links`] decides.
struct Follower {
    shared: Shared,
    links: Links,
    ours: BTreeMap<u32, Ours>,
}

/// Follows the links of the box for ever.
pub(super) async fn follow(
    shared: Shared,
    mut messages: impl futures_util::Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)> + Unpin,
) {
    let mut follower = Follower { shared: shared.clone(), links: Links::default(), ours: BTreeMap::new() };
    let mut present = shared.netlink.link().get().execute();
    loop {
        match present.try_next().await {
            Ok(Some(message)) => follower.seen(&message).await,
            Ok(None) => break,
            Err(error) => {
                shared.tell(NetworkEvent::Trouble(format!("cannot list the network links: {error}"))).await;
                break;
            }
        }
    }
    shared.tell(NetworkEvent::Listed).await;
    while let Some((message, _)) = messages.next().await {
        match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(message)) => follower.seen(&message).await,
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(message)) => follower.gone(message.header.index).await,
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) => follower.address(&message).await,
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(message)) => follower.address_gone(&message),
            _ => {}
        }
    }
    shared.tell(NetworkEvent::Trouble("the kernel tells no more about network links; reboot to get them back".into())).await;
}

impl Follower {
    /// A link has appeared or changed.
    async fn seen(&mut self, message: &LinkMessage) {
        let sighting = described(message);
        if message.header.flags.contains(LinkFlags::Loopback) && !sighting.up {
            bring_up(&self.shared, sighting.index, &sighting.link.name).await;
        }
        let hardware_address =
            attribute(message, |attribute| if let LinkAttribute::Address(bytes) = attribute { Some(bytes.clone()) } else { None });
        for effect in self.links.seen(&sighting) {
            self.act(effect, hardware_address.as_deref()).await;
        }
    }

    /// A link is gone.
    async fn gone(&mut self, index: u32) {
        for effect in self.links.gone(index) {
            self.act(effect, None).await;
        }
    }

    async fn act(&mut self, effect: Effect, hardware_address: Option<&[u8]>) {
        match effect {
            Effect::Take { index, name } => {
                self.ours.insert(index, Ours { hardware_address: hardware_address.unwrap_or_default().to_vec(), ..Ours::default() });
                self.shared.tell(NetworkEvent::Found { link: name.clone() }).await;
                prepare(&self.shared, index, &name).await;
            }
            Effect::Carrier { index, name, carrier } => {
                let Some(ours) = self.ours.get_mut(&index) else { return };
                if let Some(task) = ours.task.take() {
                    task.abort();
                }
                if !carrier {
                    ours.advertised.clear();
                }
                if carrier && self.shared.settings.dhcp4 {
                    let link = lease::LinkIdentity { index, name: name.clone(), hardware_address: ours.hardware_address.clone() };
                    ours.task = Some(tokio::spawn(lease::keep(self.shared.clone(), link, ours.lease.clone())));
                }
                self.shared.tell(NetworkEvent::Carrier { link: name, carrier }).await;
            }
            Effect::Drop { index, name } => {
                if let Some(task) = self.ours.remove(&index).and_then(|ours| ours.task) {
                    task.abort();
                }
                if let Err(error) = self.shared.name_servers(index, None) {
                    self.shared.tell(NetworkEvent::Trouble(format!("cannot list the name servers: {error}"))).await;
                }
                self.shared.tell(NetworkEvent::Gone { link: name }).await;
            }
        }
    }

    /// An IPv6 address of the whole network has been made from an advertisement, or is renewed by one.
    async fn address(&mut self, message: &AddressMessage) {
        let (Some(address), Some(ours)) = (advertised(message), self.ours.get_mut(&message.header.index)) else { return };
        let is_new = ours.advertised.insert(address);
        if let (true, Some(name)) = (is_new, self.links.name(message.header.index)) {
            self.shared.tell(NetworkEvent::Address { link: name.to_owned(), address, gateway: None }).await;
        }
    }

    fn address_gone(&mut self, message: &AddressMessage) {
        if let (Some(address), Some(ours)) = (advertised(message), self.ours.get_mut(&message.header.index)) {
            ours.advertised.remove(&address);
        }
    }
}

/// The address, if it is an IPv6 one of the whole network.
fn advertised(message: &AddressMessage) -> Option<IpAddr> {
    let found = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address @ IpAddr::V6(_)) => Some(*address),
        _ => None,
    });
    found.filter(|_| message.header.scope == AddressScope::Universe)
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

/// A link as netlink and sysfs show it.
fn described(message: &LinkMessage) -> Sighting {
    let name = attribute(message, |attribute| if let LinkAttribute::IfName(name) = attribute { Some(name.clone()) } else { None })
        .unwrap_or_default();
    let folder = Path::new("/sys/class/net").join(&name);
    let link = Link {
        ethernet: message.header.link_layer_type == LinkLayerType::Ether,
        hardware: folder.join("device").exists(),
        wireless: folder.join("phy80211").exists(),
        enslaved: attribute(message, |attribute| matches!(attribute, LinkAttribute::Controller(_)).then_some(())).is_some(),
        name,
    };
    let flags = message.header.flags;
    Sighting { index: message.header.index, link, up: flags.contains(LinkFlags::Up), carrier: flags.contains(LinkFlags::LowerUp) }
}

fn attribute<T>(message: &LinkMessage, of: impl FnMut(&LinkAttribute) -> Option<T>) -> Option<T> {
    message.attributes.iter().find_map(of)
}
