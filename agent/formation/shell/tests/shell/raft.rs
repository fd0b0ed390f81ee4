//! The simulator's model of raft over the seam, and over real lanes. What travels in them is the number of a message, which lies in memory: the model has no
//! bytes. Who has sent it is who the lane proves, and whether it is heard is asked for each of them.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use shoal_formation::{
    ClusterId, Control, ControlEntry, NodeId, NodeKey, Now, Peer, RaftFacts, Settings,
    effect::{Begin, Change},
};
use shoal_formation_shell::{
    clock::Clock,
    raft::{Gate, Raft, RaftEvent, RaftStart},
};
use shoal_formation_sim::raft::{Payload, Raft as Model, RaftDisk, RaftMessage, Time, duration};
use shoal_node_plane::{Handle as PlaneHandle, Lane};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    task::JoinSet,
    time::sleep_until,
};

/// A message, from whom its lane proves.
type Heard = (Peer, Parcel);

#[derive(Debug)]
struct Parcel {
    cluster: ClusterId,
    node: NodeId,
    to: NodeId,
    message: RaftMessage,
}

/// Messages that are on their way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hub(Arc<Mutex<(u64, BTreeMap<u64, Parcel>)>>);

impl Hub {
    fn put(&self, parcel: Parcel) -> u64 {
        let (next, parcels) = &mut *self.0.lock().unwrap();
        *next += 1;
        parcels.insert(*next, parcel);
        *next
    }

    fn take(&self, number: u64) -> Option<Parcel> {
        self.0.lock().unwrap().1.remove(&number)
    }
}

/// Carries numbers to a node, over a lane that is opened when it is needed. What cannot be carried is lost, as a message is.
async fn carry(plane: PlaneHandle, hub: Hub, node: NodeKey, mut numbers: mpsc::UnboundedReceiver<u64>) {
    let mut lane = None;
    while let Some(number) = numbers.recv().await {
        if lane.is_none() {
            lane = plane.open_lane(node).await.ok();
        }
        let sent = match &mut lane {
            Some(Lane { stream, .. }) => stream.write_u64(number).await.is_ok() && stream.flush().await.is_ok(),
            None => false,
        };
        if !sent {
            lane = None;
            hub.take(number);
        }
    }
}

/// Reads numbers from a lane.
async fn read(hub: Hub, mut lane: Lane, heard: mpsc::UnboundedSender<Heard>) {
    while let Ok(number) = lane.stream.read_u64().await {
        if let Some(parcel) = hub.take(number) {
            drop(heard.send((lane.peer, parcel)));
        }
    }
}

/// Raft's directory.
pub(crate) type Medium = Arc<Mutex<Option<RaftDisk>>>;

#[derive(Debug)]
pub(crate) struct SimRaft {
    hub: Hub,
    plane: PlaneHandle,
    incoming: (mpsc::UnboundedSender<Heard>, mpsc::UnboundedReceiver<Heard>),
    /// To each node, for as long as raft runs.
    outgoing: BTreeMap<NodeKey, mpsc::UnboundedSender<u64>>,
    tasks: JoinSet<()>,
    medium: Medium,
    random: fastrand::Rng,
    running: Option<Running>,
    pending: VecDeque<RaftEvent>,
}

#[derive(Debug)]
struct Running {
    raft: Model,
    gate: Gate,
    clock: Clock,
    facts: RaftFacts,
    members: BTreeMap<NodeId, Peer>,
}

fn time(clock: &Clock) -> Time {
    clock.now().since_zero().as_micros() as Time
}

fn now(at: Time) -> Now {
    Now::at(duration(at))
}

impl SimRaft {
    pub(crate) fn new(hub: Hub, plane: PlaneHandle, medium: Medium, seed: u64) -> Self {
        Self {
            hub,
            plane,
            incoming: mpsc::unbounded_channel(),
            outgoing: BTreeMap::new(),
            tasks: JoinSet::new(),
            medium,
            random: fastrand::Rng::with_seed(seed),
            running: None,
            pending: VecDeque::new(),
        }
    }

