//! Boxes to test with: each has a node, a key, and a driver that does what a core would: it keeps the replicated part from what comes out of the seam.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use shoal_cluster::{
    Node, NodeConfig, Replica, StartError,
    formation::{ChangeError, ControlError, Event, Formed, Handle, key_of_url, read},
    storage::StorageConfig,
    transport::{Accepted, Acceptor, Stream, Transport},
};
use shoal_formation::{
    BootId, ClusterId, Control, ControlEntry, HardwareHint, NodeId, NodeKey, Peer, RaftFacts, Settings,
    control::{Admission, Outcome},
    effect::{Begin, Change},
    settings::Medium,
};
use shoal_kv::{Command, PutRequest};
use shoal_store_files::{
    checkpoint::CheckpointOptions,
    disk::{Disk, sim::SimDisk},
    log::LogOptions,
};
use tokio::sync::mpsc;

/// Nothing that these tests wait for takes longer, on whatever machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Bytes between the two ends of a connection.
const PIPE_BYTES: usize = 64 << 10;

pub(crate) const CLUSTER: ClusterId = ClusterId(0x0123_4567_89ab_cdef_1111_2222_3333_4444);

static RANDOM: AtomicU64 = AtomicU64::new(1);

fn random() -> u64 {
    RANDOM.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Where keys are, and who does not hear whom.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    listeners: Mutex<BTreeMap<NodeKey, (Peer, mpsc::Sender<Accepted>)>>,
    deaf: Mutex<BTreeSet<NodeKey>>,
    out: Mutex<BTreeSet<NodeId>>,
}

impl Wire {
    /// Nobody is there under this key any more.
    pub(crate) fn forget(&self, key: NodeKey) {
        self.listeners.lock().expect("no test panics here").remove(&key);
    }

    fn hears(&self, own: NodeKey, node: NodeId, peer: Peer) -> bool {
        let deaf = self.deaf.lock().expect("no test panics here");
        !deaf.contains(&own) && !deaf.contains(&peer.key) && !self.out.lock().expect("no test panics here").contains(&node)
    }
}

#[derive(Debug)]
struct Wired {
    own: Peer,
    wire: Arc<Wire>,
}

#[async_trait]
impl Transport for Wired {
    async fn connect(&self, url: &str) -> io::Result<Stream> {
        self.connect_proven(url).await.map(|(stream, _)| stream)
    }

    async fn connect_proven(&self, url: &str) -> io::Result<(Stream, Option<Peer>)> {
        let key = key_of_url(url).ok_or(io::ErrorKind::InvalidInput)?;
        let listener = self.wire.listeners.lock().expect("no test panics here").get(&key).cloned();
        let (peer, listener) = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (mine, theirs) = tokio::io::duplex(PIPE_BYTES);
        let accepted =
            Accepted { stream: Box::new(theirs), from: format!("{}", self.own.key), certificates: Vec::new(), peer: Some(self.own) };
        listener.try_send(accepted).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok((Box::new(mine), Some(peer)))
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

/// The two ends of a process: what it connects with, and what it is reached by.
pub(crate) fn connect(own: Peer, wire: &Arc<Wire>) -> (Arc<dyn Transport>, impl Acceptor + use<>) {
    let (sender, accepted) = mpsc::channel(64);
    wire.listeners.lock().expect("no test panics here").insert(own.key, (own, sender));
    (Arc::new(Wired { own, wire: wire.clone() }), Listener(accepted))
}

/// What a core knows.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) control: Control,
    pub(crate) after: u64,
    pub(crate) events: Vec<Event>,
}

impl Journal {
    fn take(&mut self, event: Event) {
        let index = match &event {
            Event::Entry(index, entry) => {
                let _ = self.control.apply(*index, entry, &Settings::default());
                *index
            }
            Event::State(index, control) => {
                self.control = (**control).clone();
                *index
            }
        };
        assert!(index > self.after, "{event:?} comes after {}", self.after);
        self.after = index;
        self.events.push(event);
    }
}

/// A box.
pub(crate) struct Computer {
    pub(crate) key: NodeKey,
    disk: Arc<dyn Disk>,
    running: Option<Running>,
}

struct Running {
    node: Arc<Node>,
    handle: Handle,
    journal: Arc<Mutex<Journal>>,
    driver: tokio::task::JoinHandle<()>,
}

/// Boxes by their numbers.
pub(crate) struct Fleet {
    pub(crate) cluster: ClusterId,
    pub(crate) wire: Arc<Wire>,
    computers: BTreeMap<u64, Computer>,
    tune: fn(&mut NodeConfig),
    keys: u8,
}

pub(crate) fn admission(key: NodeKey) -> Admission {
    Admission { key, boot: BootId(u64::from(key.0[0])), hint: HardwareHint(u64::from(key.0[0])), medium: Medium::Disk }
}

impl Fleet {
    /// A cluster of its founder alone, with the genesis committed.
    pub(crate) async fn found() -> Self {
        Self::found_with(|_| {}).await
    }

