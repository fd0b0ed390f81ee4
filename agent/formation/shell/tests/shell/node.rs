//! A box: its disk, and the process that runs from it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use shoal_formation::{BootId, HardwareHint, Settings};
use shoal_formation_shell::{
    clock::Clock,
    discovery::Told,
    driver::{Driver, DriverError, Handle, Parts},
    state::{Entropy, State},
    status::Status,
};
use shoal_node_plane::{Limits, Plane};
use shoal_store_files::disk::{Disk, sim::SimDisk};
use shoal_trust::{
    fleet::{FleetId, Generation},
    schedule::FleetKeys,
    secret::JoinSecret,
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::raft::{Hub, Medium, SimRaft};

/// How many times as fast as the core's timers a test goes: a formation takes two seconds, and a peer that is silent for one is gone.
const SPEED: u32 = 10;

/// Far longer than anything takes here.
const SOON: Duration = Duration::from_secs(90);

/// What survives power cuts.
#[derive(Debug, Clone)]
pub(crate) struct Stick {
    pub(crate) number: u64,
    pub(crate) disk: SimDisk,
    pub(crate) medium: Medium,
}

/// A process.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) stick: Stick,
    pub(crate) address: SocketAddr,
    pub(crate) handle: Handle,
    finds: mpsc::UnboundedSender<SocketAddr>,
    plane: Plane,
    task: JoinHandle<Result<(), DriverError>>,
    _link: watch::Sender<bool>,
}

/// Random numbers that follow from a seed.
#[derive(Debug)]
pub(crate) struct Seeded(pub(crate) fastrand::Rng);

impl Entropy for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.0.fill(bytes);
        Ok(())
    }

    fn uncredited(&mut self) -> Vec<Vec<u8>> {
        vec![b"a test".to_vec()]
    }
}

impl Stick {
    pub(crate) fn blank(number: u64) -> Self {
        let disk = SimDisk::new(number);
        disk.create_directory(Path::new("/state")).unwrap();
        disk.sync_directory(Path::new("/")).unwrap();
        Self { number, disk, medium: Medium::default() }
    }

    /// Boots from it.
    pub(crate) async fn boot(&self, hub: &Hub, secret: u8) -> Running {
        let seed = fastrand::u64(..);
        let entropy = Box::new(Seeded(fastrand::Rng::with_seed(seed)));
        let (state, found) = State::open(Arc::new(self.disk.clone()), Path::new("/state"), entropy).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let secret = JoinSecret::from_random([secret; 32]).unwrap();
        let keys = Arc::new(FleetKeys::derive(FleetId([1; 16]), Generation::FIRST, &secret));
        let boot = BootId(fastrand::u64(..));
        let limits = Limits { backoff_min: Duration::from_millis(50), backoff_max: Duration::from_secs(1), ..Limits::default() };
        let settings = shoal_node_plane::Settings { listeners: vec![listener], secret: state.secret(), keys, boot, limits };
        let (plane, events, lanes) = shoal_node_plane::start(settings).unwrap();
        let (finds, found_addresses) = mpsc::unbounded_channel();
        let (link, linked) = watch::channel(true);
        let parts = Parts {
            settings: Settings { hint: HardwareHint(self.number), ..Settings::default() },
            state,
            found,
            plane: plane.handle().clone(),
            events,
            lanes,
            boot,
            raft: SimRaft::new(hub.clone(), plane.handle().clone(), self.medium.clone(), seed),
            discovery: Told(found_addresses),
            link: linked,
            clock: Clock::faster(SPEED),
        };
        let (driver, handle) = Driver::new(parts).await.unwrap();
        let task = tokio::spawn(driver.run());
        Running { stick: self.clone(), address, handle, finds, plane, task, _link: link }
    }
}

impl Running {
    /// Lets it find an address.
    pub(crate) fn finds(&self, address: SocketAddr) {
        self.finds.send(address).unwrap();
    }

    pub(crate) fn status(&self) -> Status {
        self.handle.status().borrow().clone()
    }

    /// Waits until its status is so, and gives it.
    pub(crate) async fn until(&self, what: &str, is_so: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.handle.status();
        let waited = timeout(SOON, status.wait_for(is_so)).await;
        match waited {
            Ok(Ok(status)) => return status.clone(),
            Ok(Err(_)) => panic!("box {} has ended before {what}: {:?}", self.stick.number, self.status()),
            Err(_) => {}
        }
        let sessions = self.plane.handle().statistics();
        panic!("box {}: {what} does not come: {:#?} {sessions:?}", self.stick.number, self.status())
    }

    /// The process is killed. What was written stays, in the page cache of a machine that goes on.
    pub(crate) async fn kill(self) -> Stick {
        self.task.abort();
        drop(self.task.await);
        drop(self.plane);
        self.stick.disk.kill();
        self.stick
    }
}

/// Lets each find each other.
pub(crate) fn introduce(boxes: &[&Running]) {
    for one in boxes {
        boxes.iter().filter(|other| other.address != one.address).for_each(|other| one.finds(other.address));
    }
}
