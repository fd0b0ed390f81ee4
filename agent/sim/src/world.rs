//! The nodes of one simulation, their disks and their network, and what has happened so far.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::Duration,
};

use shoal_cluster::{Begin, Identity, Node, NodeConfig, bootstrap, storage::StorageConfig};
use shoal_store_files::{
    disk::sim::{Cut, Rng, SimDisk},
    log::LogOptions,
};
use tokio::time::Instant;

use crate::{history::History, known_bug::KnownBug, network::Network};

/// How long a node that was told to end may take, before it is left to itself. It reaches nobody any more.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a node keeps its files on its disk.
pub(crate) const DIRECTORY: &str = "/store";

/// One node, running or not.
pub(crate) struct Slot {
    pub(crate) disk: SimDisk,
    pub(crate) identity: Identity,
    begin: Begin,
    /// Counts its starts and ends: what an earlier life says does not count.
    pub(crate) life: u64,
    pub(crate) node: Option<Arc<Node>>,
    /// Somebody has a reason to keep it down.
    pub(crate) held: bool,
    /// It was removed from the cluster.
    pub(crate) removed: bool,
    /// It was added to be removed again some day, not in place of another.
    pub(crate) passing: bool,
    /// Something that was durable is damaged, as it says itself: it has to be replaced.
    pub(crate) lost: bool,
    /// The last reason not to start.
    pub(crate) refusal: Option<String>,
}

/// Everything that the tasks of one simulation share.
pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) slots: RefCell<Vec<Slot>>,
    pub(crate) founders: usize,
    pub(crate) history: History,
    rng: RefCell<Rng>,
    began: Instant,
    bug: Option<KnownBug>,
    trace: RefCell<Vec<String>>,
    violation: RefCell<Option<String>>,
    /// No more faults.
    pub(crate) healed: Cell<bool>,
    /// No more clients.
    pub(crate) over: Cell<bool>,
}

tokio::task_local! {
    /// The random numbers of a task, so that what one does never depends on how often the others were woken.
    static STREAM: RefCell<Rng>;
}

/// Begins a task with random numbers of its own.
pub(crate) fn spawn<T: 'static>(world: &World, task: impl Future<Output = T> + 'static) -> tokio::task::JoinHandle<T> {
    let rng = RefCell::new(Rng::new(world.random()));
    tokio::task::spawn_local(STREAM.scope(rng, task))
}

impl World {
    pub(crate) fn new(seed: u64, founders: usize, bug: Option<KnownBug>) -> Self {
        let list: BTreeMap<String, Vec<String>> = (0..founders).map(|node| (format!("n{node}"), vec![Network::url(node)])).collect();
        let mut rng = Rng::new(seed);
        let slots = (0..founders).map(|node| {
            let (identity, begin) = bootstrap::found(&format!("n{node}"), &list, "sim").expect("it is in the list");
            Slot::new(rng.next(), identity, begin)
        });
        Self {
            slots: RefCell::new(slots.collect()),
            founders,
            network: Network::new(rng.next()),
            history: History::default(),
            rng: RefCell::new(rng),
            began: Instant::now(),
            bug,
            trace: RefCell::default(),
            violation: RefCell::default(),
            healed: Cell::new(false),
            over: Cell::new(false),
        }
    }