    pub(crate) async fn found_with(tune: fn(&mut NodeConfig)) -> Self {
        let mut fleet = Self { cluster: CLUSTER, wire: Arc::default(), computers: BTreeMap::new(), tune, keys: 0 };
        let key = fleet.key();
        fleet.add(NodeId::FOUNDER, key);
        fleet.start(1, Begin::Found).await.expect("it has no files");
        fleet.leads(1).await;
        assert_eq!(fleet.propose(1, ControlEntry::Genesis(admission(key))).await, Ok(Outcome::Done));
        fleet
    }

    /// A cluster of so many voters, and how they are called.
    pub(crate) async fn formed(size: usize, tune: fn(&mut NodeConfig)) -> (Self, Vec<u64>) {
        let mut fleet = Self::found_with(tune).await;
        let mut ids = vec![1];
        for _ in 1..size {
            ids.push(fleet.admit(1).await);
        }
        fleet.change(1, &ids, &[]).await.expect("nothing else is changed");
        (fleet, ids)
    }

    pub(crate) fn key(&mut self) -> NodeKey {
        self.keys += 1;
        NodeKey([self.keys; 32])
    }

    fn add(&mut self, id: NodeId, key: NodeKey) {
        let computer = Computer { key, disk: Arc::new(SimDisk::new(random())), running: None };
        assert!(self.computers.insert(id.0, computer).is_none(), "{id} was given twice");
    }

    /// Has a new box admitted by a leader, as a learner that has started and caught up. Returns its number.
    pub(crate) async fn admit(&mut self, leader: u64) -> u64 {
        let key = self.key();
        let entry = ControlEntry::Admit(admission(key));
        assert_eq!(self.propose(leader, entry).await, Ok(Outcome::Done));
        let (id, _) = self
            .node(leader)
            .formation()
            .expect("it is of such a cluster")
            .control()
            .by_key(key)
            .map(|(id, record)| (id, *record))
            .expect("it is in");
        self.add(id, key);
        let configuration = self.facts(leader).configuration;
        let voters: Vec<u64> = configuration.voters.iter().map(|node| node.0).collect();
        let learners: Vec<u64> = configuration.learners.iter().chain([&id]).map(|node| node.0).collect();
        self.change(leader, &voters, &learners).await.expect("nothing else is changed");
        self.start(id.0, Begin::Resume).await.expect("it has no files");
        self.until(id.0, "what the leader has", |member| member.control().member(id).is_some()).await;
        id.0
    }

    pub(crate) fn storage(&self, id: u64) -> StorageConfig {
        let log = LogOptions { segment_bytes: 64 << 10, ..LogOptions::default() };
        StorageConfig { directory: "/raft".into(), disk: self.computers[&id].disk.clone(), log, checkpoint: CheckpointOptions::default() }
    }

