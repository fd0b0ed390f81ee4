//! The real core of formation over real nodes: its messages are handed over in memory, its time passes [`SPEED`] times as fast.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use shoal_cluster::{
    Node, NodeConfig, Replica,
    formation::{Event, Formed, read},
    storage::StorageConfig,
};
use shoal_formation::{
    BootId, ClusterId, Disk, Effect, Formation, Identity, Incarnation, Input, NodeId, NodeKey, Now, Peer, RaftFacts, Record, Role,
    Settings, Standing, State,
};
use shoal_store_files::{checkpoint::CheckpointOptions, disk::sim::SimDisk, log::LogOptions};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use crate::fleet::{Wire, connect, put, within};

/// Seconds of the core in one second: its shortest patience, ten seconds without a word of a peer, must be longer than anything takes here.
const SPEED: u32 = 8;

static RANDOM: AtomicU64 = AtomicU64::new(1 << 20);

fn random() -> u64 {
    RANDOM.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn identity() -> (Identity, ClusterId) {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&random().to_be_bytes());
    (Identity { key: NodeKey(key), incarnation: Incarnation(random()) }, ClusterId(u128::from(random()) << 64 | u128::from(random())))
}

/// Where processes hear what is said to them.
type Sessions = Arc<Mutex<BTreeMap<Peer, mpsc::UnboundedSender<Input>>>>;

/// A stick: what survives the process.
struct Stick {
    disk: Disk,
    raft: Arc<SimDisk>,
}

/// A process.
struct Process {
    core: Arc<Mutex<Formation>>,
    node: Arc<Mutex<Option<Arc<Node>>>>,
    inbox: mpsc::UnboundedSender<Input>,
    driver: JoinHandle<Stick>,
}

impl Process {
    fn core(&self) -> MutexGuard<'_, Formation> {
        self.core.lock().expect("no test panics here")
    }

    fn node(&self) -> Arc<Node> {
        self.node.lock().expect("no test panics here").clone().expect("raft runs")
    }

    fn member(&self) -> Option<(ClusterId, NodeId, bool)> {
        match self.core().standing() {
            Some(Standing::Member(member)) => Some((member.cluster, member.node, member.sealed)),
            _ => None,
        }
    }
}

fn storage(raft: &Arc<SimDisk>) -> StorageConfig {
    let log = LogOptions { segment_bytes: 64 << 10, ..LogOptions::default() };
    StorageConfig { directory: "/raft".into(), disk: raft.clone(), log, checkpoint: CheckpointOptions::default() }
}

/// The same facts on the clock of the core.
fn hurried(mut facts: RaftFacts) -> RaftFacts {
    for progress in facts.leading.iter_mut().flat_map(|leading| &mut leading.progress) {
        progress.heard = progress.heard.map(|heard| Now::at(heard.since_zero() * SPEED));
    }
    facts
}

/// What a process does for its core.
struct Driver {
    core: Arc<Mutex<Formation>>,
    own: Peer,
    zero: Instant,
    wire: Arc<Wire>,
    sessions: Sessions,
    stick: Stick,
    node: Arc<Mutex<Option<Arc<Node>>>>,
    after: u64,
    inbox: mpsc::UnboundedSender<Input>,
    watchers: Vec<JoinHandle<()>>,
}

