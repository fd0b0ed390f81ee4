//! A node on a box.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use shoal_discovery::{BROADCAST_PORT, Links};
use shoal_discovery_core::{Identity, Link, Timings};
use shoal_formation::{
    BootId, HardwareHint,
    settings::{Medium, Traits},
};
use shoal_formation_shell::{
    clock::Clock,
    state::{SystemEntropy, random},
};
use shoal_store_files::disk::RealDisk;
use shoal_trust::{
    beacon::{BootNonce, Standing},
    config::Config,
    fleet::Expect,
};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use crate::{
    assemble::{Files, Running, Setup, StartError, assemble},
    finding::Finding,
    hardware,
    usable::Usable,
};

/// Where nodes take connections of nodes, TCP. Discovery broadcasts to the UDP port of the same number, so that a firewall has to know one.
pub const NODE_PORT: u16 = BROADCAST_PORT;

/// What a node is started with.
#[derive(Debug)]
pub struct Settings {
    /// What the image was stamped with.
    pub config: Config,
    /// Where the node keeps its files. It is made if it does not exist.
    pub directory: PathBuf,
    /// Whether that directory survives the power.
    pub medium: Medium,
    /// Whether the image has something that runs in its cluster by itself, which seals it once it is settled.
    pub workloads: bool,
    /// Where the kernel shows its devices: `/sys`.
    pub sysfs: PathBuf,
}

/// Starts a node on the current runtime.
///
/// # Errors
/// [`StartError`].
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    let Settings { config, directory, medium, workloads, sysfs } = settings;
    let keys = Arc::new(config.keys());
    let hardware = hardware::Found::read(&sysfs);
    let files = open(directory, hardware.uncredited()).await?;
    let listener = listen(NODE_PORT).await?;
    let mut entropy = SystemEntropy::default();
    let hint = match hardware.hint(&keys) {
        Some(hint) => hint,
        // Boxes of which nothing is known are not the same box.
        None => HardwareHint(random(&mut entropy).map(u64::from_be_bytes)?),
    };
    let (finder, found) = shoal_discovery::start(shoal_discovery::Settings {
        keys: config.keys(),
        identity: Identity { boot: BootNonce(random(&mut entropy)?), port: NODE_PORT, standing: Standing::Virgin },
        timings: Timings::default(),
        seed: random(&mut entropy)?,
        seeds: config.seeds.clone(),
        // Those of earlier boots are in the node's files, and its sessions try them.
        known: Vec::new(),
        links: Links::Physical(sysfs),
        broadcast_port: BROADCAST_PORT,
    })?;
    let (told, link) = watch::channel(false);
    tokio::spawn(watch_links(finder.links(), told));
    let settings = shoal_formation::Settings {
        traits: Traits { medium, ..Traits::default() },
        hint,
        expect: config.policy.expect.map(Expect::get),
        workloads,
        ..shoal_formation::Settings::default()
    };
    assemble(Setup {
        settings,
        keys,
        files,
        listeners: vec![listener],
        boot: BootId(random(&mut entropy).map(u64::from_be_bytes)?),
        discovery: Finding::new(finder, found),
        link,
        clock: Clock::new(),
    })
    .await
}

async fn open(directory: PathBuf, uncredited: Vec<Vec<u8>>) -> Result<Files, StartError> {
    let opened = spawn_blocking(move || {
        make(&directory).map_err(|source| StartError::Directory { path: directory.clone(), source })?;
        Ok(Files::open(directory, Arc::new(RealDisk), Box::new(SystemEntropy { uncredited }))?)
    });
    opened.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}

/// Makes a directory that only its owner may look into, durably.
fn make(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // What a parent was given just now is durable when it is synced itself. A read-only root was given nothing, and cannot be synced.
    let parents = directory.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
    for parent in parents {
        match std::fs::File::open(parent)?.sync_all() {
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => break,
            synced => synced?,
        }
    }
    Ok(())
}

/// One socket for both versions of IP; without IPv6, of IPv4 alone.
async fn listen(port: u16) -> Result<TcpListener, StartError> {
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match TcpListener::bind(address).await {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) => {
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
            TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
        }
        bound => bound.map_err(|source| StartError::Listen { address, source }),
    }
}

/// Says whether the network is usable, whenever that changes, until nobody wants to know.
async fn watch_links(mut links: watch::Receiver<Vec<Link>>, told: watch::Sender<bool>) {
    let began = Instant::now();
    let mut usable = Usable::default();
    loop {
        usable.links(began.elapsed(), &links.borrow_and_update());
        let now = began.elapsed();
        let is_usable = usable.is_usable(now);
        told.send_if_modified(|told| std::mem::replace(told, is_usable) != is_usable);
        let deadline = usable.deadline().filter(|deadline| *deadline > now);
        tokio::select! {
            changed = links.changed() => if changed.is_err() { return },
            () = told.closed() => return,
            () = sleep_until(began + deadline.unwrap_or(Duration::ZERO)), if deadline.is_some() => {}
        }
    }
}
