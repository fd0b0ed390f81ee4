//! Members talk to each other: the protocol, both ends of it, and what carries it.
//!
//! A connection is TCP, with TLS where certificates are given, and has a purpose ([`message::Lane`]), so that what is large never delays what
//! is urgent:
//!
//! | lane | carries | lives |
//! |---|---|---|
//! | control | heartbeats, votes, read indexes, leases, membership | as long as both members |
//! | proposals | proposals of clients of a follower | as long as both members |
//! | append | entries, pipelined and answered in order | as long as one leads the other |
//! | snapshot | one snapshot | until it is installed |
//! | introduction | who belongs to the cluster, for one that is about to join | for one answer |
//!
//! It begins with a [`message::Hello`] that names the cluster and both members. A member that is not the one meant, or of another cluster, hangs
//! up before raft hears anything. After that come frames: a length of four bytes, and a message in protocol buffers.

pub(crate) mod append;
pub(crate) mod frame;
pub(crate) mod link;
pub(crate) mod message;
pub(crate) mod server;

pub(crate) mod transfer;
pub mod transport;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use shoal_formation::NodeId;

use crate::{formation::Formed, replica::Identity};
use frame::{FrameError, Frames, Guard};
use link::Link;
use message::{Hello, Lane, Refusal, Welcome};
use transport::Transport;

/// How long connecting and introducing may take: a few round trips on any network that a cluster can work on.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a peer could not be talked to.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("no address of member {0:x} is known")]
    NoAddress(u64),
    #[error("cannot reach member {member:x} at {urls}")]
    Unreachable { member: u64, urls: String, source: Arc<io::Error> },
    #[error("member {member:x} refuses to talk: {refusal}")]
    Refused { member: u64, refusal: Refusal },
    #[error("the connection to member {member:x} broke")]
    Broken { member: u64, source: Arc<FrameError> },
    #[error("member {0:x} did not answer in time")]
    Timeout(u64),
}

/// Everything one member needs to reach the others.
#[derive(Debug)]
pub(crate) struct Peers {
    identity: Identity,
    /// If this is a cluster that forms itself.
    formed: Option<Formed>,
    transport: Arc<dyn Transport>,
    addresses: RwLock<Addresses>,
    links: Mutex<BTreeMap<(u64, Lane), Arc<Link>>>,
    traffic: Mutex<BTreeMap<u64, Arc<Traffic>>>,
    snapshots_sent: AtomicU64,
    /// Told of the first refusal that says that this member was removed.
    removed: tokio::sync::watch::Sender<bool>,
}

/// Where members are.
#[derive(Debug, Default)]
struct Addresses {
    /// As the membership says.
    members: BTreeMap<u64, Vec<String>>,
    /// As somebody knows better: addresses found otherwise, which change more often than the membership.
    found: BTreeMap<u64, Vec<String>>,
}

/// Bytes exchanged with one peer.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
}

