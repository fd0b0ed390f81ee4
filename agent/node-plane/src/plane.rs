//! What is shared by all tasks, and how it is used from outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use shoal_formation::{BootId, NodeKey, Peer};
use shoal_formation_wire::{Frame, PeerAddresses, introduction::Introduction};
use shoal_trust::{key::NodeSecret, schedule::FleetKeys};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Notify, Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use crate::{
    book::Book,
    dialler, frames,
    greeting::{Greeted, GreetingError, Own, Purpose},
    lane::{Counted, Lane, LaneError},
    limits::{EVENTS_MAX, KNOWN_SOURCES_MAX, LANES_MAX, LANES_WAITING_MAX, Limits, QUEUE_MAX},
    listen,
    sessions::Sessions,
    slots::Slots,
    tls::{Tls, TlsError},
};

/// What a plane is started with.
#[derive(Debug)]
pub struct Settings {
    /// Where it takes connections; all with the same port. None, and this node only connects.
    pub listeners: Vec<TcpListener>,
    /// The node's key.
    pub secret: NodeSecret,
    /// The fleet's keys.
    pub keys: Arc<FleetKeys>,
    /// This process, at random.
    pub boot: BootId,
    /// [`Limits::default`], but for tests.
    pub limits: Limits,
}

/// Why there is no plane.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// TLS does not take the key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A socket is not what it should be.
    #[error("a listening socket has no address")]
    Listener(#[source] io::Error),
}

/// What has happened.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// There is a session with this process now, or another one than before.
    Met {
        /// Who.
        peer: Peer,
        /// Where it takes connections.
        address: Option<SocketAddr>,
    },
    /// A frame has come in a session.
    Heard(Peer, Frame),
    /// A session has ended, and there is none in its place.
    Closed(Peer),
    /// A connection was tried: who is there and has proven to be of the fleet; none if nobody.
    Dialled(SocketAddr, Option<NodeKey>),
    /// Another process has proven to have this node's own secret key.
    Double(Peer),
}

/// What has happened, in order for each session.
pub type Events = mpsc::Receiver<Event>;

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Connections that others have made.
    pub accepted: u64,
    /// Of those, how many lost their place to another one.
    pub pushed_out: u64,
    /// Of those, how many did not prove in time to be of the fleet.
    pub unproven: u64,
    /// Sessions that had no place.
    pub no_place: u64,
    /// Frames that were dropped since their peer takes none.
    pub dropped: u64,
    /// Handshakes at the same time, the most there ever were.
    pub slots_peak: usize,
    /// Handshakes now.
    pub slots: usize,
    /// Sessions now.
    pub sessions: usize,
    /// Addresses now.
    pub addresses: usize,
}

#[derive(Debug)]
pub(crate) struct State {
    own: Arc<Own>,
    pub(crate) is_closed: bool,
    pub(crate) slots: Slots<AbortHandle>,
    pub(crate) sessions: Sessions,
    pub(crate) book: Book,
    pub(crate) known_sources: BTreeSet<IpAddr>,
    pub(crate) statistics: Statistics,
}

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) limits: Limits,
    pub(crate) dialler: Notify,
    pub(crate) lanes: Arc<Semaphore>,
    events: mpsc::Sender<Event>,
    accepted: mpsc::Sender<Lane>,
}

/// Keeps a plane going. When it is dropped, all sessions end and the port is free.
#[derive(Debug)]
pub struct Plane {
    handle: Handle,
    _tasks: JoinSet<()>,
}

/// Speaks with a plane. Nothing here waits.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// Starts a plane on the current runtime.
///
/// # Errors
/// If TLS does not take the key, or a socket is none.
pub fn start(settings: Settings) -> Result<(Plane, Events, mpsc::Receiver<Lane>), StartError> {
    let Settings { listeners, secret, keys, boot, limits } = settings;
    let port = match listeners.first() {
        Some(listener) => listener.local_addr().map_err(StartError::Listener)?.port(),
        None => 0,
    };
    let own = Arc::new(Own { tls: Tls::new(&secret)?, keys, introduction: Introduction { boot, port } });
    let (events, taken) = mpsc::channel(EVENTS_MAX);
    let (accepted, lanes) = mpsc::channel(LANES_WAITING_MAX);
    let state = State {
        own,
        is_closed: false,
        slots: Slots::new(limits.slots, limits.slots_per_source),
        sessions: Sessions::new(limits.strangers),
        book: Book::new(limits),
        known_sources: BTreeSet::new(),
        statistics: Statistics::default(),
    };
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        limits,
        dialler: Notify::new(),
        lanes: Arc::new(Semaphore::new(LANES_MAX)),
        events,
        accepted,
    });
    let mut tasks = JoinSet::new();
    for listener in listeners {
        tasks.spawn(listen::listen(listener, shared.clone()));
    }
    tasks.spawn(dialler::dial_all(shared.clone()));
    Ok((Plane { handle: Handle { shared }, _tasks: tasks }, taken, lanes))
}

