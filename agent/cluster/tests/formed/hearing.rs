//! Raft hears whom the core lets it hear.

use shoal_cluster::Replica;
use shoal_formation::{ControlEntry, NodeId};

use crate::fleet::{Fleet, put, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_not_heard_leads_no_longer_and_the_others_go_on() {
    let (mut fleet, ids) = Fleet::formed(3, |_| {}).await;
    assert_eq!(fleet.facts(ids[1]).leader, Some(NodeId(1)));
    fleet.cut_off(1, true);
    fleet.until_facts(1, "loss of the lead", |facts| facts.leading.is_none()).await;
    let second = fleet.leader(&ids[1..]).await;
    fleet.propose(second, ControlEntry::Born).await.expect("it leads");
    within("put", fleet.node(second).propose(put("k", "v"))).await.expect("it leads");
    assert!(!fleet.handle(1).control().is_born());
    fleet.cut_off(1, false);
    assert!(fleet.agree().await.is_born());
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_out_gets_nothing_on_connections_from_before() {
    let (mut fleet, ids) = Fleet::formed(3, |_| {}).await;
    fleet.agree().await;
    fleet.is_out(ids[2]);
    fleet.propose(1, ControlEntry::Born).await.expect("two of three");
    fleet.until(ids[1], "the entry", |member| member.control().is_born()).await;
    fleet.until_facts(ids[2], "silence", |facts| facts.leader.is_none()).await;
    assert!(!fleet.handle(ids[2]).control().is_born(), "not even what was on its way");
    let late = tokio::time::timeout(fleet.node(1).request_timeout(), fleet.node(ids[2]).propose(put("k", "v"))).await;
    assert!(!matches!(late, Ok(Ok(_))), "{late:?}");
    fleet.shutdown().await;
}
