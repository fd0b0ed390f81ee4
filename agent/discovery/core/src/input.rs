//! What comes in and what goes out.

use core::net::{IpAddr, SocketAddr};

use alloc::vec::Vec;
use shoal_trust::{
    beacon::{Beacon, Standing, UnverifiedBeacon},
    key::NodeKey,
};

use crate::{label::Label, link::Link, link::LinkIndex};

/// What has happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// Nothing but time: [`crate::Discovery::deadline`] has come.
    Time,
    /// The physical links that are up, all of them, with their addresses. Given again whenever there was a change, also if it looks the same now: a link
    /// that was down for a moment has been forgotten by the switch.
    Links(Vec<Link>),
    /// What this node says of itself from now on.
    Standing(Standing),
    /// Whether peers are needed that there are no sessions with. True at first.
    Need(bool),
    /// A beacon has come.
    Heard {
        /// As it came.
        beacon: UnverifiedBeacon,
        /// Where.
        link: LinkIndex,
        /// Which host has sent the packet, if that is known.
        from: Option<IpAddr>,
    },
    /// A peer has told, in a session where it has proven to be of the fleet, where another one is.
    Exchanged {
        /// The other one's key, as the peer says.
        node: NodeKey,
        /// Its addresses.
        addresses: Vec<SocketAddr>,
    },
    /// The search domain has told addresses.
    Answered(Vec<SocketAddr>),
    /// There is a session with a node at this address, which has proven to be of the fleet.
    Connected {
        /// Its key.
        node: NodeKey,
        /// Where it is.
        address: SocketAddr,
    },
    /// There is no session with a node any more: it has ended, or its heartbeats have failed.
    Closed(NodeKey),
    /// A session could not be opened at this address, or whoever is there is not of the fleet.
    Failed(SocketAddr),
    /// A service is announced.
    Announced(Label),
    /// Somebody else uses a label.
    Conflict(Label),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Announce these services and no others, anew: leave and join the multicast groups, so that switches learn where this node is. Those that were there
    /// before are forgotten.
    Announce(Vec<Announcement>),
    /// Ask who is there.
    Query,
    /// Send these as datagrams to all on their links.
    Broadcast(Vec<Shout>),
    /// Ask the DNS server for the service in the search domain.
    AskDomain,
    /// Open a session here. [`Input::Connected`] or [`Input::Failed`] must follow.
    Connect(SocketAddr),
}

/// A service to announce on one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The link.
    pub link: LinkIndex,
    /// What service and host are called.
    pub label: Label,
    /// Whether to ask first if somebody has the same.
    pub probe: bool,
    /// What to say.
    pub beacon: Beacon,
}

/// A datagram to send on one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shout {
    /// The link.
    pub link: LinkIndex,
    /// What to say.
    pub beacon: Beacon,
}
