//! One member of a cluster: raft, the state, the files and the peers, put together, and the tasks that keep them going.
//!
//! | task | does |
//! |---|---|
//! | openraft's | replicates, elects, applies |
//! | the log's thread, the checkpoint's thread | write and sync |
//! | `leadership` | says who leads, as far as this member can know |
//! | `leases` | ends leases while this member leads |
//! | `checkpoints` | has checkpoints written and the log purged |
//! | `compaction` | forgets versions |
//! | `space` | raises the alarm when the log has no room for much more |
//! | `promotion` | gives those who are to vote a vote once they have caught up, while this member leads |
//! | `formation::facts` | says how raft stands, in a cluster that forms itself |
//! | `serve` | answers peers |
//!
//! All of them end with the node.

mod admission;
mod answer;
mod config;
mod handover;
mod housekeeping;
mod leadership;
mod leases;
mod members;
mod propose;
mod read;
mod replica;
mod space;
mod timings;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use openraft::{Raft, async_runtime::WatchReceiver};
use shoal_formation::{NodeId, RaftFacts, effect};
use shoal_store_files::{threads, wear::Wear};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    checkpoint::chain,
    formation::{Formed, facts, place},
    peer::{
        Peers, server,
        transfer::Receiver,
        transport::{Acceptor, Transport},
    },
    prepare,
    raft::{
        Peer, Types,
        log::LogStore,
        machine::{Machine, StateMachine},
        network::Network,
    },
    status::Leadership,
    storage::{OpenStorageError, Storage},
};
use admission::Admission;
pub(crate) use answer::FOUNDER_BIT;
pub use config::{Begin, NodeConfig, VerifyPeer};
use leadership::Heard;
use read::Barrier;

/// Hubs that share the watch streams, at most. More of them than cores only cost memory.
const WATCH_SHARDS_MAX: usize = 4;

/// A node was not made. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its files cannot be opened.
    #[error(transparent)]
    Storage(#[from] OpenStorageError),
    /// The timings contradict each other.
    #[error("the timings do not fit together: {0}. The election timeout must be several times the heartbeat interval")]
    Timings(String),
    /// raft does not start from what is in the files.
    #[error("raft does not start: {0}")]
    Raft(String),
    /// This member is not one of those that the cluster begins with.
    #[error("member {0:x} is not one of those that the cluster begins with")]
    NotAFounder(u64),
    /// A cluster that forms itself is begun by its node 1, which has no files yet.
    #[error("node {0} cannot begin a cluster: node 1 does, in an empty directory. Delete what is left of another one first")]
    NotNew(u64),
}

/// Why a node has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was shut down.
    Shutdown,
    /// It was removed from the cluster. Its files are of no use any more, and its id never comes again.
    Removed,
    /// Its files have failed, or it found itself in a state it cannot go on from. End the process; starting again finds out what is there.
    Failed(String),
}

/// One node of a cluster. See [`Replica`](crate::Replica) for what it does. Dropping the last handle ends it, but only
/// [`shutdown`](Self::shutdown) does so in order.
#[derive(Debug)]
pub struct Node {
    pub(crate) inner: Arc<Inner>,
    tasks: Mutex<JoinSet<()>>,
}

pub(crate) struct Inner {
    pub(crate) config: NodeConfig,
    pub(crate) raft: Raft<Types, StateMachine>,
    pub(crate) machine: Arc<Machine>,
    pub(crate) log: LogStore,
    peers: Arc<Peers>,
    pub(crate) receiver: Receiver,
    wear: Arc<Wear>,
    pub(crate) heard: Heard,
    pub(crate) leadership: watch::Sender<Leadership>,
    /// What raft says of itself, if this is a cluster that forms itself.
    pub(crate) facts: watch::Sender<RaftFacts>,
    pub(crate) began: facts::Began,
    ended: watch::Sender<Option<Ended>>,
    /// Proposals of this member's clients.
    admission: Admission,
    /// Proposals of peers' clients, on the leader.
    forwarded: Admission,
    barrier: Barrier,
    pub(crate) changing_members: tokio::sync::Mutex<()>,
    /// When raising the alarm for lack of space has failed last.
    raising_alarm: tokio::sync::Mutex<Option<tokio::time::Instant>>,
    next_lease: AtomicU64,
    counters: Counters,
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inner").field("identity", &self.config.identity).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Counters {
    leader_changes: AtomicU64,
    proposals_failed: AtomicU64,
    reads_failed: AtomicU64,
    leases_expired: AtomicU64,
}