    /// What a box's files hold.
    pub(crate) fn read(&self, id: u64) -> Option<(RaftFacts, Control)> {
        read(&self.storage(id), self.cluster, NodeId(id)).expect("the files are good")
    }

    /// Starts a box, from what its files hold.
    pub(crate) async fn start(&mut self, id: u64, begin: Begin) -> Result<(), StartError> {
        let (facts, control) = self.read(id).unwrap_or_default();
        self.start_as(id, begin, Journal { control, after: facts.committed, events: Vec::new() }).await
    }

    /// Starts a box whose core knows this.
    pub(crate) async fn start_as(&mut self, id: u64, begin: Begin, journal: Journal) -> Result<(), StartError> {
        let (storage, wire, Computer { key, .. }) = (self.storage(id), self.wire.clone(), &self.computers[&id]);
        let own = Peer { key: *key, boot: BootId(random()) };
        let hears = {
            let (wire, cluster) = (wire.clone(), self.cluster);
            Arc::new(move |of: ClusterId, node: NodeId, peer: Peer| of == cluster && wire.hears(own.key, node, peer))
        };
        let formed = Formed { cluster: self.cluster, key: own.key, begin, after: journal.after, zero: tokio::time::Instant::now(), hears };
        let mut config = NodeConfig::formed(NodeId(id), formed, storage, random());
        config.heartbeat_interval = Duration::from_millis(50);
        config.election_timeout = Duration::from_millis(500);
        (self.tune)(&mut config);
        let (transport, acceptor) = connect(own, &wire);
        let node = Node::start(config, transport, acceptor).await?;
        let handle = node.formation().expect("it is of such a cluster");
        let (node, journal) = (Arc::new(node), Arc::new(Mutex::new(journal)));
        let (mut committed, noted) = (handle.committed(), journal.clone());
        let driver = tokio::spawn(async move {
            loop {
                let event = committed.next().await;
                noted.lock().expect("no test panics here").take(event);
            }
        });
        self.computers.get_mut(&id).expect("it is there").running = Some(Running { node, handle, journal, driver });
        Ok(())
    }

    /// Ends a box, and returns what its core knows, and its raft's last words.
    pub(crate) async fn stop(&mut self, id: u64) -> (RaftFacts, Journal) {
        let computer = self.computers.get_mut(&id).expect("it is there");
        let Running { node, driver, handle, journal } = computer.running.take().expect("it runs");
        self.wire.forget(computer.key);
        let facts = node.stop().await;
        driver.abort();
        let _ = driver.await;
        drop((node, handle));
        let journal = std::mem::take(&mut *journal.lock().expect("no test panics here"));
        (facts, journal)
    }

    fn running(&self, id: u64) -> &Running {
        self.computers[&id].running.as_ref().expect("it runs")
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.computers.iter().filter(|(_, computer)| computer.running.is_some()).map(|(id, _)| *id).collect()
    }

    pub(crate) fn node(&self, id: u64) -> Arc<Node> {
        self.running(id).node.clone()
    }

    pub(crate) fn handle(&self, id: u64) -> Handle {
        self.running(id).handle.clone()
    }

    pub(crate) fn journal(&self, id: u64) -> MutexGuard<'_, Journal> {
        self.running(id).journal.lock().expect("no test panics here")
    }

    pub(crate) fn facts(&self, id: u64) -> RaftFacts {
        self.running(id).handle.facts().borrow().clone()
    }

    pub(crate) async fn propose(&self, id: u64, entry: ControlEntry) -> Result<Outcome, ControlError> {
        within("outcome", self.running(id).handle.propose(entry)).await
    }

