//! The seam to raft: what formation asks of it, and what it says.

use std::{
    fmt::Debug,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use shoal_formation::{
    ClusterId, Control, ControlEntry, Formation, NodeId, NodeKey, Peer, RaftFacts,
    effect::{Begin, Change},
};
use shoal_node_plane::Lane;

use crate::clock::Clock;

/// What raft says.
#[derive(Debug, Clone)]
pub enum RaftEvent {
    /// Its facts have changed.
    Facts(RaftFacts),
    /// The entry at this index was committed. Each index once in the life of a process, in order, those up to the checkpoint that the process has started
    /// from not among them.
    Committed(u64, ControlEntry),
    /// What everything that was committed until now has made, in place of entries that are not to be had one by one.
    Restored(Box<Control>),
    /// It has ended by itself, and what is durable is not known. Why, for people.
    Failed(String),
}

/// What raft is given to start.
#[derive(Debug, Clone)]
pub struct RaftStart {
    /// The cluster.
    pub cluster: ClusterId,
    /// Who this node is in it.
    pub node: NodeId,
    /// With what.
    pub begin: Begin,
    /// Whom it may hear.
    pub gate: Gate,
    /// When it has heard whom is told on this clock.
    pub clock: Clock,
}

/// One member's raft, with its log. An error means that nothing is known of what is durable, and ends the node.
#[async_trait]
pub trait Raft: Debug + Send + 'static {
    /// What its directory holds, if there is one: as facts, and as far as entries are known to be committed applied. It is not started yet.
    ///
    /// # Errors
    /// If it cannot be read.
    async fn inspect(&mut self) -> io::Result<Option<(RaftFacts, Control)>>;

    /// Starts it. It is not running.
    ///
    /// # Errors
    /// If it cannot.
    async fn start(&mut self, start: RaftStart) -> io::Result<()>;

    /// Stops it, ends its lanes, and gives its last facts, which are empty if it was not running. Nothing is acknowledged any more when this is done, and
    /// nothing is said: what follows may have another key.
    ///
    /// # Errors
    /// If it cannot.
    async fn stop(&mut self) -> io::Result<RaftFacts>;

    /// Deletes its directory, durably. It is not running.
    ///
    /// # Errors
    /// If it cannot.
    async fn wipe(&mut self) -> io::Result<()>;

    /// Appends an entry if this node leads; nothing otherwise. It does not wait.
    fn propose(&mut self, entry: ControlEntry);

    /// Changes the configuration if this node leads and nothing else has changed it. It does not wait.
    fn change(&mut self, change: Change);

    /// Somebody has opened a lane. Each message in it is to be shown to the [`Gate`].
    fn take_lane(&mut self, lane: Lane);

    /// The key of a member, or of who was one, as its log has it, committed or not.
    fn key_of(&self, node: NodeId) -> Option<NodeKey>;

    /// The next event. It pends while raft is not running, and **loses nothing when it is dropped before it is ready**.
    async fn next(&mut self) -> RaftEvent;
}

/// Whom raft may hear. Cloning gives the same gate.
#[derive(Debug, Clone)]
pub struct Gate {
    formation: Arc<Mutex<Formation>>,
}

impl Gate {
    pub(crate) fn new(formation: Formation) -> Self {
        Self { formation: Arc::new(Mutex::new(formation)) }
    }

    pub(crate) fn formation(&self) -> MutexGuard<'_, Formation> {
        self.formation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether raft may hear, or ask, this peer as this member of this cluster. To be asked for every message.
    #[must_use]
    pub fn hears(&self, cluster: ClusterId, node: NodeId, peer: Peer) -> bool {
        self.formation().hears(cluster, node, peer)
    }

    /// The session that counts for a key, if one is heard.
    #[must_use]
    pub fn session(&self, key: NodeKey) -> Option<Peer> {
        self.formation().session(key)
    }

    /// This process.
    #[must_use]
    pub fn own(&self) -> Peer {
        self.formation().peer()
    }
}
