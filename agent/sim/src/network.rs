//! A network in memory: streams whose bytes arrive late, stall while a direction is cut, and break when an end is gone.
//!
//! A stream is what TCP gives: bytes arrive in order or the connection breaks; a lost packet is one that comes late, which [`Weather::loss_percent`]
//! makes of some writes. Connections are independent of each other, so that what is sent on two of them arrives in either order.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use shoal_cluster::transport::{Accepted, Acceptor, Stream, Transport};
use shoal_store_files::disk::sim::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf},
    sync::{Notify, mpsc},
    task::JoinSet,
    time::Instant,
};

/// Bytes that are on their way in one direction of a connection, at most; further ones wait with the sender.
const IN_FLIGHT_BYTES: usize = 256 << 10;

/// Bytes carried at once.
const PIECE_BYTES: usize = 16 << 10;

/// Connections that wait to be accepted.
const BACKLOG: usize = 64;

/// How the network is.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// How long bytes take, at least.
    pub delay: Duration,
    /// How much longer they may take.
    pub jitter: Duration,
    /// Of so many pieces in a hundred the packet is lost, and sent again.
    pub loss_percent: usize,
}

impl Weather {
    /// A network as it should be.
    pub const FAIR: Self = Self { delay: Duration::from_micros(200), jitter: Duration::from_millis(1), loss_percent: 0 };
}

/// How long a sender waits before it sends a lost packet again.
const RETRANSMISSION: Duration = Duration::from_millis(200);

#[derive(Debug)]
struct State {
    rng: Rng,
    weather: Weather,
    /// Directions in which nothing goes.
    cut: BTreeSet<(usize, usize)>,
    /// Where nodes that run take connections, and the life they are in.
    listeners: BTreeMap<usize, (u64, mpsc::Sender<Accepted>)>,
    /// Pumps of connections, by the two ends and their lives.
    connections: Vec<(usize, usize, JoinSet<()>)>,
}

/// The network. Cloning gives another handle to the same.
#[derive(Debug, Clone)]
pub struct Network(Arc<(Mutex<State>, Notify)>);

impl Network {
    /// One without a node.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State {
            rng: Rng::new(seed),
            weather: Weather::FAIR,
            cut: BTreeSet::new(),
            listeners: BTreeMap::new(),
            connections: Vec::new(),
        };
        Self(Arc::new((Mutex::new(state), Notify::new())))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The peer URL of a node.
    #[must_use]
    pub fn url(node: usize) -> String {
        format!("http://n{node}:2380")
    }

    /// Both sides of a node that starts its `life`th life.
    pub fn attach(&self, node: usize, life: u64) -> (Arc<dyn Transport>, impl Acceptor + use<>) {
        let (sender, accepted) = mpsc::channel(BACKLOG);
        self.state().listeners.insert(node, (life, sender));
        (Arc::new(End { network: self.clone(), node, life }), Listener(accepted))
    }

    /// A node is gone: its connections break, and it can make no others.
    pub fn detach(&self, node: usize) {
        let mut state = self.state();
        state.listeners.remove(&node);
        state.connections.retain(|(from, to, _)| *from != node && *to != node);
    }

    /// Breaks all connections between two nodes, as a router that forgets them does.
    pub fn reset(&self, one: usize, other: usize) {
        self.state().connections.retain(|(from, to, _)| (*from, *to) != (one, other) && (*from, *to) != (other, one));
    }

    /// Lets nothing go from one node to another any more, or lets it go again. What was sent meanwhile arrives then, unless the connection was
    /// given up.
    pub fn set_cut(&self, from: usize, to: usize, cut: bool) {
        let mut state = self.state();
        if cut {
            state.cut.insert((from, to))
        } else {
            state.cut.remove(&(from, to))
        };
        drop(state);
        self.0.1.notify_waiters();
    }

    /// All directions are free, and the weather is fair.
    pub fn heal(&self) {
        let mut state = self.state();
        state.cut.clear();
        state.weather = Weather::FAIR;
        drop(state);
        self.0.1.notify_waiters();
    }

    /// How the network is from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    fn is_cut(&self, from: usize, to: usize) -> bool {
        self.state().cut.contains(&(from, to))
    }

    async fn until_free(&self, from: usize, to: usize) {
        loop {
            let changed = self.0.1.notified();
            if !self.is_cut(from, to) {
                return;
            }
            changed.await;
        }
    }

    fn delay(&self) -> Duration {
        let mut state = self.state();
        let Weather { delay, jitter, loss_percent } = state.weather;
        let late = Duration::from_micros(state.rng.below(jitter.as_micros() as usize + 1) as u64);
        let lost = if state.rng.below(100) < loss_percent { RETRANSMISSION } else { Duration::ZERO };
        delay + late + lost
    }

    /// Carries bytes in one direction until an end is gone.
    async fn pump(self, from: usize, to: usize, mut source: ReadHalf<DuplexStream>, mut sink: WriteHalf<DuplexStream>) {
        let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT_BYTES / PIECE_BYTES);
        let network = self.clone();
        let read = async move {
            let mut buffer = vec![0; PIECE_BYTES];
            let mut earliest = Instant::now();
            while let Ok(count @ 1..) = source.read(&mut buffer).await {
                earliest = earliest.max(Instant::now() + network.delay());
                if sender.send((earliest, buffer[..count].to_vec())).await.is_err() {
                    return;
                }
            }
        };
        let write = async move {
            while let Some((at, piece)) = pieces.recv().await {
                tokio::time::sleep_until(at).await;
                self.until_free(from, to).await;
                if sink.write_all(&piece).await.is_err() {
                    return;
                }
            }
            // That the other end has hung up arrives like everything else.
            self.until_free(from, to).await;
            let _ = sink.shutdown().await;
        };
        tokio::join!(read, write);
    }
}

