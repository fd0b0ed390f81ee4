//! The store's member behind formation's seam to raft.

use std::{future::pending, io, sync::Arc};

use async_trait::async_trait;
use shoal_cluster::{
    Ended, Node, NodeConfig,
    formation::{Committed, Event, Formed, Handle, read},
    storage::StorageConfig,
};
use shoal_formation::{ClusterId, Control, ControlEntry, NodeId, NodeKey, Now, RaftFacts, Role, effect::Change};
use shoal_formation_shell::{
    clock::Clock,
    raft::{Raft, RaftEvent, RaftStart},
};
use shoal_node_plane::{Handle as PlaneHandle, Lane};
use shoal_trust::{identity::NodeName, key};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, spawn_blocking},
};

use crate::lanes::{Lanes, Opened};

/// Lanes that wait to be taken by the store, which does so at once. More are closed, and opened again by their peers.
const LANES_MAX: usize = 64;

/// Bytes of the store beyond which writes are refused (etcd's NOSPACE) and none is lost. All of it is in memory: half of what the agent may take on a box
/// (recipes/shoal.toml). etcd's default of 2 GiB would end as a box that is killed.
const QUOTA_BYTES: u64 = 512 << 20;

/// The member of the cluster that this node is, while it is one and runs. Cloning gives the same.
pub type Member = watch::Receiver<Option<Arc<Node>>>;

/// The replicated store as formation's raft.
#[derive(Debug)]
pub struct Store {
    storage: StorageConfig,
    plane: PlaneHandle,
    /// Whose the files are, as the role says that the process has begun with.
    found: Option<(ClusterId, NodeId)>,
    /// The last index that formation knows what was made of.
    after: u64,
    running: Option<Running>,
    member: watch::Sender<Option<Arc<Node>>>,
}

#[derive(Debug)]
struct Running {
    node: Arc<Node>,
    handle: Handle,
    facts: watch::Receiver<RaftFacts>,
    committed: Committed,
    lanes: mpsc::Sender<Lane>,
    /// Proposals and changes that are not decided.
    work: JoinSet<()>,
    clock: Clock,
}

impl Store {
    /// One that does not run. The storage's parent directory exists; `role` is what the node's files say that it is.
    #[must_use]
    pub fn new(storage: StorageConfig, plane: PlaneHandle, role: &Role) -> (Self, Member) {
        let found = match role {
            Role::Member(cluster, node) => Some((*cluster, *node)),
            Role::Founding(cluster) => Some((*cluster, NodeId::FOUNDER)),
            _ => None,
        };
        let (member, watched) = watch::channel(None);
        (Self { storage, plane, found, after: 0, running: None, member }, watched)
    }
}

/// Moments of the store, which counts real time from the clock's zero, as moments of the clock.
fn on_clock(clock: Clock, mut facts: RaftFacts) -> RaftFacts {
    let on_clock = |heard: Now| clock.at(clock.zero() + heard.since_zero());
    for progress in facts.leading.iter_mut().flat_map(|leading| &mut leading.progress) {
        progress.heard = progress.heard.map(on_clock);
    }
    facts
}

/// What people call a node.
fn name(key: NodeKey) -> String {
    key::NodeKey::from_bytes(&key.0).map(|key| NodeName::of(&key).as_str().to_owned()).unwrap_or_default()
}

#[async_trait]
impl Raft for Store {
    async fn inspect(&mut self) -> io::Result<Option<(RaftFacts, Control)>> {
        let Some((cluster, node)) = self.found else { return Ok(None) };
        let storage = self.storage.clone();
        let found = spawn_blocking(move || read(&storage, cluster, node)).await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        self.after = found.as_ref().map_or(0, |(facts, _)| facts.committed);
        Ok(found)
    }

    async fn start(&mut self, start: RaftStart) -> io::Result<()> {
        let RaftStart { cluster, node, begin, gate, clock } = start;
        let key = gate.own().key;
        let hears = Arc::new(move |cluster, node, peer| gate.hears(cluster, node, peer));
        let formed = Formed { cluster, key, begin, after: self.after, zero: clock.zero(), hears };
        let mut config = NodeConfig::formed(node, formed, self.storage.clone(), self.storage.disk.random()?);
        config.name = name(key);
        config.quota_bytes = QUOTA_BYTES;
        let (lanes, opened) = mpsc::channel(LANES_MAX);
        let transport = Arc::new(Lanes(self.plane.clone()));
        let started = Arc::new(Node::start(config, transport, Opened(opened)).await.map_err(io::Error::other)?);
        let handle = started.formation().ok_or_else(|| io::Error::other("the store was started as something else"))?;
        let (mut facts, committed) = (handle.facts(), handle.committed());
        facts.mark_changed();
        self.member.send_replace(Some(started.clone()));
        self.running = Some(Running { node: started, handle, facts, committed, lanes, work: JoinSet::new(), clock });
        Ok(())
    }

    async fn stop(&mut self) -> io::Result<RaftFacts> {
        self.member.send_replace(None);
        let Some(mut running) = self.running.take() else { return Ok(RaftFacts::default()) };
        running.work.shutdown().await;
        Ok(on_clock(running.clock, running.node.stop().await))
    }

    async fn wipe(&mut self) -> io::Result<()> {
        self.after = 0;
        self.found = None;
        let storage = self.storage.clone();
        spawn_blocking(move || storage.wipe()).await.map_err(io::Error::other)?.map_err(io::Error::other)
    }

    fn propose(&mut self, entry: ControlEntry) {
        let Some(running) = &mut self.running else { return };
        let handle = running.handle.clone();
        running.reap();
        running.work.spawn(async move {
            let what = format!("{entry:?}");
            match handle.propose(entry).await {
                Ok(outcome) => tracing::debug!(what, ?outcome, "an entry is committed"),
                // The core sees what has become of it, and decides anew.
                Err(error) => tracing::debug!(what, %error, "an entry is not known to be committed"),
            }
        });
    }

    fn change(&mut self, change: Change) {
        let Some(running) = &mut self.running else { return };
        let handle = running.handle.clone();
        running.reap();
        running.work.spawn(async move {
            if let Err(error) = handle.change(change).await {
                tracing::debug!(%error, "the configuration is not known to have changed");
            }
        });
    }

    fn take_lane(&mut self, lane: Lane) {
        if let Some(running) = &self.running {
            // What does not fit is closed by being dropped.
            drop(running.lanes.try_send(lane));
        }
    }

    fn key_of(&self, node: NodeId) -> Option<NodeKey> {
        self.running.as_ref()?.handle.key_of(node)
    }

    async fn next(&mut self) -> RaftEvent {
        let Some(running) = &mut self.running else { return pending().await };
        tokio::select! {
            biased;
            event = running.committed.next() => match event {
                Event::Entry(index, entry) => {
                    self.after = index;
                    RaftEvent::Committed(index, entry)
                }
                Event::State(index, control) => {
                    self.after = index;
                    RaftEvent::Restored(control)
                }
            },
            ended = running.node.ended() => RaftEvent::Failed(match ended {
                Ended::Failed(why) => why,
                other => format!("the store has ended by itself: {other:?}"),
            }),
            // The sender lives as long as the node.
            _ = running.facts.changed() => {
                let facts = running.facts.borrow_and_update().clone();
                RaftEvent::Facts(on_clock(running.clock, facts))
            }
        }
    }
}

impl Running {
    /// Forgets work that is done.
    fn reap(&mut self) {
        while self.work.try_join_next().is_some() {}
    }
}
