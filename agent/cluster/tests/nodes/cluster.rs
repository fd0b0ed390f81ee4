//! A cluster to test with: nodes that are started, ended and started again, and what tests ask of them.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use shoal_cluster::{
    Begin, Identity, Node, NodeConfig, Replica, StartError, bootstrap,
    storage::StorageConfig,
    transport::{TcpAcceptor, TcpTransport, Tls, Transport},
};
use shoal_kv::{Command, Outcome, PutRequest, RangeRequest};
use shoal_store_files::log::LogOptions;
use tokio::net::TcpListener;
use tokio_rustls::rustls::ClientConfig;

/// Nothing that these tests wait for takes longer, on whatever machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);

/// What carries the bytes of all nodes.
type Carrier = Arc<dyn Fn(Option<Arc<ClientConfig>>) -> Arc<dyn Transport> + Send + Sync>;

/// What tests change in the configuration of all nodes.
pub(crate) type Tune = Arc<dyn Fn(&mut NodeConfig) + Send + Sync>;

static SEED: AtomicU64 = AtomicU64::new(1);

/// Members by name.
pub(crate) struct Cluster {
    directory: tempfile::TempDir,
    members: BTreeMap<String, Slot>,
    list: BTreeMap<String, Vec<String>>,
    tune: Tune,
    tls: Option<Tls>,
    carrier: Carrier,
}

struct Slot {
    identity: Identity,
    begin: Begin,
    /// Kept while the node is down, so that nobody else gets the port.
    listener: std::net::TcpListener,
    node: Option<Arc<Node>>,
}

fn listen() -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.set_nonblocking(true).expect("sockets can be told so");
    listener
}