impl Traffic {
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Peers {
    pub(crate) fn new(identity: Identity, formed: Option<Formed>, transport: Arc<dyn Transport>) -> Arc<Self> {
        Arc::new(Self {
            identity,
            formed,
            transport,
            addresses: RwLock::default(),
            links: Mutex::default(),
            traffic: Mutex::default(),
            snapshots_sent: AtomicU64::new(0),
            removed: tokio::sync::watch::Sender::new(false),
        })
    }

    /// Where the membership says the members are.
    pub(crate) fn set_members(&self, members: BTreeMap<u64, Vec<String>>) {
        let gone = |id: &u64| !members.contains_key(id);
        self.links.lock().expect("nobody panics while holding links").retain(|(id, _), _| !gone(id));
        self.addresses.write().expect("nobody panics while holding addresses").members = members;
    }

    /// Where a member was found, whatever the membership says; nowhere in particular if empty.
    pub(crate) fn set_found(&self, member: u64, urls: Vec<String>) {
        let mut addresses = self.addresses.write().expect("nobody panics while holding addresses");
        if urls.is_empty() {
            addresses.found.remove(&member);
        } else {
            addresses.found.insert(member, urls);
        }
    }

    /// The other members of which an address is known.
    pub(crate) fn known(&self) -> BTreeSet<u64> {
        let addresses = self.addresses.read().expect("nobody panics while holding addresses");
        let all = addresses.members.keys().chain(addresses.found.keys()).copied();
        all.filter(|&member| member != self.identity.member).collect()
    }

    fn urls(&self, member: u64) -> Vec<String> {
        let addresses = self.addresses.read().expect("nobody panics while holding addresses");
        let found = addresses.found.get(&member).into_iter().flatten();
        let mut urls: Vec<String> = found.cloned().collect();
        urls.extend(addresses.members.get(&member).into_iter().flatten().filter(|url| !urls.contains(url)).cloned().collect::<Vec<_>>());
        urls
    }

    pub(crate) fn traffic(&self, member: u64) -> Arc<Traffic> {
        self.traffic.lock().expect("nobody panics while counting").entry(member).or_default().clone()
    }

    /// Bytes sent to and received from each peer.
    pub(crate) fn all_traffic(&self) -> Vec<(u64, u64, u64)> {
        let traffic = self.traffic.lock().expect("nobody panics while counting");
        let of =
            |(&id, traffic): (&u64, &Arc<Traffic>)| (id, traffic.sent.load(Ordering::Relaxed), traffic.received.load(Ordering::Relaxed));
        traffic.iter().map(of).collect()
    }

    /// Snapshots that peers have installed.
    pub(crate) fn snapshots_sent(&self) -> u64 {
        self.snapshots_sent.load(Ordering::Relaxed)
    }

    /// Becomes true when a peer says that this member was removed.
    pub(crate) fn removed(&self) -> &tokio::sync::watch::Sender<bool> {
        &self.removed
    }

    /// A peer says that this member was removed.
    pub(crate) fn note_removed(&self) {
        self.removed.send_if_modified(|removed| !std::mem::replace(removed, true));
    }

    /// The link for one kind of requests to a member. It connects by itself when it is needed.
    pub(crate) fn link(self: &Arc<Self>, member: u64, lane: Lane) -> Arc<Link> {
        let mut links = self.links.lock().expect("nobody panics while holding links");
        links.entry((member, lane)).or_insert_with(|| Arc::new(Link::new(self, member, lane))).clone()
    }

    /// Whether raft hears a peer as a member. In a cluster that forms itself its core says so, and nobody is heard who has proven nothing.
    pub(crate) fn hears(&self, member: u64, peer: Option<shoal_formation::Peer>) -> bool {
        self.guard(member, peer).is_none_or(|Guard(hears)| hears())
    }

    /// What is asked before each message of a peer; nothing in other clusters.
    pub(crate) fn guard(&self, member: u64, peer: Option<shoal_formation::Peer>) -> Option<Guard> {
        let Formed { cluster, hears, .. } = self.formed.clone()?;
        Some(Guard(Arc::new(move || peer.is_some_and(|peer| hears(cluster, NodeId(member), peer)))))
    }

    /// A new connection to a member, introduced.
    pub(crate) async fn connect(&self, member: u64, lane: Lane) -> Result<Frames, PeerError> {
        let urls = self.urls(member);
        if urls.is_empty() {
            return Err(PeerError::NoAddress(member));
        }
        let traffic = self.traffic(member);
        let mut failure = PeerError::Timeout(member);
        for url in &urls {
            let second_half = self.formed.as_ref().map(|formed| formed.cluster.0 as u64);
            let hello = Hello { second_half, ..Hello::new(self.identity.cluster, self.identity.member, member, lane) };
            match tokio::time::timeout(CONNECT_TIMEOUT, self.introduce(member, url, &hello, traffic.clone())).await {
                Ok(Ok(frames)) => return Ok(frames),
                Ok(Err(error)) => {
                    if matches!(error, PeerError::Refused { refusal: Refusal::Removed, .. }) {
                        self.note_removed();
                    }
                    failure = error;
                }
                Err(_) => failure = PeerError::Timeout(member),
            }
        }
        Err(failure)
    }

    async fn introduce(&self, member: u64, url: &str, hello: &Hello, traffic: Arc<Traffic>) -> Result<Frames, PeerError> {
        let unreachable = |source| PeerError::Unreachable { member, urls: url.into(), source: Arc::new(source) };
        let broken = |source| PeerError::Broken { member, source: Arc::new(source) };
        let (stream, peer) = match self.formed {
            None => (self.transport.connect(url).await.map_err(unreachable)?, None),
            Some(_) => self.transport.connect_proven(url).await.map_err(unreachable)?,
        };
        if !self.hears(member, peer) {
            return Err(PeerError::Refused { member, refusal: Refusal::Identity });
        }
        let mut frames = Frames::new(stream, traffic);
        frames.guard_by(self.guard(member, peer));
        frames.send(hello).await.map_err(broken)?;
        let welcome: Welcome = frames.receive().await.and_then(|frame| frame.ok_or(FrameError::Ended)).map_err(broken)?;
        match welcome.refusal() {
            None => Ok(frames),
            Some(refusal) => Err(PeerError::Refused { member, refusal }),
        }
    }
}
