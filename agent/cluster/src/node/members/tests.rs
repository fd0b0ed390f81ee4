//! Changes that whoever began them does not bring to their end.

use std::collections::BTreeMap;

use openraft::ChangeMembers;
use tokio::net::TcpListener;

use super::*;
use crate::{
    Identity, Node, NodeConfig, Replica, bootstrap,
    storage::StorageConfig,
    transport::{TcpAcceptor, TcpTransport, Transport},
};

/// Nothing here takes longer, on whatever machine.
const DEADLINE: Duration = Duration::from_secs(40);

struct Place {
    listener: TcpListener,
    urls: Vec<String>,
}

impl Place {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        Self { listener, urls: vec![format!("http://127.0.0.1:{port}")] }
    }

    async fn start(self, directory: &std::path::Path, (identity, begin): (Identity, Begin)) -> Node {
        let mut config = NodeConfig::new(identity, begin, StorageConfig::new(directory), identity.member);
        (config.heartbeat_interval, config.election_timeout) = (Duration::from_millis(50), Duration::from_millis(500));
        config.name = self.urls[0].clone();
        Node::start(config, transport(), TcpAcceptor::new(vec![self.listener], None)).await.expect("it starts")
    }
}

fn transport() -> Arc<dyn Transport> {
    Arc::new(TcpTransport { tls: None })
}

fn sets(node: &Node) -> Vec<BTreeSet<u64>> {
    node.inner.effective_membership().membership().get_joint_config().clone()
}

async fn until(what: &str, node: &Node, holds: impl Fn(&[BTreeSet<u64>]) -> bool) {
    let reached = tokio::time::timeout(DEADLINE, async {
        while !holds(&sets(node)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(reached.await.is_ok(), "{what}: {:?}", sets(node));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_voters_that_is_left_in_the_middle_is_brought_to_its_end() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let (first, second) = (Place::new().await, Place::new().await);
    let (first_urls, second_urls) = (first.urls.clone(), second.urls.clone());
    let list = BTreeMap::from([("n1".to_owned(), first_urls.clone())]);
    let one = first.start(&directory.path().join("n1"), bootstrap::found("n1", &list, "test").expect("it is in the list")).await;
    one.ready().await;
    let added = one.member_add(second_urls.clone(), true).await.expect("it may be added").id;

    // The second member is not there, so that both sets together decide nothing. Whoever wants the change gives up.
    let changing = one.inner.raft.change_membership_if(ChangeMembers::AddVoterIds(BTreeSet::from([added])), false, []);
    tokio::select! {
        changed = changing => panic!("nobody can have decided on it: {changed:?}"),
        () = until("the first half of the change", &one, |sets| sets.len() == 2) => {}
    }

    let joined = bootstrap::join(&second_urls, &first_urls, &transport()).await.expect("it was added");
    let two = second.start(&directory.path().join("n2"), joined).await;
    let both = BTreeSet::from([one.identity().member, added]);
    for node in [&one, &two] {
        until("the second half of the change", node, |sets| sets == [both.clone()]).await;
    }
    one.shutdown().await;
    two.shutdown().await;
}
