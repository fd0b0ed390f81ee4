//! The simulator's model of raft over the seam. Its messages go from process to process in memory; whom it hears is asked for each of them.

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
use shoal_node_plane::Lane;
use tokio::{sync::mpsc, time::sleep_until};

#[derive(Debug)]
struct Envelope {
    from: Peer,
    cluster: ClusterId,
    node: NodeId,
    to: NodeId,
    message: RaftMessage,
}

/// Where processes are that run raft.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hub(Arc<Mutex<BTreeMap<Peer, mpsc::UnboundedSender<Envelope>>>>);

/// Raft's directory.
pub(crate) type Medium = Arc<Mutex<Option<RaftDisk>>>;

#[derive(Debug)]
pub(crate) struct SimRaft {
    hub: Hub,
    medium: Medium,
    random: fastrand::Rng,
    running: Option<Running>,
    pending: VecDeque<RaftEvent>,
}

#[derive(Debug)]
struct Running {
    raft: Model,
    own: Peer,
    gate: Gate,
    clock: Clock,
    inbox: mpsc::UnboundedReceiver<Envelope>,
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
    pub(crate) fn new(hub: Hub, medium: Medium, seed: u64) -> Self {
        Self { hub, medium, random: fastrand::Rng::with_seed(seed), running: None, pending: VecDeque::new() }
    }

    /// What raft has done becomes durable, goes out, and is told.
    fn after(&mut self) {
        let Some(running) = &mut self.running else { return };
        let Running { raft, own, gate, members, facts, .. } = running;
        let mut told = Vec::new();
        while raft.applied < raft.commit {
            raft.applied += 1;
            if let Some(Payload::Control(entry)) = raft.disk.entry(raft.applied).map(|entry| &entry.payload) {
                told.push(RaftEvent::Committed(raft.applied, *entry));
            }
        }
        *self.medium.lock().unwrap() = Some(RaftDisk { checkpoint: raft.applied, ..raft.disk.clone() });
        let hub = self.hub.0.lock().unwrap();
        let (cluster, node) = (raft.disk.cluster, raft.node());
        for (to, message) in raft.outbox.drain(..).collect::<Vec<_>>() {
            let session = raft.disk.key_of(to).and_then(|key| gate.session(key)).or_else(|| members.get(&to).copied());
            if let Some(queue) = session.and_then(|peer| hub.get(&peer)) {
                // Who has just ended hears nothing.
                drop(queue.send(Envelope { from: *own, cluster, node, to, message }));
            }
        }
        let new = raft.facts(now);
        if *facts != new {
            facts.clone_from(&new);
            self.pending.push_back(RaftEvent::Facts(new));
        }
        self.pending.extend(told);
    }
}

impl Drop for SimRaft {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            self.hub.0.lock().unwrap().remove(&running.own);
        }
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
        let (queue, inbox) = mpsc::unbounded_channel();
        let own = gate.own();
        self.hub.0.lock().unwrap().insert(own, queue);
        self.running = Some(Running { raft, own, gate, clock, inbox, facts: RaftFacts::default(), members: BTreeMap::new() });
        self.after();
        Ok(())
    }

    async fn stop(&mut self) -> io::Result<RaftFacts> {
        self.after();
        let running = self.running.take().expect("it is running");
        self.hub.0.lock().unwrap().remove(&running.own);
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
        panic!("the model opens no lanes: {lane:?}");
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
                Some(Envelope { from, cluster, node, to, message }) = running.inbox.recv() => {
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
