//! Whole nodes on this machine's loopback: formation, its sessions and the replicated store. Only who finds whom is told to them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use shoal_cluster::{Node, Replica};
use shoal_formation::{BootId, ClusterId, HardwareHint, NodeId, Settings};
use shoal_formation_shell::{
    clock::Clock,
    discovery::Told,
    driver::DriverError,
    state::{SystemEntropy, random},
    status::Status,
};
use shoal_kv::{Command, Outcome, PutRequest, RangeRequest};
use shoal_node::{
    Running, assemble,
    assemble::{Files, Setup},
    hand_over,
};
use shoal_store_files::disk::{
    Disk,
    sim::{Fault, SimDisk},
};
use shoal_trust::{
    fleet::{FleetId, Generation},
    schedule::FleetKeys,
    secret::JoinSecret,
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    time::timeout,
};

/// How many times as fast as a box's the clock of formation goes. The store's own does not: the longest that it waits, an election, must be shorter than
/// the shortest patience of formation.
const SPEED: u32 = 4;

/// Far longer than anything takes here.
const SOON: Duration = Duration::from_secs(120);

/// Bytes of a segment of the log: the disk is memory here.
const SEGMENT_BYTES: u32 = 256 << 10;

/// A box that is on, and what survives the power.
struct Computer {
    number: u64,
    stick: SimDisk,
    address: SocketAddr,
    running: Running,
    finds: mpsc::UnboundedSender<SocketAddr>,
    _link: watch::Sender<bool>,
}

fn blank(number: u64) -> SimDisk {
    let disk = SimDisk::new(number);
    disk.create_directory(Path::new("/state")).unwrap();
    disk.sync_directory(Path::new("/")).unwrap();
    disk
}

async fn boot(number: u64, stick: SimDisk, secret: u8) -> Computer {
    let mut files = Files::open("/state", Arc::new(stick.clone()), Box::new(SystemEntropy::default())).unwrap();
    files.storage_mut().log.segment_bytes = SEGMENT_BYTES;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let secret = JoinSecret::from_random([secret; 32]).unwrap();
    let (finds, found) = mpsc::unbounded_channel();
    let (link, linked) = watch::channel(true);
    let running = assemble(Setup {
        settings: Settings { hint: HardwareHint(number), ..Settings::default() },
        keys: Arc::new(FleetKeys::derive(FleetId([1; 16]), Generation::FIRST, &secret)),
        files,
        listeners: vec![listener],
        boot: BootId(random(&mut SystemEntropy::default()).map(u64::from_be_bytes).unwrap()),
        discovery: Told(found),
        link: linked,
        clock: Clock::faster(SPEED),
    })
    .await
    .unwrap();
    Computer { number, stick, address, running, finds, _link: link }
}

impl Computer {
    fn status(&self) -> Status {
        self.running.handle.status().borrow().clone()
    }

    async fn until(&self, what: &str, is_so: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.running.handle.status();
        match timeout(SOON, status.wait_for(is_so)).await {
            Ok(Ok(status)) => return status.clone(),
            Ok(Err(_)) => panic!("box {} has ended before {what}: {:?}", self.number, self.status()),
            Err(_) => {}
        }
        panic!("box {}: {what} does not come: {:#?} {:?}", self.number, self.status(), self.running.plane.handle().statistics())
    }

    fn node(&self) -> Arc<Node> {
        self.running.store.borrow().clone().expect("it is a member")
    }

    /// Switches it off in order.
    async fn off(self) -> (u64, SimDisk) {
        let Self { number, stick, running, .. } = self;
        let Running { handle, plane, task, .. } = running;
        drop(handle);
        timeout(SOON, task).await.expect("it ends").unwrap().expect("it ends well");
        drop(plane);
        (number, stick)
    }
}

fn introduce(boxes: &[&Computer]) {
    for one in boxes {
        boxes.iter().filter(|other| other.address != one.address).for_each(|other| one.finds.send(other.address).unwrap());
    }
}

fn put(key: &str, value: &str) -> Command {
    Command::Put(PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..PutRequest::default() })
}

async fn writes(on: &Computer, key: &str, value: &str) {
    let written = timeout(SOON, on.node().propose(put(key, value))).await.expect("it is decided");
    assert!(matches!(written, Ok(Outcome::Put(Ok(_)))), "{written:?}");
}