impl Counters {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Node {
    /// Starts a node, or starts it again on its files. Returns when what was committed when it ended is applied again, not when there is a
    /// leader.
    ///
    /// # Errors
    /// [`StartError`]. The files are as they were, or new and empty.
    // Boxed, and with nothing generic left, so that all of raft is compiled with this crate: as an `async fn` it would be compiled again with every
    // program that starts a node, which is what took longest of all to compile.
    pub fn start(
        config: NodeConfig,
        transport: Arc<dyn Transport>,
        acceptor: impl Acceptor,
    ) -> BoxFuture<'static, Result<Self, StartError>> {
        Self::start_boxed(config, transport, Box::new(acceptor))
    }

    fn start_boxed(
        config: NodeConfig,
        transport: Arc<dyn Transport>,
        acceptor: Box<dyn Acceptor>,
    ) -> BoxFuture<'static, Result<Self, StartError>> {
        Self::start_on(config, transport, acceptor).boxed()
    }

    async fn start_on(config: NodeConfig, transport: Arc<dyn Transport>, acceptor: Box<dyn Acceptor>) -> Result<Self, StartError> {
        let raft_config = Arc::new(timings::raft_config(&config)?);
        let member = config.identity.member;
        if let Begin::Found(voters) = &config.begin
            && !voters.contains_key(&member)
        {
            return Err(StartError::NotAFounder(member));
        }
        if let Some(Formed { begin: effect::Begin::Found, .. }) = &config.formed
            && (member != NodeId::FOUNDER.0 || config.storage.exists())
        {
            return Err(StartError::NotNew(member));
        }
        let cores = if threads::in_place() { Ok(std::num::NonZero::<usize>::MIN) } else { std::thread::available_parallelism() };
        let shards = cores.map_or(1, usize::from).min(WATCH_SHARDS_MAX);
        let (storage, owner, limits, seed) = (config.storage.clone(), config.owner(), config.watch_limits, config.seed);
        let opened = crate::blocking::run(move || Storage::open(&storage, owner, shards, limits, seed));
        let Storage { log, machine, wear } = opened.await.map_err(|error| StartError::Raft(error.to_string()))??;

        #[cfg(feature = "known-bugs")]
        machine.put_back(config.bug);
        if let Some(formed) = &config.formed {
            let (applied, control) = {
                let replicated = machine.state.read();
                (replicated.applied.map(|last| last.index), replicated.control.clone())
            };
            machine.outbox.begin(formed.after, applied.map_or(0, place), &control);
            let found = log.clone();
            let found = crate::blocking::run(move || found.find_landmarks(applied)).await;
            found.map_err(std::io::Error::other).flatten().map_err(|error| StartError::Raft(chain(&error)))?;
        }
        let peers = Peers::new(config.identity, config.formed.clone(), transport);
        let (Begin::Found(members) | Begin::Join(members)) = &config.begin;
        peers.set_members(members.clone());
        let network = Network { peers: peers.clone(), patience: config.election_timeout * 20 };
        let raft = Raft::build(member, raft_config, network, log.clone(), StateMachine(machine.clone()));
        let raft = raft.await.map_err(|error| StartError::Raft(chain(&error)))?;
        let inner = Arc::new(Inner {
            receiver: Receiver::new(machine.clone()),
            heard: Heard::default(),
            leadership: watch::Sender::new(Leadership::default()),
            facts: watch::Sender::new(RaftFacts::default()),
            began: facts::Began::now(config.formed.as_ref().map(|formed| formed.zero)),
            ended: watch::Sender::new(None),
            admission: Admission::new(),
            forwarded: Admission::new(),
            barrier: Barrier::default(),
            changing_members: tokio::sync::Mutex::default(),
            raising_alarm: tokio::sync::Mutex::default(),
            next_lease: AtomicU64::new(seed),
            counters: Counters::default(),
            raft,
            machine,
            log,
            peers,
            wear,
            config,
        });
        if inner.config.formed.is_some() {
            inner.facts.send_replace(facts::first(&inner));
        }
        inner.raft.run();
        inner.found().await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(server::serve(inner.clone(), acceptor));
        tasks.spawn(leadership::watch(inner.clone()));
        if inner.config.formed.is_some() {
            tasks.spawn(facts::watch(inner.clone()));
        } else {
            tasks.spawn(leadership::ask_whether_removed(inner.clone()));
        }
        tasks.spawn(leases::expire(inner.clone()));
        tasks.spawn(housekeeping::checkpoints(inner.clone()));
        tasks.spawn(housekeeping::compaction(inner.clone()));
        tasks.spawn(space::watch(inner.clone()));
        tasks.spawn(members::promotion(inner.clone()));
        tasks.spawn(members::publish(inner.clone()));
        Ok(Self { inner, tasks: Mutex::new(tasks) })
    }

    /// Ends the node in order: nothing is answered any more, and the files are closed. Everybody who waits is told that it has stopped.
    pub fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.shut_down().boxed()
    }

    async fn shut_down(&self) {
        self.inner.end(Ended::Shutdown);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().expect("nobody panics while holding tasks"));
        tasks.shutdown().await;
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!(%error, "raft did not end well");
        }
        let inner = self.inner.clone();
        let closed = crate::blocking::run(move || {
            inner.machine.checkpointer.close();
            if let Err(error) = inner.log.log().clone().close() {
                tracing::warn!(error = chain(&error), "the raft log was not closed well");
            }
        });
        let _ = closed.await;
    }

    /// Waits until the node has ended, and says why.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.inner.ended.subscribe();
        // The sender lives as long as this handle.
        let ended = ended.wait_for(Option::is_some).await;
        ended.ok().and_then(|ended| ended.clone()).unwrap_or(Ended::Shutdown)
    }

    /// Waits until this member has its place in the cluster: the others know its name and where clients reach it, it has a vote if it was not
    /// added as a learner, and there is a leader.
    pub async fn ready(&self) {
        self.inner.until_ready().await;
    }

    /// Where a member was found, whatever the membership says about its peer URLs; nowhere in particular if empty. Kept in memory only.
    pub fn set_address(&self, member: u64, urls: Vec<String>) {
        self.inner.peers.set_found(member, urls);
    }

    /// The last index this member has purged from its log, and the first it would need another member's snapshot for.
    #[must_use]
    pub fn purged_index(&self) -> Option<u64> {
        self.inner.log.log().state().purged.map(|purged| purged.index)
    }
}