impl Driver {
    fn running(&self) -> Option<Arc<Node>> {
        self.node.lock().expect("no test panics here").clone()
    }

    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Input>, first: Vec<Effect>) -> Stick {
        self.act(first).await;
        loop {
            let deadline = self.core.lock().expect("no test panics here").deadline();
            let wake = deadline.map_or(Duration::from_secs(1), Now::since_zero) / SPEED;
            let input = tokio::select! {
                biased;
                input = inbox.recv() => input,
                () = tokio::time::sleep_until(self.zero + wake) => Some(Input::Wake),
            };
            // Whoever ends the process hands in nothing more.
            let Some(input) = input else { break };
            if let Input::Retired(ClusterId(0)) = input {
                break;
            }
            let now = Now::at(self.zero.elapsed() * SPEED);
            let effects = self.core.lock().expect("no test panics here").handle(now, input);
            self.act(effects).await;
        }
        self.sessions.lock().expect("no test panics here").remove(&self.own);
        self.stop().await;
        self.stick
    }

    async fn stop(&mut self) -> RaftFacts {
        let node = self.node.lock().expect("no test panics here").take();
        let facts = match node {
            Some(node) => node.stop().await,
            None => RaftFacts::default(),
        };
        for watcher in self.watchers.drain(..) {
            watcher.abort();
            let _ = watcher.await;
        }
        self.wire.forget(self.own.key);
        hurried(facts)
    }

    async fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(to, message) => {
                    if let Some(session) = self.sessions.lock().expect("no test panics here").get(&to) {
                        let _ = session.send(Input::Heard(self.own, message));
                    }
                }
                Effect::Persist(record) => match record {
                    Record::Epoch(epoch) => self.stick.disk.epoch = epoch,
                    Record::Role(role) => self.stick.disk.role = role,
                    Record::PastLives(past_lives) => self.stick.disk.past_lives = past_lives,
                    Record::Floors(floors) => self.stick.disk.floors = floors,
                },
                Effect::WipeRaft => {
                    self.stick.raft = Arc::new(SimDisk::new(random()));
                    self.after = 0;
                }
                Effect::Mint => panic!("nobody leaves in these tests"),
                Effect::StartRaft(cluster, node, begin) => self.start(cluster, node, begin).await,
                Effect::StopRaft => {
                    let facts = self.stop().await;
                    let _ = self.inbox.send(Input::RaftStopped(facts));
                }
                Effect::Propose(entry) => {
                    if let Some(handle) = self.running().and_then(|node| node.formation()) {
                        tokio::spawn(async move { handle.propose(entry).await });
                    }
                }
                Effect::ChangeConfiguration(change) => {
                    if let Some(handle) = self.running().and_then(|node| node.formation()) {
                        tokio::spawn(async move { handle.change(change).await });
                    }
                }
                Effect::Announce(_) | Effect::Raise(_) => {}
            }
        }
    }

    async fn start(&mut self, cluster: ClusterId, node: NodeId, begin: shoal_formation::effect::Begin) {
        let core = self.core.clone();
        let hears = Arc::new(move |of, node, peer| core.lock().expect("no test panics here").hears(of, node, peer));
        let formed = Formed { cluster, key: self.own.key, begin, after: self.after, zero: self.zero, hears };
        let mut config = NodeConfig::formed(node, formed, storage(&self.stick.raft), random());
        config.heartbeat_interval = Duration::from_millis(50);
        config.election_timeout = Duration::from_millis(500);
        let (transport, acceptor) = connect(self.own, &self.wire);
        let node = Node::start(config, transport, acceptor).await.expect("its files are good");
        let handle = node.formation().expect("it is of such a cluster");
        *self.node.lock().expect("no test panics here") = Some(Arc::new(node));
        let (mut facts, mut committed) = (handle.facts(), handle.committed());
        let inbox = self.inbox.clone();
        // One task, so that what it hands in comes in the order in which it came out.
        self.watchers.push(tokio::spawn(async move {
            facts.mark_changed();
            loop {
                tokio::select! {
                    biased;
                    event = committed.next() => {
                        let _ = inbox.send(match event {
                            Event::Entry(index, entry) => Input::Committed(index, entry),
                            Event::State(_, control) => Input::Restored(control),
                        });
                    }
                    changed = facts.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        let now = facts.borrow_and_update().clone();
                        let _ = inbox.send(Input::Raft(hurried(now)));
                    }
                }
            }
        }));
    }
}