    /// What raft has done becomes durable, goes out, and is told.
    fn after(&mut self) {
        let Some(running) = &mut self.running else { return };
        let Running { raft, gate, members, facts, .. } = running;
        let mut told = Vec::new();
        while raft.applied < raft.commit {
            raft.applied += 1;
            if let Some(Payload::Control(entry)) = raft.disk.entry(raft.applied).map(|entry| &entry.payload) {
                told.push(RaftEvent::Committed(raft.applied, *entry));
            }
        }
        *self.medium.lock().unwrap() = Some(RaftDisk { checkpoint: raft.applied, ..raft.disk.clone() });
        let (cluster, node) = (raft.disk.cluster, raft.node());
        for (to, message) in raft.outbox.drain(..) {
            let session = raft.disk.key_of(to).and_then(|key| gate.session(key)).or_else(|| members.get(&to).copied());
            let Some(Peer { key, .. }) = session else { continue };
            let Self { hub, plane, outgoing, tasks, .. } = self;
            let queue = outgoing.entry(key).or_insert_with(|| {
                let (queue, numbers) = mpsc::unbounded_channel();
                tasks.spawn(carry(plane.clone(), hub.clone(), key, numbers));
                queue
            });
            queue.send(hub.put(Parcel { cluster, node, to, message })).expect("it carries until raft stops");
        }
        let new = raft.facts(now);
        if *facts != new {
            facts.clone_from(&new);
            self.pending.push_back(RaftEvent::Facts(new));
        }
        self.pending.extend(told);
    }
}

#[async_trait]
impl Raft for SimRaft {
    async fn inspect(&mut self) -> io::Result<Option<(RaftFacts, Control)>> {
        Ok(self.medium.lock().unwrap().as_ref().map(|disk| disk.facts(&Settings::default())))
    }

    async fn start(&mut self, start: RaftStart) -> io::Result<()> {
        assert!(self.running.is_none(), "it is not running");
        let RaftStart { cluster, node, begin, gate, clock } = start;
        let at = time(&clock);
        let disk = self.medium.lock().unwrap().clone();
        let raft = match (begin, disk) {
            (Begin::Found, _) => Model::found(cluster, at, &mut self.random),
            (Begin::Resume, Some(disk)) => {
                assert_eq!((disk.cluster, disk.node), (cluster, node), "a store never holds the entries of two clusters");
                Model::start(disk, at, &mut self.random)
            }
            (Begin::Resume, None) => Model::start(RaftDisk::blank(cluster, node), at, &mut self.random),
        };
        // What came while it did not run is for nobody.
        while self.incoming.1.try_recv().is_ok() {}
        self.running = Some(Running { raft, gate, clock, facts: RaftFacts::default(), members: BTreeMap::new() });
        self.after();
        Ok(())
    }

    async fn stop(&mut self) -> io::Result<RaftFacts> {
        self.after();
        let running = self.running.take().expect("it is running");
        // Lanes end with it: what comes after may have another key.
        self.outgoing.clear();
        self.tasks.abort_all();
        // Entries are told, even if raft starts again.
        self.pending.retain(|event| matches!(event, RaftEvent::Committed(..)));
        Ok(running.raft.facts(now))
    }

    async fn wipe(&mut self) -> io::Result<()> {
        assert!(self.running.is_none(), "it is not running");
        self.pending.clear();
        *self.medium.lock().unwrap() = None;
        Ok(())
    }

    fn propose(&mut self, entry: ControlEntry) {
        if let Some(running) = &mut self.running {
            running.raft.propose(time(&running.clock), &mut self.random, Payload::Control(entry));
        }
        self.after();
    }

    fn change(&mut self, change: Change) {
        if let Some(running) = &mut self.running {
            running.raft.change(time(&running.clock), &mut self.random, &change);
        }
        self.after();
    }

    fn take_lane(&mut self, lane: Lane) {
        if self.running.is_some() {
            self.tasks.spawn(read(self.hub.clone(), lane, self.incoming.0.clone()));
        }
    }

    fn key_of(&self, node: NodeId) -> Option<NodeKey> {
        self.running.as_ref().and_then(|running| running.raft.disk.key_of(node))
    }

    async fn next(&mut self) -> RaftEvent {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return event;
            }
            let Some(running) = &mut self.running else { return std::future::pending().await };
            let due = running.clock.moment(Now::at(Duration::from_micros(running.raft.due)));
            tokio::select! {
                Some((from, Parcel { cluster, node, to, message })) = self.incoming.1.recv() => {
                    if running.raft.node() == to && running.gate.hears(cluster, node, from) {
                        running.members.insert(node, from);
                        running.raft.hear(time(&running.clock), &mut self.random, node, message);
                    }
                }
                () = sleep_until(due) => running.raft.wake(time(&running.clock), &mut self.random),
            }
            self.after();
        }
    }
}