impl Inner {
    pub(crate) fn member(&self) -> u64 {
        self.config.identity.member
    }

    /// etcd's `ReqTimeout`: 5 s for the disk and the queue, and two elections.
    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_secs(5) + 2 * self.config.election_timeout
    }

    fn min_ttl(&self) -> i64 {
        prepare::min_ttl(self.config.election_timeout)
    }

    /// Notes why the node ends, unless it has ended already.
    pub(crate) fn end(&self, why: Ended) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                tracing::info!(?why, member = format!("{:x}", self.config.identity.member), "the node ends");
                *ended = Some(why);
            }
            first
        });
    }

    fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Returns when the node has ended.
    pub(crate) async fn until_ended(&self) {
        let _ = self.ended.subscribe().wait_for(Option::is_some).await;
    }

    /// Writes the first configuration, if this member founds the cluster and has not done so before.
    async fn found(&self) -> Result<(), StartError> {
        let voters: BTreeMap<u64, Peer> = match (&self.config.formed, &self.config.begin) {
            (Some(Formed { begin: effect::Begin::Found, key, .. }), _) => BTreeMap::from([(self.member(), Peer::with_key(key.0))]),
            (None, Begin::Found(voters)) => voters.iter().map(|(&id, urls)| (id, Peer::voter(urls.clone()))).collect(),
            (Some(_), _) | (None, Begin::Join(_)) => return Ok(()),
        };
        let is_initialized = self.raft.is_initialized().await.map_err(|error| StartError::Raft(error.to_string()))?;
        if is_initialized {
            return Ok(());
        }
        match self.raft.initialize(voters).await {
            // Another founder was quicker: its first entry is the same, or it has sent more by now.
            Ok(()) | Err(openraft::errors::RaftError::APIError(openraft::errors::InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(StartError::Raft(error.to_string())),
        }
    }

    /// What raft says of itself.
    pub(crate) fn metrics(&self) -> openraft::RaftMetrics<Types> {
        self.raft.metrics().borrow_watched().clone()
    }
}
