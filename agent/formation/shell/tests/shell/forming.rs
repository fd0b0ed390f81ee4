//! Boxes become one cluster over real sockets.

use shoal_formation::{Alarm, NodeId, State};
use shoal_formation_shell::status::Status;

use crate::{
    node::{Running, Stick, introduce},
    raft::Hub,
};

/// The secret of the fleet.
const OURS: u8 = 1;

async fn boot_all(hub: &Hub, count: u64) -> Vec<Running> {
    let mut boxes = Vec::new();
    for number in 1..=count {
        boxes.push(Stick::blank(number).boot(hub, OURS).await);
    }
    introduce(&boxes.iter().collect::<Vec<_>>());
    boxes
}

/// Waits until all are one cluster, with its voters, and its barrier is lifted.
async fn are_one(boxes: &[Running], voters: usize) -> Vec<Status> {
    let mut all = Vec::new();
    for one in boxes {
        let is_one =
            |status: &Status| status.has_leader && status.is_born && status.members.len() == boxes.len() && status.voters.len() == voters;
        all.push(one.until("one cluster of all", is_one).await);
    }
    let cluster = all[0].member.expect("a member").0;
    assert!(all.iter().all(|status| status.member.is_some_and(|(its, _)| its == cluster)), "{all:#?}");
    let founders = all.iter().filter(|status| status.member.is_some_and(|(_, node)| node == NodeId::FOUNDER)).count();
    assert_eq!(founders, 1, "one has founded, and is still a member");
    let mut nodes: Vec<_> = all.iter().filter_map(|status| status.member.map(|(_, node)| node)).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, all[0].members, "each is another member");
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_boxes_become_one_cluster_of_three_voters() {
    are_one(&boot_all(&Hub::default(), 3).await, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_boxes_become_one_cluster_of_three_voters() {
    are_one(&boot_all(&Hub::default(), 5).await, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_box_that_is_killed_comes_back_as_the_same_member() {
    let hub = Hub::default();
    let mut boxes = boot_all(&hub, 3).await;
    let before = are_one(&boxes, 3).await;
    for (index, was) in before.iter().enumerate() {
        let stick = boxes.remove(index).kill().await;
        let again = stick.boot(&hub, OURS).await;
        boxes.iter().for_each(|other| again.finds(other.address));
        let status = again.until("it is back", |status| status.has_leader && status.members.len() == 3).await;
        assert_eq!((status.member, status.own.key), (was.member, was.own.key), "who it was");
        assert_ne!(status.own.boot, was.own.boot, "and another process");
        boxes.insert(index, again);
        let after = are_one(&boxes, 3).await;
        assert!(after.iter().all(|status| status.alarms.is_empty()), "{after:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_box_of_another_fleet_never_gets_in() {
    let hub = Hub::default();
    let boxes = boot_all(&hub, 3).await;
    let stranger = Stick::blank(9).boot(&hub, OURS + 1).await;
    for other in &boxes {
        stranger.finds(other.address);
        other.finds(stranger.address);
    }
    // Alone as it is, it founds by itself; by then it has tried everybody for longer than anybody needs.
    let its = stranger.until("it is alone", |status| status.state == State::Member && status.is_born).await;
    assert_eq!(its.members, [NodeId::FOUNDER]);
    for status in are_one(&boxes, 3).await {
        assert_ne!(status.member.map(|(cluster, _)| cluster), its.member.map(|(cluster, _)| cluster));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clusters_that_meet_before_anybody_uses_them_become_one() {
    let hub = Hub::default();
    let boxes = [Stick::blank(1).boot(&hub, OURS).await, Stick::blank(2).boot(&hub, OURS).await];
    let mut alone = Vec::new();
    for one in &boxes {
        alone.push(one.until("it has founded", |status| status.has_leader && status.members.len() == 1).await);
    }
    let lower = alone.iter().filter_map(|status| status.member).map(|(cluster, _)| cluster).min();
    introduce(&[&boxes[0], &boxes[1]]);
    let all = are_one(&boxes, 1).await;
    assert_eq!(all[0].member.map(|(cluster, _)| cluster), lower, "the lower id stays");
    let renewed = all.iter().zip(&alone).filter(|(now, before)| now.own.key != before.own.key).count();
    assert_eq!(renewed, 1, "who has left has another key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_copies_of_a_blank_stick_that_meet_are_two_nodes() {
    let hub = Hub::default();
    let original = Stick::blank(1);
    // An identity is minted, and then the stick is copied.
    let first = original.boot(&hub, OURS).await;
    let key = first.status().own.key;
    let original = first.kill().await;
    let copy = Stick { number: 2, disk: original.disk.fork(7), ..Stick::blank(2) };
    let boxes = [original.boot(&hub, OURS).await, copy.boot(&hub, OURS).await];
    assert!(boxes.iter().all(|one| one.status().own.key == key), "both begin with one key");
    introduce(&[&boxes[0], &boxes[1]]);
    let all = are_one(&boxes, 1).await;
    assert!(all.iter().all(|status| status.own.key != key), "both have minted anew");
    assert!(all.iter().all(|status| status.alarms.contains(&Alarm::CloneDetected(key))), "and say so");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_sealed_says_so_everywhere() {
    let boxes = boot_all(&Hub::default(), 3).await;
    are_one(&boxes, 3).await;
    boxes[1].handle.seal().await.unwrap();
    for one in &boxes {
        one.until("it is sealed", |status| status.is_sealed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_box_that_starts_again_finds_the_others_where_they_were() {
    let hub = Hub::default();
    let mut boxes = boot_all(&hub, 3).await;
    let before = are_one(&boxes, 3).await;
    let peers = std::path::Path::new("/state/peers");
    boxes[0].until("it has written down where others are", |_| boxes[0].stick.disk.paths().iter().any(|path| path == peers)).await;
    let stick = boxes.remove(0).kill().await;
    // Nobody tells it anything, and it is where nobody looks for it.
    let again = stick.boot(&hub, OURS).await;
    boxes.insert(0, again);
    let after = are_one(&boxes, 3).await;
    assert_eq!(after[0].member, before[0].member);
}