/// Switches a box on.
fn boot(mut stick: Stick, wire: &Arc<Wire>, sessions: &Sessions) -> Process {
    let (boot, (_, fresh)) = (BootId(random()), identity());
    let own = Peer { key: stick.disk.identity.key, boot };
    stick.disk.raft = match stick.disk.role {
        Role::Member(cluster, node) => read(&storage(&stick.raft), cluster, node).expect("its files are good"),
        Role::Founding(cluster) => read(&storage(&stick.raft), cluster, NodeId::FOUNDER).expect("its files are good"),
        _ => None,
    };
    let after = stick.disk.raft.as_ref().map_or(0, |(facts, _)| facts.committed);
    let (core, first) = Formation::start(Now::default(), Settings::default(), stick.disk.clone(), boot, fresh);
    let (core, node) = (Arc::new(Mutex::new(core)), Arc::default());
    let (inbox, heard) = mpsc::unbounded_channel();
    let _ = inbox.send(Input::Link(true));
    let mut all = sessions.lock().expect("no test panics here");
    for (peer, session) in all.iter() {
        let _ = session.send(Input::Met(own));
        let _ = inbox.send(Input::Met(*peer));
    }
    all.insert(own, inbox.clone());
    drop(all);
    let driver = Driver {
        core: core.clone(),
        own,
        zero: Instant::now(),
        wire: wire.clone(),
        sessions: sessions.clone(),
        stick,
        node: Arc::clone(&node),
        after,
        inbox: inbox.clone(),
        watchers: Vec::new(),
    };
    Process { core, node, inbox, driver: tokio::spawn(driver.run(heard, first)) }
}

async fn switch_off(process: Process) -> Stick {
    let _ = process.inbox.send(Input::Retired(ClusterId(0)));
    within("end", process.driver).await.expect("the driver ends well")
}

async fn until(what: &str, processes: &[Process], holds: impl Fn(&[Process]) -> bool) {
    within(what, async {
        while !holds(processes) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

fn voters(process: &Process) -> usize {
    let node = process.node.lock().expect("no test panics here").clone();
    node.and_then(|node| node.formation()).map_or(0, |handle| handle.facts().borrow().configuration.voters.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_boxes_become_one_sealed_cluster_and_it_outlives_them_all() {
    let (wire, sessions) = (Arc::<Wire>::default(), Sessions::default());
    let blank = || Stick { disk: Disk::blank(identity().0), raft: Arc::new(SimDisk::new(random())) };
    let mut processes: Vec<Process> = (0..3).map(|_| boot(blank(), &wire, &sessions)).collect();
    let one_cluster = |processes: &[Process]| {
        let members: Vec<_> = processes.iter().map(Process::member).collect();
        members.iter().all(|member| member.is_some_and(|(cluster, ..)| members[0].is_some_and(|first| first.0 == cluster)))
    };
    until("cluster of three voters", &processes, |processes| {
        one_cluster(processes) && processes.iter().all(|process| voters(process) == 3)
    })
    .await;
    until("birth", &processes, |processes| processes.iter().all(|process| process.core().control().is_born())).await;
    let _ = processes[2].inbox.send(Input::SealWanted);
    until("seal", &processes, |processes| processes.iter().all(|process| process.member().is_some_and(|(.., sealed)| sealed))).await;
    within("put", processes[0].node().propose(put("k", "v"))).await.expect("there is a leader");
    let who: Vec<_> = processes.iter().map(Process::member).collect();

    // One after the other: two are always there.
    for _ in 0..3 {
        let stick = switch_off(processes.remove(0)).await;
        let (left, is_member) = (processes.len(), |process: &Process| process.core().state() == State::Member);
        assert!(left == 2 && processes.iter().all(is_member));
        processes.push(boot(stick, &wire, &sessions));
        until("leader", &processes, |processes| {
            let leads = |process: &&Process| process.node().formation().is_some_and(|handle| handle.facts().borrow().leading.is_some());
            processes.iter().all(|process| process.node.lock().expect("no test panics here").is_some())
                && processes.iter().filter(leads).count() == 1
        })
        .await;
    }
    // And all at once.
    let mut sticks = Vec::new();
    for process in processes {
        sticks.push(switch_off(process).await);
    }
    let processes: Vec<Process> = sticks.into_iter().map(|stick| boot(stick, &wire, &sessions)).collect();
    until("raft", &processes, |processes| processes.iter().all(|process| process.node.lock().expect("no test panics here").is_some()))
        .await;
    within("put", processes[0].node().propose(put("k", "w"))).await.expect("there is a leader");
    assert_eq!(processes.iter().map(Process::member).collect::<Vec<_>>(), who, "the same cluster, the same numbers, sealed");
    for process in processes {
        switch_off(process).await;
    }
}
