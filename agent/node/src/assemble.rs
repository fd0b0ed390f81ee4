//! A node from its parts.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use shoal_cluster::storage::StorageConfig;
use shoal_formation::BootId;
use shoal_formation_shell::{
    clock::Clock,
    discovery::Discovery,
    driver::{Driver, DriverError, Handle, Parts},
    state::{Entropy, State, StateError},
};
use shoal_node_plane::{Limits, Plane};
use shoal_store_files::disk::Disk;
use shoal_trust::schedule::FleetKeys;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::store::{Member, Store};

/// What the directory of a node's own files is called.
const NODE: &str = "node";

/// What the directory of its store is called.
const STORE: &str = "store";

/// A node's own files, open, so that it is known who it is before anything is started.
#[derive(Debug)]
pub struct Files {
    state: State,
    found: shoal_formation::Disk,
    storage: StorageConfig,
}

/// What a node is assembled from.
#[derive(Debug)]
pub struct Setup<D> {
    /// What the image and the box give.
    pub settings: shoal_formation::Settings,
    /// The fleet's keys.
    pub keys: Arc<FleetKeys>,
    /// See [`Files`].
    pub files: Files,
    /// Where it takes connections; all with the same port.
    pub listeners: Vec<TcpListener>,
    /// This process, at random.
    pub boot: BootId,
    /// Who finds peers.
    pub discovery: D,
    /// Whether the network is [usable](crate::usable).
    pub link: watch::Receiver<bool>,
    /// [`Clock::new`], but for tests.
    pub clock: Clock,
}

/// Why a node does not start. Nothing was said to anybody, and the files are as they were.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its files cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its directory cannot be made.
    #[error("cannot make the directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The port for other nodes cannot be had.
    #[error("cannot listen for other nodes on {address}: is another one running here?")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Peers cannot be looked for.
    #[error("cannot look for other nodes")]
    Discovery(#[from] shoal_discovery::StartError),
    /// Sessions cannot be had.
    #[error(transparent)]
    Plane(#[from] shoal_node_plane::StartError),
    /// What the cluster stores cannot be read.
    #[error("cannot read what this node's cluster stores")]
    Store(#[source] DriverError),
}

/// A node that runs.
#[derive(Debug)]
pub struct Running {
    /// Speaks with it; with the last of these handles it ends in order.
    pub handle: Handle,
    /// The member of the cluster that it is, while it is one.
    pub store: Member,
    /// Its sessions.
    pub plane: Plane,
    /// Ends with the node. An error means that it cannot go on from what is in memory: begin again from its files.
    pub task: JoinHandle<Result<(), DriverError>>,
}

impl Files {
    /// Opens the files below a directory that exists, or makes them if there are none. Blocks.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn open(directory: impl Into<PathBuf>, disk: Arc<dyn Disk>, entropy: Box<dyn Entropy>) -> Result<Self, StateError> {
        let directory = directory.into();
        let (state, found) = State::open(disk.clone(), &directory.join(NODE), entropy)?;
        let storage = StorageConfig { disk, ..StorageConfig::new(directory.join(STORE)) };
        Ok(Self { state, found, storage })
    }

    /// How and where the store keeps its files, to be tuned before the node starts.
    pub const fn storage_mut(&mut self) -> &mut StorageConfig {
        &mut self.storage
    }
}

/// Starts a node on the current runtime.
///
/// # Errors
/// [`StartError`].
pub async fn assemble<D: Discovery>(setup: Setup<D>) -> Result<Running, StartError> {
    let Setup { settings, keys, files, listeners, boot, discovery, link, clock } = setup;
    let Files { state, found, storage } = files;
    let sessions = shoal_node_plane::Settings { listeners, secret: state.secret(), keys, boot, limits: Limits::default() };
    let (plane, events, lanes) = shoal_node_plane::start(sessions)?;
    let (raft, store) = Store::new(storage, plane.handle().clone(), &found.role);
    let plane_handle = plane.handle().clone();
    let parts = Parts { settings, state, found, plane: plane_handle, events, lanes, boot, raft, discovery, link, clock };
    let (driver, handle) = Driver::new(parts).await.map_err(StartError::Store)?;
    Ok(Running { handle, store, plane, task: tokio::spawn(driver.run()) })
}
