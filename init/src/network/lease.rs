//! Keeping a DHCPv4 lease on one link.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures_util::TryStreamExt;
use mozim::{DhcpV4Client, DhcpV4Config, DhcpV4Lease, DhcpV4State};
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::address::{AddressAttribute, CacheInfo};
use shoal_init_core::dhcp::{Configuration, Offer, configuration, metric, retry_seconds};
use tokio::sync::watch;

use super::{NetworkEvent, Shared};

/// Attempts without an answer after which the console is told; at the pauses of the core this is about a quarter of a minute.
const TELL_AFTER_FAILURES: u32 = 4;
/// How long one attempt may take before the client is made anew, in seconds. Its own retries lie within.
const ATTEMPT_SECONDS: u32 = 30;

/// The link a lease is for.
pub(super) struct LinkIdentity {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) hardware_address: Vec<u8>,
}

/// Asks for a lease and renews it, for as long as the task lives.
pub(super) async fn keep(shared: Shared, link: LinkIdentity, last: watch::Sender<Option<DhcpV4Lease>>) {
    let mut failures = 0;
    loop {
        let known = last.borrow().clone();
        let Err(error) = attempt(&shared, &link, known, &last, &mut failures).await;
        // A lease that could not be confirmed is not asked for again.
        last.send_replace(None);
        failures += 1;
        if failures == TELL_AFTER_FAILURES {
            shared.tell(NetworkEvent::Trouble(format!("no DHCP server answers on {} ({error}); asking on", link.name))).await;
        }
        tokio::time::sleep(Duration::from_secs(retry_seconds(failures - 1))).await;
    }
}

/// Runs one client until it fails.
async fn attempt(
    shared: &Shared,
    link: &LinkIdentity,
    known: Option<DhcpV4Lease>,
    last: &watch::Sender<Option<DhcpV4Lease>>,
    failures: &mut u32,
) -> Result<std::convert::Infallible, String> {
    let mut config = DhcpV4Config::new(&link.name);
    config.set_iface_index(link.index);
    config.set_iface_mac_raw(&link.hardware_address).map_err(|error| error.to_string())?;
    config.set_host_name(&shared.settings.hostname);
    config.use_mac_as_client_id();
    config.set_timeout_sec(ATTEMPT_SECONDS);
    let mut client = DhcpV4Client::init(config, known).await.map_err(|error| error.to_string())?;
    let mut told: Option<Ipv4Addr> = None;
    loop {
        let DhcpV4State::Done(lease) = client.run().await.map_err(|error| error.to_string())? else { continue };
        *failures = 0;
        let wanted = configuration(&offer(&lease));
        if let Err(error) = apply(shared, link, &wanted).await {
            shared.tell(NetworkEvent::Trouble(format!("cannot set {} on {}: {error}", wanted.address, link.name))).await;
        }
        if let Err(error) = shared.name_servers(link.index, Some(wanted.clone())) {
            shared.tell(NetworkEvent::Trouble(format!("cannot list the name servers: {error}"))).await;
        }
        last.send_replace(Some(*lease));
        if told.replace(wanted.address) != Some(wanted.address) {
            let gateway = wanted.gateway.map(IpAddr::V4);
            shared.tell(NetworkEvent::Address { link: link.name.clone(), address: wanted.address.into(), gateway }).await;
        }
    }
}

/// A lease in the core's words.
fn offer(lease: &DhcpV4Lease) -> Offer {
    let classless = lease.classless_routes.as_ref();
    let mut search = lease.domain_search.clone().unwrap_or_default();
    search.extend(lease.domain_name.clone());
    Offer {
        address: lease.yiaddr,
        mask: lease.subnet_mask,
        routers: lease.gateways.clone().unwrap_or_default(),
        classless: classless.map(|routes| routes.iter().map(|route| (route.destination, route.prefix_length, route.router)).collect()),
        name_servers: lease.dns_srvs.clone().unwrap_or_default(),
        search,
        lifetime_seconds: lease.lease_time_sec,
    }
}

/// Sets the address and routes, and takes away other IPv4 addresses that a lease has given the link before.
async fn apply(shared: &Shared, link: &LinkIdentity, wanted: &Configuration) -> Result<(), rtnetlink::Error> {
    let mut addresses = shared.netlink.address().get().set_link_index_filter(link.index).execute();
    let mut old = Vec::new();
    while let Some(message) = addresses.try_next().await? {
        let local = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
            _ => None,
        });
        // Only those with a lifetime are a lease's; others were set by somebody else.
        let leased =
            message.attributes.iter().any(|attribute| matches!(attribute, AddressAttribute::CacheInfo(info) if info.ifa_valid != u32::MAX));
        if leased && local.is_some_and(|address| address != wanted.address) {
            old.push(message);
        }
    }
    let mut request = shared.netlink.address().add(link.index, wanted.address.into(), wanted.prefix).replace();
    let mut lifetime = CacheInfo::default();
    lifetime.ifa_valid = wanted.lifetime_seconds;
    lifetime.ifa_preferred = wanted.lifetime_seconds;
    request.message_mut().attributes.push(AddressAttribute::CacheInfo(lifetime));
    request.execute().await?;
    for message in old {
        shared.netlink.address().del(message).execute().await?;
    }
    for route in &wanted.routes {
        let mut builder = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(route.destination, route.prefix)
            .output_interface(link.index)
            // With the address, the kernel takes away the routes that prefer it.
            .pref_source(wanted.address)
            .priority(metric(link.index));
        builder = match route.router {
            Some(router) => builder.gateway(router),
            None => builder.scope(rtnetlink::packet_route::route::RouteScope::Link),
        };
        shared.netlink.route().add(builder.build()).replace().execute().await?;
    }
    Ok(())
}
