//! What a DHCPv4 lease (RFC 2131) means for a link, and how long to wait after a failure.

use std::net::Ipv4Addr;

/// First pause after a failed attempt, in seconds; it doubles up to [`RETRY_MAXIMUM_SECONDS`].
const RETRY_FIRST_SECONDS: u64 = 1;
/// Longest pause between attempts, in seconds. A server that comes back is found within it, and one broadcast a minute harms no network.
const RETRY_MAXIMUM_SECONDS: u64 = 60;
/// Prefix length for a lease without a usable mask: only the address itself is known to be on the link.
const HOST_PREFIX: u8 = 32;
/// Route metric of the first link; later ones get higher ones, so that two links with default routes do not fight.
const METRIC_BASE: u32 = 100;

/// What a server offered, as plain values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The address.
    pub address: Ipv4Addr,
    /// Subnet mask (option 1).
    pub mask: Ipv4Addr,
    /// Routers (option 3), most preferred first.
    pub routers: Vec<Ipv4Addr>,
    /// Classless static routes (option 121, RFC 3442) as destination, prefix length and router; None when the option is absent.
    pub classless: Option<Vec<(Ipv4Addr, u8, Ipv4Addr)>>,
    /// Name servers (option 6).
    pub name_servers: Vec<Ipv4Addr>,
    /// Domains to search (options 119 and 15).
    pub search: Vec<String>,
    /// Lease time in seconds.
    pub lifetime_seconds: u32,
}

/// A route to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Destination network; 0.0.0.0/0 is the default route.
    pub destination: Ipv4Addr,
    /// Its prefix length.
    pub prefix: u8,
    /// Router; None if the destination is on the link itself.
    pub router: Option<Ipv4Addr>,
}

/// What to set on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// The address.
    pub address: Ipv4Addr,
    /// Its prefix length.
    pub prefix: u8,
    /// How long the kernel may keep the address without renewal, in seconds.
    pub lifetime_seconds: u32,
    /// Routes, those to routers before those through them.
    pub routes: Vec<Route>,
    /// The default router, for people to read.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers.
    pub name_servers: Vec<Ipv4Addr>,
    /// Domains to search.
    pub search: Vec<String>,
}

/// Turns an offer into what to set. Options 3 and 121 follow RFC 3442: where 121 is present, 3 is ignored.
#[must_use]
pub fn configuration(offer: &Offer) -> Configuration {
    let mask = u32::from(offer.mask);
    let ones = mask.leading_ones() as u8;
    // A mask with holes is a broken server; a /0 would put the whole internet on the link.
    let prefix = if mask.count_ones() == u32::from(ones) && ones > 0 { ones } else { HOST_PREFIX };
    let wanted: Vec<(Ipv4Addr, u8, Ipv4Addr)> = match &offer.classless {
        Some(routes) => routes.iter().filter(|(_, prefix, _)| *prefix <= 32).copied().collect(),
        None => offer.routers.first().map(|router| (Ipv4Addr::UNSPECIFIED, 0, *router)).into_iter().collect(),
    };
    let mut on_link = Vec::new();
    let mut through = Vec::new();
    for (destination, length, router) in wanted {
        let destination = network(destination, length);
        if router.is_unspecified() {
            on_link.push(Route { destination, prefix: length, router: None });
            continue;
        }
        // Clouds hand out /32 addresses with a router outside the subnet: it must be made reachable first.
        let reachable = network(router, prefix) == network(offer.address, prefix);
        let way = Route { destination: router, prefix: HOST_PREFIX, router: None };
        if !reachable && !on_link.contains(&way) {
            on_link.push(way);
        }
        through.push(Route { destination, prefix: length, router: Some(router) });
    }
    let gateway = through.iter().find(|route| route.prefix == 0).and_then(|route| route.router);
    on_link.extend(through);
    Configuration {
        address: offer.address,
        prefix,
        lifetime_seconds: offer.lifetime_seconds,
        routes: on_link,
        gateway,
        name_servers: offer.name_servers.clone(),
        search: offer.search.clone(),
    }
}

