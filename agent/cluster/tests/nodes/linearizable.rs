//! A read that waits for the barrier never returns less than what was acknowledged before it began, whoever is asked and whoever leads.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use shoal_cluster::{Node, ProposeError, Replica};
use shoal_kv::{Command, Outcome, PutRequest};

use crate::cluster::{Cluster, bytes, within};

/// What clients know together.
#[derive(Default)]
struct Known {
    /// The highest revision acknowledged to anybody.
    acknowledged: AtomicI64,
    writes: AtomicU64,
    reads: AtomicU64,
    over: AtomicBool,
}

impl Known {
    async fn write(self: Arc<Self>, node: Arc<Node>) {
        while !self.over.load(Ordering::SeqCst) {
            let put = PutRequest { key: bytes("k"), value: bytes("v"), ..PutRequest::default() };
            match node.propose(Command::Put(put)).await {
                Ok(Outcome::Put(Ok(response))) => {
                    self.acknowledged.fetch_max(response.revision, Ordering::SeqCst);
                    self.writes.fetch_add(1, Ordering::SeqCst);
                }
                Ok(other) => panic!("{other:?}"),
                Err(ProposeError::Stopped) => return,
                // Perhaps written, never acknowledged.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    async fn read(self: Arc<Self>, node: Arc<Node>) {
        while !self.over.load(Ordering::SeqCst) {
            let before = self.acknowledged.load(Ordering::SeqCst);
            if node.read_barrier().await.is_ok() {
                let revision = node.store().revision();
                assert!(revision >= before, "read revision {revision} although {before} was acknowledged");
                self.acknowledged.fetch_max(revision, Ordering::SeqCst);
                self.reads.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// Waits until clients have got some more answers.
    async fn progress(&self) {
        let (writes, reads) = (self.writes.load(Ordering::SeqCst), self.reads.load(Ordering::SeqCst));
        within("answers", async {
            while self.writes.load(Ordering::SeqCst) < writes + 20 || self.reads.load(Ordering::SeqCst) < reads + 20 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_is_older_than_an_acknowledged_write() {
    let mut cluster = Cluster::start(3).await;
    cluster.leader().await;
    let known = Arc::new(Known::default());
    let mut clients = tokio::task::JoinSet::new();
    let start_clients = |clients: &mut tokio::task::JoinSet<()>, node: Arc<Node>| {
        for _ in 0..2 {
            clients.spawn(known.clone().write(node.clone()));
            clients.spawn(known.clone().read(node.clone()));
        }
    };
    for name in cluster.running() {
        start_clients(&mut clients, cluster.node(&name));
    }
    known.progress().await;

    // The leader hands over while everybody asks.
    let leader = cluster.leader().await;
    let to = cluster.followers().await[0].clone();
    let moved = within("move", async {
        loop {
            match cluster.node(&leader).move_leader(cluster.id(&to)).await {
                // Under load it lags for a moment.
                Err(shoal_cluster::MoveLeaderError::BadTransferee) => tokio::task::yield_now().await,
                moved => return moved,
            }
        }
    })
    .await;
    assert!(moved.is_ok(), "{moved:?}");
    known.progress().await;

    // The leader is gone without a word, and comes back.
    let leader = cluster.leader().await;
    cluster.stop_node(&leader).await;
    known.progress().await;
    let node = cluster.start_node(&leader).await;
    start_clients(&mut clients, node);
    known.progress().await;

    known.over.store(true, Ordering::SeqCst);
    within("end of clients", async {
        while let Some(client) = clients.join_next().await {
            client.expect("no client has seen anything wrong");
        }
    })
    .await;
    assert!(known.acknowledged.load(Ordering::SeqCst) > 1);
    cluster.shutdown().await;
}