fn url(listener: &std::net::TcpListener, tls: bool) -> String {
    let port = listener.local_addr().expect("it is bound").port();
    if tls { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") }
}

impl Cluster {
    /// `size` founders, started.
    pub(crate) async fn start(size: usize) -> Self {
        Self::start_with(size, Arc::new(|_| {}), None).await
    }

    pub(crate) async fn start_with(size: usize, tune: Tune, tls: Option<Tls>) -> Self {
        Self::start_all(size, tune, tls, Arc::new(|tls| Arc::new(TcpTransport { tls }))).await
    }

    /// The same, with something else than TCP between them.
    pub(crate) async fn start_on(size: usize, carrier: Carrier) -> Self {
        Self::start_all(size, Arc::new(|_| {}), None, carrier).await
    }

    async fn start_all(size: usize, tune: Tune, tls: Option<Tls>, carrier: Carrier) -> Self {
        let listeners: BTreeMap<String, _> = (1..=size).map(|number| (format!("n{number}"), listen())).collect();
        let list: BTreeMap<_, _> = listeners.iter().map(|(name, listener)| (name.clone(), vec![url(listener, tls.is_some())])).collect();
        let directory = tempfile::tempdir().expect("a directory can be made");
        let members = listeners.into_iter().map(|(name, listener)| {
            let (identity, begin) = bootstrap::found(&name, &list, "test").expect("it is in the list");
            (name, Slot { identity, begin, listener, node: None })
        });
        let mut cluster = Self { directory, members: members.collect(), list: list.clone(), tune, tls, carrier };
        for name in list.keys() {
            cluster.start_node(name).await;
        }
        cluster
    }

    /// Starts a node, or starts it again on its files.
    pub(crate) async fn start_node(&mut self, name: &str) -> Arc<Node> {
        self.try_start_node(name).await.expect("it starts")
    }

    pub(crate) async fn try_start_node(&mut self, name: &str) -> Result<Arc<Node>, StartError> {
        let (config, transport) = (self.config(name), self.transport());
        let slot = self.members.get_mut(name).expect("it is a member");
        let listener = TcpListener::from_std(slot.listener.try_clone().expect("descriptors are left")).expect("a runtime is there");
        let acceptor = TcpAcceptor::new(vec![listener], self.tls.as_ref().map(|tls| tls.server.clone()));
        let node = Arc::new(Node::start(config, transport, acceptor).await?);
        slot.node = Some(node.clone());
        Ok(node)
    }

    /// Where a node keeps its files.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn transport(&self) -> Arc<dyn Transport> {
        (self.carrier)(self.tls.as_ref().map(|tls| tls.client.clone()))
    }

    fn config(&self, name: &str) -> NodeConfig {
        let Slot { identity, begin, .. } = &self.members[name];
        let mut storage = StorageConfig::new(self.directory(name));
        storage.log = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
        let seed = SEED.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut config = NodeConfig::new(*identity, begin.clone(), storage, seed);
        config.name = name.into();
        config.client_urls = vec![format!("http://{name}:2379")];
        // Short, so that tests are quick; long enough for a busy machine.
        config.heartbeat_interval = Duration::from_millis(50);
        config.election_timeout = Duration::from_millis(500);
        (self.tune)(&mut config);
        config
    }

    /// Ends a node. Its files stay.
    pub(crate) async fn stop_node(&mut self, name: &str) {
        let node = self.members.get_mut(name).expect("it is a member").node.take().expect("it runs");
        node.shutdown().await;
    }

    pub(crate) fn node(&self, name: &str) -> Arc<Node> {
        self.members[name].node.clone().expect("it runs")
    }

    pub(crate) fn id(&self, name: &str) -> u64 {
        self.members[name].identity.member
    }

    /// The names of the nodes that run.
    pub(crate) fn running(&self) -> Vec<String> {
        self.members.iter().filter(|(_, slot)| slot.node.is_some()).map(|(name, _)| name.clone()).collect()
    }

    /// Waits until all nodes that run agree on a leader that runs, and names it.
    pub(crate) async fn leader(&self) -> String {
        within("a leader", async {
            loop {
                let leaders: Vec<_> = self.running().iter().map(|name| self.node(name).leadership().borrow().leader).collect();
                let name = self.running().into_iter().find(|name| leaders.iter().all(|&leader| leader == Some(self.id(name))));
                if let Some(name) = name {
                    return name;
                }
                self.any_change().await;
            }
        })
        .await
    }

    /// Has a member lead, whoever did.
    pub(crate) async fn lead(&self, name: &str) {
        let leader = self.leader().await;
        if leader != name {
            within("handover", self.node(&leader).move_leader(self.id(name))).await.expect("it has caught up");
            within("the new leader", async { while self.leader().await != name {} }).await;
        }
    }

    /// Waits until there is a leader that knows the names of all members, and returns it.
    pub(crate) async fn named(&self) -> Arc<Node> {
        let node = self.node(&self.leader().await);
        until(&node, "names", |node| node.members().iter().all(|member| !member.name.is_empty())).await;
        node
    }

    /// Waits until some node sees another leader.
    async fn any_change(&self) {
        let changes = self.running().into_iter().map(|name| {
            let node = self.node(&name);
            Box::pin(async move {
                let mut leadership = node.leadership();
                leadership.mark_changed();
                // The first is what it is already.
                let _ = leadership.changed().await;
                let _ = tokio::time::timeout(Duration::from_millis(50), leadership.changed()).await;
            })
        });
        futures_util::future::select_all(changes).await;
    }

    /// The names of the nodes that run and do not lead.
    pub(crate) async fn followers(&self) -> Vec<String> {
        let leader = self.leader().await;
        self.running().into_iter().filter(|name| *name != leader).collect()
    }

    /// Makes room for a member that was added, and returns its peer URLs.
    pub(crate) fn prepare_member(&mut self, name: &str) -> Vec<String> {
        let listener = listen();
        let urls = vec![url(&listener, self.tls.is_some())];
        let slot = Slot { identity: Identity { cluster: 0, member: 0 }, begin: Begin::Join(BTreeMap::new()), listener, node: None };
        self.members.insert(name.into(), slot);
        self.list.insert(name.into(), urls.clone());
        urls
    }

    /// Has a member that was added find out who it is.
    pub(crate) async fn introduce_node(&mut self, name: &str) {
        let own = self.list[name].clone();
        let others: Vec<String> = self.running().iter().flat_map(|name| self.list[name].clone()).collect();
        let joined = within("an introduction", bootstrap::join(&own, &others, &self.transport())).await;
        let (identity, begin) = joined.expect("it was added");
        let slot = self.members.get_mut(name).expect("it was prepared");
        (slot.identity, slot.begin) = (identity, begin);
    }

    /// Starts a member that was added: it finds out itself who it is.
    pub(crate) async fn join_node(&mut self, name: &str) -> Arc<Node> {
        self.introduce_node(name).await;
        self.start_node(name).await
    }

    pub(crate) async fn shutdown(&mut self) {
        for name in self.running() {
            self.stop_node(&name).await;
        }
    }
}

/// Waits for something, but not for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("no {what} within {DEADLINE:?}"))
}

/// Waits until something holds of a node's status, which is looked at again whenever it has applied something.
pub(crate) async fn until(node: &Node, what: &str, holds: impl Fn(&Node) -> bool) {
    within(what, async {
        while !holds(node) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

pub(crate) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Puts a key, and returns the revision.
pub(crate) async fn put(node: &Node, key: &str, value: &str) -> i64 {
    let put = PutRequest { key: bytes(key), value: bytes(value), ..PutRequest::default() };
    match within("put", node.propose(Command::Put(put))).await {
        Ok(Outcome::Put(Ok(response))) => response.revision,
        other => panic!("{key} was not put: {other:?}"),
    }
}

/// The value of a key as this node has it now.
pub(crate) fn local(node: &Node, key: &str) -> Option<Bytes> {
    let range = node.store().range(&RangeRequest { key: bytes(key), ..RangeRequest::default() }).expect("it is the newest revision");
    range.kvs.first().map(|kv| kv.value.clone())
}

/// The value of a key as of now, everywhere.
pub(crate) async fn get(node: &Node, key: &str) -> Option<Bytes> {
    within("read", node.read_barrier()).await.expect("there is a leader");
    local(node, key)
}
