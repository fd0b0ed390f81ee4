//! The task that does what the core decides.

use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};

use futures_util::{Stream, StreamExt};
use mdns_sd::{DaemonEvent, ServiceEvent};
use shoal_discovery_core::{Announcement, Discovery, Effect, Identity, Input, KnownPeer, Link, LinkIndex, Now, Shout, Statistics, Timings};
use shoal_trust::{key::NodeKey, schedule::FleetKeys};
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    broadcast::{DATAGRAMS_MAX, Datagram, Sockets},
    links::{self, Links},
    mdns::{self, Mdns, QUIET_AFTER},
};

/// Addresses that wait to be tried: what the core gives out in three seconds.
const FOUND_MAX: usize = 64;

/// Requests of users that wait.
const REQUESTS_MAX: usize = 64;

/// Links that change send many messages; so long after the first one they are listed.
const RELIST_AFTER: Duration = Duration::from_millis(100);

/// When multicast DNS cannot be started, for want of a descriptor perhaps, it is tried again after so long.
const MDNS_RETRY: Duration = Duration::from_secs(5);

/// What discovery is started with.
#[derive(Debug)]
pub struct Settings {
    /// The fleet's keys.
    pub keys: FleetKeys,
    /// What this node says of itself.
    pub identity: Identity,
    /// How long to wait for what.
    pub timings: Timings,
    /// Random.
    pub seed: [u8; 32],
    /// Where peers may be when multicast does not help.
    pub seeds: Vec<SocketAddr>,
    /// Peers of earlier boots.
    pub known: Vec<KnownPeer>,
    /// Which links are used.
    pub links: Links,
    /// Where beacons are broadcast to: [`crate::BROADCAST_PORT`], which is the same on all nodes.
    pub broadcast_port: u16,
}

/// What is to be done by others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Open a session here. [`Input::Connected`] or [`Input::Failed`] must follow.
    Connect(SocketAddr),
    /// Ask the DNS server for the service in the search domain. [`Input::Answered`] may follow.
    AskDomain,
}

/// Why discovery cannot be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The kernel gives no netlink socket.
    #[error("cannot ask the kernel about network links")]
    Netlink(#[source] io::Error),
}

/// Discovery has ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("discovery has ended")]
pub struct Gone;

enum Request {
    Input(Box<Input>),
    Proven(oneshot::Sender<BTreeMap<NodeKey, Vec<SocketAddr>>>),
    Statistics(oneshot::Sender<(Statistics, usize)>),
}

/// Speaks with discovery. It ends when all handles are dropped.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    links: watch::Receiver<Vec<Link>>,
}

impl Handle {
    /// Tells what has happened.
    ///
    /// # Errors
    /// If discovery has ended.
    pub async fn tell(&self, input: Input) -> Result<(), Gone> {
        self.requests.send(Request::Input(Box::new(input))).await.map_err(|_| Gone)
    }

    /// Nodes that have proven to be of the fleet, and where.
    ///
    /// # Errors
    /// If discovery has ended.
    pub async fn proven(&self) -> Result<BTreeMap<NodeKey, Vec<SocketAddr>>, Gone> {
        self.ask(Request::Proven).await
    }

    /// What was counted, and how many peers there may be.
    ///
    /// # Errors
    /// If discovery has ended.
    pub async fn statistics(&self) -> Result<(Statistics, usize), Gone> {
        self.ask(Request::Statistics).await
    }

    /// The links that are used now: up, with a carrier; and their addresses. None at first, until the kernel has told.
    #[must_use]
    pub fn links(&self) -> watch::Receiver<Vec<Link>> {
        self.links.clone()
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }
}

/// Starts discovery on the current runtime.
///
/// # Errors
/// If the kernel gives no netlink socket.
pub fn start(settings: Settings) -> Result<(Handle, mpsc::Receiver<Found>), StartError> {
    let groups = [rtnetlink::MulticastGroup::Link, rtnetlink::MulticastGroup::Ipv4Ifaddr, rtnetlink::MulticastGroup::Ipv6Ifaddr];
    let (connection, netlink, messages) = rtnetlink::new_multicast_connection(&groups).map_err(StartError::Netlink)?;
    tokio::spawn(connection);
    let (requests, queue) = mpsc::channel(REQUESTS_MAX);
    let (found, finds) = mpsc::channel(FOUND_MAX);
    let Settings { keys, identity, timings, seed, seeds, known, links, broadcast_port } = settings;
    let began = Instant::now();
    let core = Discovery::new(Now::default(), keys, identity, timings, seed, seeds, known);
    let (datagrams, received) = mpsc::channel(DATAGRAMS_MAX);
    let (links_found, links_told) = watch::channel(Vec::new());
    let shell = Shell {
        began,
        core,
        links,
        links_found,
        netlink,
        found,
        broadcast_port,
        datagrams,
        names: BTreeMap::new(),
        sockets: BTreeMap::new(),
        mdns: None,
        announcements: Vec::new(),
        restart_at: None,
        quiet_at: None,
        relist_at: Some(began),
    };
    tokio::spawn(shell.run(queue, received, messages));
    Ok((Handle { requests, links: links_told }, finds))
}