    /// Simulated time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn note(&self, what: impl AsRef<str>) {
        self.trace.borrow_mut().push(format!("{:>9.3?} {}", self.now(), what.as_ref()));
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        self.trace.borrow().clone()
    }

    /// An invariant does not hold. The first such counts.
    pub(crate) fn violate(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(format!("VIOLATION {what}"));
        self.violation.borrow_mut().get_or_insert(what);
    }

    pub(crate) fn violation(&self) -> Option<String> {
        self.violation.borrow().clone()
    }

    pub(crate) fn random(&self) -> u64 {
        STREAM.try_with(|rng| rng.borrow_mut().next()).unwrap_or_else(|_| self.rng.borrow_mut().next())
    }

    pub(crate) fn below(&self, bound: usize) -> usize {
        (self.random() % bound as u64) as usize
    }

    pub(crate) fn between(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below((most - least + 1) as usize) as u64)
    }

    /// How many nodes there are, running or not.
    pub(crate) fn count(&self) -> usize {
        self.slots.borrow().len()
    }

    /// A node that runs, with its life.
    pub(crate) fn node(&self, number: usize) -> Option<(Arc<Node>, u64)> {
        let slots = self.slots.borrow();
        let slot = slots.get(number)?;
        Some((slot.node.clone()?, slot.life))
    }

    pub(crate) fn running(&self) -> Vec<usize> {
        self.slots.borrow().iter().enumerate().filter(|(_, slot)| slot.node.is_some()).map(|(number, _)| number).collect()
    }

    /// Whether the node is still in this life.
    pub(crate) fn lives(&self, number: usize, life: u64) -> bool {
        self.slots.borrow()[number].life == life
    }

    /// Makes room for a member that was added.
    pub(crate) fn add_slot(&self) -> usize {
        let seed = self.random();
        let mut slots = self.slots.borrow_mut();
        slots.push(Slot::new(seed, Identity { cluster: 0, member: 0 }, Begin::Join(BTreeMap::new())));
        let slot = slots.last_mut().expect("it was pushed");
        slot.held = true;
        slots.len() - 1
    }

    /// Starts a node, if it can be started.
    pub(crate) async fn start(&self, number: usize) {
        let seed = self.random();
        let (life, config) = {
            let mut slots = self.slots.borrow_mut();
            let slot = &mut slots[number];
            if slot.node.is_some() || slot.removed || slot.lost {
                return;
            }
            slot.life += 1;
            let storage = StorageConfig { disk: Arc::new(slot.disk.clone()), ..StorageConfig::new(Path::new(DIRECTORY)) };
            let mut config = NodeConfig::new(slot.identity, slot.begin.clone(), storage, seed);
            config.name = format!("n{number}");
            (slot.life, config)
        };
        let config = self.configure(config);
        let (transport, acceptor) = self.network.attach(number, life);
        match Node::start(config, transport, acceptor).await {
            Ok(node) => {
                // As whoever looks for members does: where they were seen, whether this one has heard of them or not.
                for (other, slot) in
                    self.slots.borrow().iter().enumerate().filter(|(other, slot)| *other != number && slot.identity.member != 0)
                {
                    node.set_address(slot.identity.member, vec![Network::url(other)]);
                }
                let mut slots = self.slots.borrow_mut();
                if slots[number].life == life {
                    slots[number].node = Some(Arc::new(node));
                    slots[number].refusal = None;
                    drop(slots);
                    self.note(format!("n{number} runs"));
                }
            }
            Err(error) => {
                self.network.detach(number);
                self.note(format!("n{number} does not start: {error}"));
                self.slots.borrow_mut()[number].refusal = Some(error.to_string());
                self.crash(number, false).await;
            }
        }
    }

    /// How all nodes keep their logs: in small segments, so that they fill and are used again.
    pub(crate) fn log_options(&self) -> LogOptions {
        let bugs = self.bug.map(KnownBug::of_the_files).unwrap_or_default();
        LogOptions { segment_bytes: 64 << 10, spares: 1, space_retry: Duration::from_secs(1), bugs, ..LogOptions::default() }
    }

    fn configure(&self, mut config: NodeConfig) -> NodeConfig {
        config.storage.log = self.log_options();
        config.heartbeat_interval = Duration::from_millis(50);
        config.election_timeout = Duration::from_millis(500);
        config.checkpoint_bytes = 6 << 10;
        config.kept_log_bytes = 2 << 10;
        config.log_bytes = 256 << 10;
        config.bug = self.bug.and_then(KnownBug::of_the_node);
        config
    }

    /// Takes a node's power away, or only kills its process. Whatever it was about to do does not happen. Sectors may be written in part, so that
    /// each byte is the old one or the new one; redb counts on that much. That the log bears garbage, too, is held by its own tests.
    pub(crate) async fn crash(&self, number: usize, power: bool) {
        let node = {
            let mut slots = self.slots.borrow_mut();
            let slot = &mut slots[number];
            slot.life += 1;
            if power || !slot.disk.has_power() {
                slot.disk.restart(Cut { torn_sectors: true, garbage: false })
            } else {
                slot.disk.kill()
            }
            slot.node.take()
        };
        self.network.detach(number);
        if let Some(node) = node {
            let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, node.shutdown()).await;
        }
    }
}

impl Slot {
    /// Whether it may be removed.
    pub(crate) const fn can_go(&self) -> bool {
        self.passing && !self.removed
    }

    fn new(seed: u64, identity: Identity, begin: Begin) -> Self {
        Self {
            disk: SimDisk::new(seed),
            identity,
            begin,
            life: 0,
            node: None,
            held: false,
            removed: false,
            passing: false,
            lost: false,
            refusal: None,
        }
    }
}
