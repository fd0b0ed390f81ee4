//! Routes to the pods of other nodes: each node's part of the pods' range by that node's address. The kernel's table is the only record: what is in it
//! with this agent's mark and is not wanted is taken out, also what an earlier agent has put there.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::Context;
use futures_util::TryStreamExt;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol};
use rtnetlink::{Handle, RouteMessageBuilder};
use shoal_plane::ranges::Range;

/// Whose routes they are (`rtm_protocol`, rtnetlink(7)): a number that no routing daemon is known by.
const PROTOCOL: RouteProtocol = RouteProtocol::Other(83);

/// By which neighbour each range is reached.
pub(crate) type Routes = BTreeMap<Range, Ipv4Addr>;

/// Makes the kernel's table what is wanted. `refused` are the routes that the kernel has refused before, which is told once.
///
/// # Errors
/// If the kernel does not list its routes. One that it refuses (the neighbour is on no link of this node) is logged, and tried again the next time.
pub(crate) async fn ensure(wanted: &Routes, refused: &mut Routes) -> anyhow::Result<()> {
    let (connection, handle, _) = rtnetlink::new_connection().context("no netlink")?;
    let connection = tokio::spawn(connection);
    let ensured = apply(&handle, wanted, refused).await;
    connection.abort();
    ensured.context("cannot set the routes to other nodes' pods")
}

async fn apply(handle: &Handle, wanted: &Routes, refused: &mut Routes) -> Result<(), rtnetlink::Error> {
    let mut there = handle.route().get(RouteMessageBuilder::<Ipv4Addr>::new().build()).execute();
    let (mut known, mut surplus) = (Routes::new(), Vec::new());
    while let Some(message) = there.try_next().await? {
        match read(&message) {
            Some((range, by)) if wanted.get(&range) == Some(&by) => drop(known.insert(range, by)),
            Some((range, _)) if !wanted.contains_key(&range) => surplus.push(message),
            _ => {}
        }
    }
    for message in surplus {
        handle.route().del(message).execute().await?;
    }
    refused.retain(|range, by| wanted.get(range) == Some(by));
    for (range, by) in wanted.iter().filter(|(range, _)| !known.contains_key(range)) {
        let route =
            RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(range.first(), range.prefix()).gateway(*by).protocol(PROTOCOL);
        match handle.route().add(route.build()).replace().execute().await {
            Ok(()) => {
                refused.remove(range);
                tracing::info!("pods in {range} are reached by {by}");
            }
            Err(error) => {
                if refused.insert(*range, *by) != Some(*by) {
                    tracing::warn!("pods in {range} are not reached by {by}, which is tried again: {error}");
                }
            }
        }
    }
    Ok(())
}

/// A route of this agent's.
fn read(message: &RouteMessage) -> Option<(Range, Ipv4Addr)> {
    let is_ours = message.header.address_family == AddressFamily::Inet && message.header.protocol == PROTOCOL;
    let (mut first, mut by) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => first = Some(*address),
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => by = Some(*address),
            _ => {}
        }
    }
    is_ours.then_some((Range::of(first?, message.header.destination_prefix_length), by?))
}