impl Plane {
    /// Speaks with it.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        let mut state = self.handle.shared.state();
        state.is_closed = true;
        state.sessions.clear();
        state.slots.empty().for_each(|handshake| handshake.abort());
    }
}

impl Handle {
    /// Sends a frame, if there is a session. Whether it arrives is not known; one that a peer has no room for is dropped.
    pub fn send(&self, to: Peer, frame: Vec<u8>) {
        let mut state = self.shared.state();
        let Some(queue) = state.sessions.queue(to) else { return };
        if queue.try_send(frame).is_err() {
            state.statistics.dropped += 1;
        }
    }

    /// Somebody may be there.
    pub fn try_address(&self, address: SocketAddr) {
        self.shared.state().book.hear(Instant::now(), address);
        self.shared.dialler.notify_one();
    }

    /// A peer says that this node is there.
    pub fn told_address(&self, address: SocketAddr, node: NodeKey) {
        let mut state = self.shared.state();
        if node.0 != state.own.tls.own.to_bytes() {
            state.book.told(Instant::now(), address, node);
            drop(state);
            self.shared.dialler.notify_one();
        }
    }

    /// Who was where, as [`Handle::known_addresses`] gave it in an earlier life. These are tried for as long as nobody is there.
    pub fn remember_addresses(&self, known: &[PeerAddresses]) {
        let mut state = self.shared.state();
        let now = Instant::now();
        for PeerAddresses { node, addresses } in known {
            addresses.iter().for_each(|address| state.book.remember(now, *address, *node));
        }
        drop(state);
        self.shared.dialler.notify_one();
    }

    /// Who the members of this node's cluster are. Their sessions have places of their own, and they are let in whatever join secret they have.
    pub fn set_members(&self, members: BTreeSet<NodeKey>) {
        self.shared.state().sessions.members = members;
    }

    /// This node has another key from now on. All sessions end, since they were proven with the one before; with whom they were is given, and of these there
    /// is no [`Event::Closed`].
    ///
    /// # Errors
    /// If TLS does not take it; then all is as it was.
    pub fn set_secret(&self, secret: &NodeSecret) -> Result<Vec<Peer>, TlsError> {
        let tls = Tls::new(secret)?;
        let mut state = self.shared.state();
        let Own { keys, introduction, .. } = &*state.own;
        state.own = Arc::new(Own { tls, keys: keys.clone(), introduction: *introduction });
        state.sessions.members.clear();
        let ended = state.sessions.clear();
        state.slots.empty().for_each(|handshake| handshake.abort());
        drop(state);
        self.shared.dialler.notify_one();
        Ok(ended)
    }

    /// Whether there is a session.
    #[must_use]
    pub fn has_session(&self, peer: Peer) -> bool {
        self.shared.state().sessions.queue(peer).is_some()
    }