#[derive(Debug)]
struct End {
    network: Network,
    node: usize,
    life: u64,
}

#[async_trait]
impl Transport for End {
    async fn connect(&self, url: &str) -> io::Result<Stream> {
        let to: usize = url
            .strip_prefix("http://n")
            .and_then(|rest| rest.strip_suffix(":2380"))
            .and_then(|number| number.parse().ok())
            .ok_or(io::ErrorKind::InvalidInput)?;
        // There and back.
        for (from, to) in [(self.node, to), (to, self.node)] {
            tokio::time::sleep(self.network.delay()).await;
            self.network.until_free(from, to).await;
        }
        let (mine, near) = tokio::io::duplex(PIECE_BYTES);
        let (far, theirs) = tokio::io::duplex(PIECE_BYTES);
        let sender = {
            let mut state = self.network.state();
            if state.listeners.get(&self.node).is_none_or(|(life, _)| *life != self.life) {
                return Err(io::ErrorKind::NetworkDown.into());
            }
            let sender = state.listeners.get(&to).ok_or(io::ErrorKind::ConnectionRefused)?.1.clone();
            let (near_read, near_write) = tokio::io::split(near);
            let (far_read, far_write) = tokio::io::split(far);
            let mut pumps = JoinSet::new();
            pumps.spawn(self.network.clone().pump(self.node, to, near_read, far_write));
            pumps.spawn(self.network.clone().pump(to, self.node, far_read, near_write));
            state.connections.retain_mut(|(_, _, pumps)| {
                while pumps.try_join_next().is_some() {}
                !pumps.is_empty()
            });
            state.connections.push((self.node, to, pumps));
            sender
        };
        let accepted = Accepted { stream: Box::new(theirs), from: format!("n{}", self.node), certificates: Vec::new(), peer: None };
        sender.try_send(accepted).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(Box::new(mine))
    }
}

#[derive(Debug)]
struct Listener(mpsc::Receiver<Accepted>);

#[async_trait]
impl Acceptor for Listener {
    async fn accept(&mut self) -> Option<Accepted> {
        self.0.recv().await
    }
}