struct Shell {
    began: Instant,
    core: Discovery,
    links: Links,
    links_found: watch::Sender<Vec<Link>>,
    netlink: rtnetlink::Handle,
    found: mpsc::Sender<Found>,
    broadcast_port: u16,
    datagrams: mpsc::Sender<Datagram>,
    names: BTreeMap<LinkIndex, String>,
    sockets: BTreeMap<LinkIndex, Sockets>,
    mdns: Option<Mdns>,
    announcements: Vec<Announcement>,
    restart_at: Option<Instant>,
    quiet_at: Option<Instant>,
    relist_at: Option<Instant>,
}

/// All that can happen.
enum Event {
    Asked(Option<Request>),
    Link,
    NoMoreLinks,
    Datagram(Datagram),
    Found(Result<ServiceEvent, mdns_sd::RecvError>),
    Service(Result<DaemonEvent, mdns_sd::RecvError>),
    Metrics(Option<mdns_sd::Metrics>),
    CheckCache,
    Time,
}

impl Shell {
    async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        mut datagrams: mpsc::Receiver<Datagram>,
        mut messages: impl Stream<Item = impl Sized> + Unpin,
    ) {
        let mut check = tokio::time::interval(mdns::CACHE_CHECK);
        let mut metrics = None;
        let mut has_links = true;
        loop {
            let wake = self.wake();
            let event = tokio::select! {
                request = requests.recv() => Event::Asked(request),
                message = messages.next(), if has_links => if message.is_some() { Event::Link } else { Event::NoMoreLinks },
                Some(datagram) = datagrams.recv() => Event::Datagram(datagram),
                found = received(self.mdns.as_ref().and_then(|mdns| mdns.found.as_ref())) => Event::Found(found),
                event = received(self.mdns.as_ref().map(|mdns| &mdns.events)) => Event::Service(event),
                answer = received(metrics.as_ref()) => Event::Metrics(answer.ok()),
                _ = check.tick() => Event::CheckCache,
                () = tokio::time::sleep_until(wake), if wake > Instant::now() => Event::Time,
                () = std::future::ready(()), if wake <= Instant::now() => Event::Time,
            };
            match event {
                Event::Asked(None) => return,
                Event::Asked(Some(request)) => self.request(request).await,
                Event::Link => self.relist_at = self.relist_at.or(Some(Instant::now() + RELIST_AFTER)),
                Event::NoMoreLinks => {
                    tracing::error!("the kernel tells no more about network links");
                    has_links = false;
                }
                Event::Datagram(Datagram { beacon, link, from }) => self.handle(Input::Heard { beacon, link, from: Some(from) }).await,
                Event::Found(Ok(ServiceEvent::ServiceResolved(service))) => {
                    if let Some((beacon, links)) = mdns::beacon(&service) {
                        for link in links {
                            self.handle(Input::Heard { beacon: beacon.clone(), link, from: None }).await;
                        }
                    }
                }
                // Peers are not dropped because a record has run out or somebody has said goodbye.
                Event::Found(Ok(_)) => {}
                Event::Found(Err(_)) => self.lost(),
                Event::Service(Ok(DaemonEvent::Announce(name, _))) => {
                    if let Some(label) = mdns::label(&name) {
                        self.handle(Input::Announced(label)).await;
                    }
                }
                Event::Service(Ok(DaemonEvent::NameChange(change))) => {
                    if let Some(label) = mdns::label(&change.original) {
                        self.handle(Input::Conflict(label)).await;
                    }
                }
                Event::Service(Ok(_)) => {}
                Event::Service(Err(_)) => self.restart(),
                Event::Metrics(answer) => {
                    metrics = None;
                    if answer.is_some_and(|answer| mdns::is_flooded(&answer)) {
                        tracing::warn!("multicast DNS is being flooded; beginning anew");
                        self.restart();
                    }
                }
                Event::CheckCache => metrics = metrics.or_else(|| self.mdns.as_ref().and_then(|mdns| mdns.metrics().ok())),
                Event::Time => self.time().await,
            }
        }
    }

    fn now(&self) -> Now {
        Now(self.began.elapsed())
    }

    /// When something is to be done, if nothing happens before.
    fn wake(&self) -> Instant {
        let core = self.core.deadline().map(|deadline| self.began + deadline.0);
        let far = self.began + Duration::from_secs(u64::from(u32::MAX));
        [core, self.relist_at, self.quiet_at, self.restart_at].into_iter().flatten().min().unwrap_or(far)
    }

    async fn time(&mut self) {
        let is_due = |at: &mut Option<Instant>| at.take_if(|at| *at <= Instant::now()).is_some();
        if is_due(&mut self.relist_at) {
            match links::list(&self.netlink, &self.links).await {
                Ok((links, names)) => {
                    self.names = names;
                    self.links_found.send_if_modified(|told| {
                        let is_new = *told != links;
                        told.clone_from(&links);
                        is_new
                    });
                    self.handle(Input::Links(links)).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot list the network links");
                    self.relist_at = Some(Instant::now() + MDNS_RETRY);
                }
            }
        }
        if is_due(&mut self.quiet_at)
            && let Some(mdns) = &mut self.mdns
            && let Err(error) = mdns.quiet()
        {
            tracing::info!(%error, "multicast DNS does not listen");
            self.restart_at = Some(Instant::now() + MDNS_RETRY);
        }
        if is_due(&mut self.restart_at) {
            self.restart();
        }
        self.handle(Input::Time).await;
    }

    /// The library has given up telling, since it was not listened to fast enough. It is asked to go on, a little later.
    fn lost(&mut self) {
        if let Some(mdns) = &mut self.mdns {
            // Until then there is nothing to be received: an ended channel would be ready always.
            mdns.found = None;
        }
        self.quiet_at = Some(Instant::now() + QUIET_AFTER);
    }

    /// Begins multicast DNS anew with what is to be announced.
    fn restart(&mut self) {
        self.mdns = None;
        self.restart_at = None;
        if self.announcements.is_empty() {
            return;
        }
        match Mdns::start(&self.announcements, self.core.keys()) {
            Ok(mdns) => self.mdns = Some(mdns),
            Err(error) => {
                tracing::warn!(%error, "multicast DNS cannot be started");
                self.restart_at = Some(Instant::now() + MDNS_RETRY);
            }
        }
    }

    async fn request(&mut self, request: Request) {
        // Whoever has asked may have given up waiting.
        match request {
            Request::Input(input) => self.handle(*input).await,
            Request::Proven(answer) => drop(answer.send(self.core.proven())),
            Request::Statistics(answer) => drop(answer.send((self.core.statistics(), self.core.peers().count()))),
        }
    }

    async fn handle(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for effect in self.core.handle(self.now(), input) {
                if let Some(failed) = self.act(effect).await {
                    inputs.push(failed);
                }
            }
        }
    }

    /// Does one thing. Says what has come of it, if that is known at once.
    async fn act(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Announce(announcements) => self.announce(announcements),
            Effect::Query => {
                if let Some(mdns) = &mut self.mdns {
                    match mdns.ask() {
                        Ok(()) => self.quiet_at = Some(Instant::now() + QUIET_AFTER),
                        Err(error) => tracing::info!(%error, "multicast DNS does not ask"),
                    }
                }
            }
            Effect::Broadcast(shouts) => self.broadcast(shouts).await,
            Effect::AskDomain => drop(self.found.try_send(Found::AskDomain)),
            Effect::Connect(address) => {
                return self.found.try_send(Found::Connect(address)).is_err().then_some(Input::Failed(address));
            }
        }
        None
    }

    fn announce(&mut self, announcements: Vec<Announcement>) {
        self.announcements = announcements;
        self.sockets.clear();
        for link in self.announcements.iter().map(|announcement| announcement.link) {
            if let Some(name) = self.names.get(&link) {
                self.sockets.insert(link, Sockets::open(link, name, self.broadcast_port, &self.datagrams));
            }
        }
        self.restart();
    }

    async fn broadcast(&self, shouts: Vec<Shout>) {
        for Shout { link, beacon } in shouts {
            match (self.sockets.get(&link), beacon.to_datagram(self.core.keys())) {
                (Some(sockets), Ok(datagram)) => sockets.send(&datagram).await,
                (_, Err(error)) => tracing::warn!(%error, "no beacon to broadcast"),
                (None, _) => {}
            }
        }
    }
}

/// The next message of a channel that may not be there.
async fn received<T>(channel: Option<&mdns_sd::Receiver<T>>) -> Result<T, mdns_sd::RecvError> {
    match channel {
        Some(channel) => channel.recv_async().await,
        None => std::future::pending().await,
    }
}