    /// Whom there are sessions with.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        self.shared.state().sessions.peers().collect()
    }

    /// Who is where, as far as it can be told to others: those whom there are sessions with.
    #[must_use]
    pub fn addresses(&self) -> Vec<PeerAddresses> {
        let state = self.shared.state();
        let nodes: BTreeMap<_, _> = state.book.nodes();
        let here = nodes.into_iter().filter(|(node, _)| state.sessions.has_key(*node));
        here.filter_map(|(node, addresses)| PeerAddresses::new(node, addresses)).take(shoal_formation_wire::EXCHANGE_MAX).collect()
    }

    /// Who was where that has proven itself to this node, with a session now or not, and whoever there is a session with: what is worth keeping over a
    /// restart.
    #[must_use]
    pub fn known_addresses(&self) -> Vec<PeerAddresses> {
        let state = self.shared.state();
        let mut known = state.book.proven();
        for (node, addresses) in state.book.nodes() {
            if state.sessions.has_key(node) {
                known.entry(node).or_default().extend(addresses);
            }
        }
        known
            .into_iter()
            .filter_map(|(node, addresses)| PeerAddresses::new(node, addresses))
            .take(shoal_formation_wire::EXCHANGE_MAX)
            .collect()
    }

    /// Opens a stream for raft to a node.
    ///
    /// # Errors
    /// If nobody knows where it is, or it is not there.
    pub async fn open_lane(&self, node: NodeKey) -> Result<Lane, LaneError> {
        dialler::lane(&self.shared, node).await
    }

    /// What was counted.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let state = self.shared.state();
        Statistics {
            slots_peak: state.slots.peak(),
            slots: state.slots.taken(),
            sessions: state.sessions.peers().count(),
            addresses: state.book.len(),
            ..state.statistics
        }
    }
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn own(&self) -> Arc<Own> {
        self.state().own.clone()
    }

    pub(crate) fn is_member(&self, key: &shoal_trust::key::NodeKey) -> bool {
        self.state().sessions.members.contains(&NodeKey(key.to_bytes()))
    }

    pub(crate) fn count_failure(&self, error: &GreetingError) {
        if !matches!(error, GreetingError::Myself | GreetingError::Double(_)) {
            self.state().statistics.unproven += 1;
        }
    }

    /// Tells what has happened. It waits while nobody takes events; when nobody ever will, it is dropped.
    pub(crate) async fn tell(&self, event: Event) {
        drop(self.events.send(event).await);
    }

    /// A peer was not let in.
    pub(crate) async fn refused(&self, own: &Own, address: SocketAddr, error: &GreetingError) {
        if let GreetingError::Double(boot) = error {
            let key = NodeKey(own.tls.own.to_bytes());
            self.tell(Event::Double(Peer { key, boot: *boot })).await;
        }
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        tracing::debug!(%address, %error, %cause, "no session");
    }

    /// A peer is let in: its session begins, or its stream is handed on.
    ///
    /// # Errors
    /// [`GreetingError::NoPlace`].
    pub(crate) async fn begin<S>(
        self: &Arc<Self>,
        own: &Arc<Own>,
        greeted: Greeted<S>,
        from: SocketAddr,
        listens: Option<SocketAddr>,
    ) -> Result<Peer, GreetingError>
    where
        S: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Sync + Unpin + 'static,
    {
        let peer = Peer { key: NodeKey(greeted.key.to_bytes()), boot: greeted.introduction.boot };
        match greeted.purpose {
            Purpose::Raft => self.hand_on(greeted.stream, peer, from).map(|()| peer),
            Purpose::Formation => {
                let (queue, waiting) = mpsc::channel(QUEUE_MAX);
                let number = {
                    let mut state = self.state();
                    if state.is_closed || !Arc::ptr_eq(&state.own, own) {
                        return Err(GreetingError::NoPlace);
                    }
                    if state.sessions.members.contains(&peer.key) && state.known_sources.len() < KNOWN_SOURCES_MAX {
                        state.known_sources.insert(from.ip().to_canonical());
                    }
                    let now = Instant::now();
                    let added = state.sessions.add(now, peer, greeted.exporter, queue);
                    let had = added.is_none() && state.sessions.queue(peer).is_some();
                    if let Some(listens) = listens.filter(|_| added.is_some() || had) {
                        state.book.told(now, listens, peer.key);
                    }
                    match added {
                        Some(number) => number,
                        // The other one of two that were made at the same time: whoever wanted a session has one.
                        None if had => return Ok(peer),
                        None => {
                            state.statistics.no_place += 1;
                            return Err(GreetingError::NoPlace);
                        }
                    }
                };
                self.tell(Event::Met { peer, address: listens }).await;
                tokio::spawn(self.clone().session(greeted.stream, peer, number, waiting));
                Ok(peer)
            }
        }
    }

    fn hand_on<S>(&self, stream: S, peer: Peer, address: SocketAddr) -> Result<(), GreetingError>
    where
        S: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Sync + Unpin + 'static,
    {
        let place = self.lanes.clone().try_acquire_owned().map_err(|_| GreetingError::NoPlace)?;
        let lane = Lane { stream: Box::new(Counted { stream, _place: place }), peer, address };
        self.accepted.try_send(lane).map_err(|_| GreetingError::NoPlace)
    }

    /// Reads and writes frames until the session ends: by the peer, by silence, or since its queue is gone from the table.
    async fn session<S>(self: Arc<Self>, stream: S, peer: Peer, number: u64, mut waiting: mpsc::Receiver<Vec<u8>>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let (mut reading, mut writing) = tokio::io::split(stream);
        let read = async {
            loop {
                match frames::read(&mut reading, self.limits.idle).await {
                    Ok(Some(frame)) => self.tell(Event::Heard(peer, frame)).await,
                    Ok(None) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        };
        let write = async {
            while let Some(frame) = waiting.recv().await {
                frames::write(&mut writing, &frame).await?;
            }
            io::Result::Ok(())
        };
        let ended = tokio::select! {
            ended = read => ended,
            ended = write => ended,
        };
        if let Err(error) = ended {
            tracing::info!(peer = %peer.key, %error, "a session has ended");
        }
        if self.state().sessions.remove(peer, number) {
            self.dialler.notify_one();
            self.tell(Event::Closed(peer)).await;
        }
    }
}