async fn reads(on: &Computer, key: &str) -> String {
    let node = on.node();
    timeout(SOON, node.read_barrier()).await.expect("there is a leader").expect("it answers");
    let request = RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() };
    let found = node.store().range(&request).expect("it is there");
    String::from_utf8(found.kvs[0].value.to_vec()).unwrap()
}

/// Waits until these are the voters of one cluster, and gives it.
async fn one_cluster(boxes: &[&Computer]) -> (ClusterId, Vec<NodeId>) {
    let mut clusters = Vec::new();
    for one in boxes {
        let status =
            one.until("a cluster of all", |status| status.voters.len() == boxes.len() && status.has_leader && status.why.is_empty()).await;
        let (cluster, _) = status.member.expect("it is a member");
        clusters.push((cluster, status.voters));
    }
    let first = clusters[0].clone();
    assert!(clusters.iter().all(|other| *other == first), "{clusters:?}");
    first
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_blank_boxes_are_one_store_and_still_are_when_the_power_comes_back() {
    let mut boxes = Vec::new();
    for number in 1..=3 {
        boxes.push(boot(number, blank(number), 1).await);
    }
    let all: Vec<&Computer> = boxes.iter().collect();
    introduce(&all);
    let before = one_cluster(&all).await;
    writes(all[0], "k", "v").await;
    for one in &all {
        assert_eq!(reads(one, "k").await, "v");
    }
    let members: Vec<_> = all.iter().map(|one| one.status().member).collect();

    // Whoever leads is switched off in order: another one leads before that. Two go on; then it is back, and knows what it has missed.
    let leads = all.iter().position(|one| one.node().leadership().borrow().is_self).expect("somebody leads");
    hand_over(&all[leads].running.store).await;
    assert!(!all[leads].node().leadership().borrow().is_self, "it has handed over");
    let gone = boxes.remove(leads);
    let (number, stick) = gone.off().await;
    writes(&boxes[0], "k", "w").await;
    boxes.insert(leads, boot(number, stick, 1).await);
    introduce(&boxes.iter().collect::<Vec<_>>());
    let all: Vec<&Computer> = boxes.iter().collect();
    assert_eq!(one_cluster(&all).await, before);
    assert_eq!(reads(all[leads], "k").await, "w");

    // All are off.
    let mut sticks = Vec::new();
    for one in boxes {
        sticks.push(one.off().await);
    }
    let mut boxes = Vec::new();
    for (number, stick) in sticks {
        boxes.push(boot(number, stick, 1).await);
    }
    let all: Vec<&Computer> = boxes.iter().collect();
    introduce(&all);
    assert_eq!(one_cluster(&all).await, before);
    assert_eq!(all.iter().map(|one| one.status().member).collect::<Vec<_>>(), members, "the same members as before");
    assert_eq!(reads(all[2], "k").await, "w");
    for one in boxes {
        one.off().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_box_alone_is_a_cluster_and_others_join_it_later() {
    let first = boot(1, blank(1), 1).await;
    let (cluster, _) = first.until("a cluster of one", |status| status.has_leader).await.member.expect("it leads");
    let status = first.until("birth", |status| status.is_born).await;
    assert!(!status.why.is_empty(), "it is not highly available, and says why");
    writes(&first, "k", "v").await;
    let (second, third) = (boot(2, blank(2), 1).await, boot(3, blank(3), 1).await);
    let stranger = boot(4, blank(4), 2).await;
    introduce(&[&first, &second, &third, &stranger]);
    let (joined, _) = one_cluster(&[&first, &second, &third]).await;
    assert_eq!(joined, cluster);
    assert_eq!(reads(&third, "k").await, "v");
    let alone = stranger.until("a cluster of its own", |status| status.has_leader).await;
    assert_ne!(alone.member.map(|(cluster, _)| cluster), Some(cluster));
    assert_eq!(first.status().members.len(), 3, "who has another secret is not let in");
    for one in [first, second, third, stranger] {
        one.off().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_cannot_be_written_ends_the_node() {
    let one = boot(1, blank(1), 1).await;
    one.until("a cluster of one", |status| status.has_leader).await;
    let operations = one.stick.operations();
    one.stick.set_fault(Some((operations + 1, Fault::PowerCut)));
    let node = one.node();
    let _ = timeout(SOON, node.propose(put("k", "v"))).await.expect("it is decided");
    let Computer { running, .. } = one;
    let ended = timeout(SOON, running.task).await.expect("it ends").unwrap();
    let error = ended.expect_err("it cannot go on");
    assert!(matches!(error, DriverError::Raft(_) | DriverError::State(_)), "{error:?}");
}