    /// Changes the configuration that a node has now, once it is committed, and waits until the node says so itself.
    pub(crate) async fn change(&self, id: u64, voters: &[u64], learners: &[u64]) -> Result<(), ChangeError> {
        self.until_facts(id, "configuration at rest", RaftFacts::is_at_rest).await;
        let nodes = |ids: &[u64]| ids.iter().copied().map(NodeId).collect();
        let change = Change { instead_of: self.facts(id).configuration.at, voters: nodes(voters), learners: nodes(learners) };
        let (wanted, before) = (change.voters.clone(), change.instead_of);
        within("configuration", self.running(id).handle.change(change)).await?;
        // What is told may be a moment behind: with the same voters as before, it is the place of the configuration that says that it is the new one.
        let is_wanted = |facts: &RaftFacts| facts.is_at_rest() && facts.configuration.at != before && facts.configuration.voters == wanted;
        self.until_facts(id, "configuration as wanted", is_wanted).await;
        Ok(())
    }

    /// Waits until a node leads by its own account.
    pub(crate) async fn leads(&self, id: u64) {
        self.until_facts(id, "leading", |facts| facts.leading.is_some()).await;
    }

    /// Waits until one of these nodes leads, and names it.
    pub(crate) async fn leader(&self, among: &[u64]) -> u64 {
        within("leader", async {
            loop {
                if let Some(id) = among.iter().find(|id| self.facts(**id).leading.is_some()) {
                    return *id;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    pub(crate) async fn until_facts(&self, id: u64, what: &str, holds: impl Fn(&RaftFacts) -> bool) -> RaftFacts {
        let mut facts = self.running(id).handle.facts();
        let found = tokio::time::timeout(DEADLINE, facts.wait_for(|facts| holds(facts))).await;
        let found = found.map(|found| found.expect("the node lives").clone());
        found.unwrap_or_else(|_| panic!("no {what} at {id}: {:?}", self.facts(id)))
    }

    pub(crate) async fn until(&self, id: u64, what: &str, holds: impl Fn(&Handle) -> bool) {
        within(what, async {
            while !holds(&self.running(id).handle) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Waits until everybody who runs has applied the same, and its core knows the same.
    pub(crate) async fn agree(&self) -> Control {
        let newest = |fleet: &Self| fleet.ids().iter().map(|id| fleet.facts(*id).committed).max().unwrap_or_default();
        within("agreement", async {
            loop {
                let controls: Vec<Control> = self.ids().iter().map(|id| self.handle(*id).control()).collect();
                let same =
                    self.ids().iter().zip(&controls).all(|(id, control)| *control == controls[0] && self.journal(*id).control == *control);
                if same && self.ids().iter().all(|id| self.facts(*id).committed == newest(self)) {
                    return controls[0].clone();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// Nobody hears this box, and it hears nobody.
    pub(crate) fn cut_off(&self, id: u64, is_cut: bool) {
        let key = self.computers[&id].key;
        let mut deaf = self.wire.deaf.lock().expect("no test panics here");
        if is_cut {
            deaf.insert(key)
        } else {
            deaf.remove(&key)
        };
    }

    /// Nobody hears this node any more.
    pub(crate) fn is_out(&self, id: u64) {
        self.wire.out.lock().expect("no test panics here").insert(NodeId(id));
    }

    pub(crate) async fn shutdown(&mut self) {
        for id in self.ids() {
            self.stop(id).await;
        }
    }
}

/// Waits for something, but not for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("no {what} within {DEADLINE:?}"))
}

pub(crate) fn put(key: &str, value: &str) -> Command {
    Command::Put(PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..PutRequest::default() })
}

/// Writes until a node has purged the entry at an index of its log.
pub(crate) async fn write_beyond(node: &Node, index: u64) {
    for number in 0..100_000 {
        if node.purged_index().is_some_and(|purged| purged >= index) {
            return;
        }
        let command = put(&format!("k{}", number % 300), &format!("{number}-{}", "x".repeat(500)));
        within("put", node.propose(command)).await.expect("there is a leader");
    }
    panic!("the log is not purged");
}
