//! Nodes in network namespaces, on one bridge.
//!
//! A test runs itself once more with `unshare -Urn`, in a user namespace and a network of its own: an ordinary user may do that, and nothing of this
//! machine's network is seen or changed. There it makes a bridge, and a thread with a network namespace for each node.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use shoal_discovery::{Found, Handle, Links, Settings, start};
use shoal_discovery_core::{Identity, Input, Statistics, Timings};
use shoal_trust::{
    beacon::{BootNonce, Standing},
    fleet::{FleetId, Generation},
    identity::NodeSeed,
    key::NodeKey,
    schedule::FleetKeys,
    secret::JoinSecret,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const INSIDE: &str = "SHOAL_DISCOVERY_INSIDE";

/// Where nodes listen, each in its own network.
const PORT: u16 = 6443;

/// How long anything may take before a test has failed. Machines that test are slow; claims about time are made apart from this.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `body` in namespaces of its own. Where there can be none, the test says so and does not run.
pub(crate) fn isolated(test: &str, body: impl FnOnce(&mut Lab)) {
    if std::env::var_os(INSIDE).is_some() {
        body(&mut Lab::new());
        return;
    }
    let probe = Command::new("unshare").args(["-Urn", "ip", "link", "add", "shoal0", "type", "veth", "peer", "name", "shoal1"]).output();
    match probe {
        Ok(output) if output.status.success() => {}
        Ok(output) => return eprintln!("{test} is skipped: no network namespaces here: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => return eprintln!("{test} is skipped: util-linux' unshare is needed: {error}"),
    }
    let own = std::env::current_exe().unwrap();
    let inside = Command::new("unshare").arg("-Urn").arg(own).args(["--exact", test, "--nocapture"]).env(INSIDE, "1").output().unwrap();
    let said = [&inside.stdout[..], &inside.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(inside.status.success() && said.contains("1 passed"), "{said}");
}

pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What a node is like.
pub(crate) struct Options {
    /// On its link, with the length of the prefix.
    pub(crate) addresses: Vec<String>,
    pub(crate) ipv6: bool,
    /// Arguments for `ip`, in its network, before its link is up.
    pub(crate) setup: Vec<String>,
    pub(crate) timings: Timings,
    pub(crate) seeds: Vec<SocketAddr>,
    pub(crate) links: Links,
    pub(crate) broadcast_port: u16,
}

impl Options {
    pub(crate) fn new(number: u8) -> Self {
        Self {
            addresses: vec![format!("10.77.0.{number}/24")],
            ipv6: true,
            setup: Vec::new(),
            timings: Timings::default(),
            seeds: Vec::new(),
            links: Links::Named(vec!["eth0".into()]),
            broadcast_port: shoal_discovery::BROADCAST_PORT,
        }
    }
}

/// A bridge, and nodes on it.
pub(crate) struct Lab {
    met: mpsc::Receiver<(u8, u8, SocketAddr)>,
    meet: mpsc::Sender<(u8, u8, SocketAddr)>,
    /// Who has met whom, where.
    pub(crate) pairs: BTreeMap<(u8, u8), BTreeSet<SocketAddr>>,
    nodes: BTreeMap<u8, Handle>,
}

impl Lab {
    fn new() -> Self {
        ip("link set lo up");
        // Without a querier on the link, a bridge that snoops forwards no multicast at all.
        ip("link add br0 type bridge mcast_snooping 0");
        ip("addr add 10.77.0.254/24 dev br0");
        ip("link set br0 up");
        let (meet, met) = mpsc::channel();
        Self { met, meet, pairs: BTreeMap::new(), nodes: BTreeMap::new() }
    }

    /// Starts a node; its end of the link is `eth0`, that of the bridge `port<number>`. `prepare` gets the thread's id before anything runs there.
    pub(crate) fn node_with(&mut self, number: u8, options: Options, prepare: impl FnOnce(&str)) {
        let (thread_id, made) = mpsc::channel();
        let (go, ready) = mpsc::channel::<()>();
        let (handle, started) = mpsc::channel();
        let meet = self.meet.clone();
        thread::spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            thread_id.send(nix::unistd::gettid()).unwrap();
            ready.recv().unwrap();
            ip("link set lo up");
            if !options.ipv6 {
                std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1").unwrap();
            }
            options.setup.iter().for_each(|arguments| ip(arguments));
            options.addresses.iter().for_each(|address| ip(&format!("addr add {address} dev eth0")));
            ip("link set eth0 up");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(live(number, options, &handle, meet));
        });
        let thread_id = made.recv().unwrap().to_string();
        ip(&format!("link add port{number} type veth peer name eth0 netns {thread_id}"));
        ip(&format!("link set port{number} master br0 up"));
        prepare(&thread_id);
        go.send(()).unwrap();
        self.nodes.insert(number, started.recv().expect("the node has started"));
    }

    pub(crate) fn node(&mut self, number: u8, options: Options) {
        self.node_with(number, options, |_| {});
    }

    /// Waits until it is true of those who have met.
    pub(crate) fn wait(&mut self, what: &str, is_so: impl Fn(&BTreeMap<(u8, u8), BTreeSet<SocketAddr>>) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so(&self.pairs) {
            match self.met.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((own, peer, address)) => drop(self.pairs.entry((own, peer)).or_default().insert(address)),
                Err(_) => panic!("{what}: only {:?}; {:?}", self.pairs, self.statistics()),
            }
        }
    }

    /// Waits until each of the nodes has met each other one, whoever connected.
    pub(crate) fn all_meet(&mut self, numbers: &[u8]) {
        let numbers = numbers.to_vec();
        let all = move |pairs: &BTreeMap<(u8, u8), BTreeSet<SocketAddr>>| {
            numbers.iter().all(|a| numbers.iter().all(|b| a == b || pairs.contains_key(&(*a, *b))))
        };
        self.wait("all meet", all);
    }

    pub(crate) fn statistics(&self) -> BTreeMap<u8, (Statistics, usize)> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        self.nodes.iter().map(|(number, handle)| (*number, runtime.block_on(handle.statistics()).unwrap())).collect()
    }
}