/// Pause before attempt `failures + 1`, in seconds.
#[must_use]
pub const fn retry_seconds(failures: u32) -> u64 {
    let shift = if failures > 6 { 6 } else { failures };
    let pause = RETRY_FIRST_SECONDS << shift;
    if pause > RETRY_MAXIMUM_SECONDS { RETRY_MAXIMUM_SECONDS } else { pause }
}

/// Metric of the routes through the link with this kernel index.
#[must_use]
pub const fn metric(link_index: u32) -> u32 {
    METRIC_BASE.saturating_add(link_index)
}

/// Text of resolv.conf(5) for the name servers of all links, each server once, at most the three that resolvers read.
#[must_use]
pub fn resolv_conf<'a>(links: impl Iterator<Item = &'a Configuration> + Clone) -> String {
    const SERVERS_READ: usize = 3;
    let mut servers: Vec<Ipv4Addr> = Vec::new();
    let mut domains: Vec<&str> = Vec::new();
    for link in links {
        servers.extend(&link.name_servers);
        domains.extend(link.search.iter().map(String::as_str).filter(|domain| is_domain(domain)));
    }
    let mut text = String::new();
    let mut seen = Vec::new();
    for server in servers {
        if !seen.contains(&server) && seen.len() < SERVERS_READ {
            text.push_str(&format!("nameserver {server}\n"));
            seen.push(server);
        }
    }
    domains.dedup();
    if !domains.is_empty() {
        text.push_str(&format!("search {}\n", domains.join(" ")));
    }
    text
}

/// Whether `text` is safe to write into resolv.conf: a server's string must not become another line.
fn is_domain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// The network part of `address`.
fn network(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
    Ipv4Addr::from(u32::from(address) & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> Offer {
        Offer {
            address: [10, 0, 2, 15].into(),
            mask: [255, 255, 255, 0].into(),
            routers: vec![[10, 0, 2, 2].into(), [10, 0, 2, 3].into()],
            classless: None,
            name_servers: vec![[10, 0, 2, 3].into()],
            search: vec!["example.org".into()],
            lifetime_seconds: 86400,
        }
    }

    #[test]
    fn the_first_router_becomes_the_default_route() {
        let configuration = configuration(&offer());
        assert_eq!(configuration.prefix, 24);
        assert_eq!(configuration.routes, [Route { destination: [0, 0, 0, 0].into(), prefix: 0, router: Some([10, 0, 2, 2].into()) }]);
        assert_eq!(configuration.gateway, Some([10, 0, 2, 2].into()));
    }

    #[test]
    fn classless_routes_replace_routers_even_when_empty() {
        let with = Offer { classless: Some(vec![([192, 168, 7, 9].into(), 24, [10, 0, 2, 9].into())]), ..offer() };
        let routes = configuration(&with).routes;
        assert_eq!(routes, [Route { destination: [192, 168, 7, 0].into(), prefix: 24, router: Some([10, 0, 2, 9].into()) }]);
        assert!(configuration(&Offer { classless: Some(vec![]), ..offer() }).routes.is_empty());
    }

    #[test]
    fn a_router_outside_the_subnet_is_made_reachable_first() {
        let routes = configuration(&Offer { mask: [255, 255, 255, 255].into(), ..offer() }).routes;
        assert_eq!(routes[0], Route { destination: [10, 0, 2, 2].into(), prefix: 32, router: None });
        assert_eq!(routes[1].prefix, 0);
    }

    #[test]
    fn a_broken_mask_never_puts_more_than_the_address_on_the_link() {
        for mask in [[0, 0, 0, 0], [255, 0, 255, 0]] {
            assert_eq!(configuration(&Offer { mask: mask.into(), ..offer() }).prefix, HOST_PREFIX);
        }
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        assert_eq!((0..9).map(retry_seconds).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_server_cannot_smuggle_lines_into_resolv_conf() {
        let evil = configuration(&Offer { search: vec!["x\nnameserver 6.6.6.6".into(), "good.example".into()], ..offer() });
        assert_eq!(resolv_conf([evil.clone(), evil].iter()), "nameserver 10.0.2.3\nsearch good.example\n");
    }
}