pub(crate) fn keys(secret: u8) -> FleetKeys {
    FleetKeys::derive(FleetId([1; 16]), Generation::FIRST, &JoinSecret::from_random([secret; 32]).unwrap())
}

fn key(number: u8) -> NodeKey {
    *NodeSeed::from_bytes([number; 32]).unwrap().signing().public()
}

/// A node's life: it opens sessions where discovery says, and in each tells who it is and whom it knows. That stands for the proofs.
async fn live(number: u8, options: Options, started: &mpsc::Sender<Handle>, meet: mpsc::Sender<(u8, u8, SocketAddr)>) {
    let settings = Settings {
        keys: keys(2),
        identity: Identity { boot: BootNonce([number; 8]), port: PORT, standing: Standing::Virgin },
        timings: options.timings,
        seed: [number; 32],
        seeds: options.seeds,
        known: Vec::new(),
        links: options.links,
        broadcast_port: options.broadcast_port,
    };
    let unspecified: IpAddr = if options.ipv6 { "::".parse().unwrap() } else { "0.0.0.0".parse().unwrap() };
    let listener = TcpListener::bind((unspecified, PORT)).await.unwrap();
    let (handle, mut found) = start(settings).unwrap();
    started.send(handle.clone()).unwrap();
    loop {
        tokio::select! {
            Some(found) = found.recv() => {
                if let Found::Connect(address) = found {
                    tokio::spawn(connect(number, address, handle.clone(), meet.clone()));
                }
            }
            Ok((stream, from)) = listener.accept() => {
                tokio::spawn(session(number, stream, from, handle.clone(), meet.clone()));
            }
        }
    }
}

async fn connect(number: u8, address: SocketAddr, handle: Handle, meet: mpsc::Sender<(u8, u8, SocketAddr)>) {
    match tokio::time::timeout(Duration::from_secs(2), TcpStream::connect(address)).await {
        Ok(Ok(stream)) => session(number, stream, address, handle, meet).await,
        _ => drop(handle.tell(Input::Failed(address)).await),
    }
}

async fn session(number: u8, mut stream: TcpStream, mut at: SocketAddr, handle: Handle, meet: mpsc::Sender<(u8, u8, SocketAddr)>) {
    // The other end's own port says nothing; an IPv4 address that came over an IPv6 socket is one of IPv4.
    at.set_port(PORT);
    at.set_ip(at.ip().to_canonical());
    let known = handle.proven().await.unwrap();
    let mut hello = vec![number];
    for (node, addresses) in &known {
        let node = (1..=9).find(|number| key(*number) == *node).unwrap();
        addresses.iter().for_each(|address| hello.extend(format!("{node}@{address}\n").bytes()));
    }
    let told = async {
        stream.write_all(&hello).await?;
        stream.shutdown().await?;
        let mut told = Vec::new();
        stream.read_to_end(&mut told).await.map(|_| told)
    };
    let Ok(told) = told.await else { return drop(handle.tell(Input::Failed(at)).await) };
    let Some((peer, others)) = told.split_first() else { return drop(handle.tell(Input::Failed(at)).await) };
    handle.tell(Input::Connected { node: key(*peer), address: at }).await.unwrap();
    meet.send((number, *peer, at)).unwrap();
    for line in String::from_utf8_lossy(others).lines() {
        let (node, address) = line.split_once('@').unwrap();
        let node: u8 = node.parse().unwrap();
        if node != number {
            handle.tell(Input::Exchanged { node: key(node), addresses: vec![address.parse().unwrap()] }).await.unwrap();
        }
    }
}
