//! What a node knows of the cluster itself is there after a restart, a purge and a snapshot.

use shoal_cluster::{
    NodeConfig, Replica,
    formation::{Event, read},
};
use shoal_formation::{ClusterId, ControlEntry, NodeId, NodeKey, control::Outcome, effect::Begin};

use crate::fleet::{CLUSTER, Fleet, Journal, admission, put, within, write_beyond};

fn short_logs(config: &mut NodeConfig) {
    config.checkpoint_bytes = 16 << 10;
    config.kept_log_bytes = 16 << 10;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_where_the_core_was_and_repeats_nothing() {
    let (mut fleet, ids) = Fleet::formed(3, |_| {}).await;
    fleet.propose(1, ControlEntry::Born).await.expect("it leads");
    fleet.propose(1, ControlEntry::Seal).await.expect("it leads");
    let control = fleet.agree().await;
    let (last, journal) = fleet.stop(ids[1]).await;
    assert_eq!(last.seal, control.sealed());
    let (facts, read) = fleet.read(ids[1]).expect("there are files");
    assert_eq!((facts.seal, &facts.configuration, facts.last), (last.seal, &last.configuration, last.last));
    assert!(facts.committed <= last.committed && facts.term >= last.term);
    assert!(facts.leader.is_none() && facts.leading.is_none());
    assert!(read.members().all(|(id, member)| control.member(id) == Some(member)));
    // Raft is stopped and started again in one process: the core has everything already.
    fleet.start_as(ids[1], Begin::Resume, Journal { events: Vec::new(), ..journal }).await.expect("its files are good");
    fleet.propose(1, ControlEntry::Admit(admission(NodeKey([99; 32])))).await.expect("it leads");
    fleet.agree().await;
    assert_eq!(fleet.journal(ids[1]).events.len(), 1, "{:?}", fleet.journal(ids[1]).events);
    // And the process: what the files say, and the rest one by one.
    fleet.stop(ids[1]).await;
    fleet.start(ids[1], Begin::Resume).await.expect("its files are good");
    fleet.agree().await;
    assert!(fleet.journal(ids[1]).events.iter().all(|event| matches!(event, Event::Entry(..))));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_too_long_gets_the_state_and_the_seal_outlives_the_log() {
    let (mut fleet, ids) = Fleet::formed(3, short_logs).await;
    fleet.agree().await;
    let (_, journal) = fleet.stop(ids[2]).await;
    fleet.propose(1, ControlEntry::Born).await.expect("it leads");
    assert_eq!(fleet.propose(1, ControlEntry::Seal).await, Ok(Outcome::Done));
    let spare = fleet.admit(1).await;
    let seal = fleet.facts(1).seal.expect("it is in the log");
    let leader = fleet.node(1);
    write_beyond(&leader, fleet.facts(1).last.index).await;
    drop(leader);
    assert_eq!(fleet.facts(1).seal, Some(seal), "it is not in the log any more");

    fleet.start_as(ids[2], Begin::Resume, journal).await.expect("its files are good");
    let control = fleet.agree().await;
    assert_eq!(control.sealed(), Some(seal));
    assert_eq!(fleet.node(ids[2]).metrics().snapshots_installed, 1);
    assert!(fleet.journal(ids[2]).events.iter().any(|event| matches!(event, Event::State(..))), "{:?}", fleet.journal(ids[2]).events);
    fleet.until_facts(ids[2], "the seal", |facts| facts.seal == Some(seal)).await;
    assert_eq!(fleet.facts(ids[2]).configuration, fleet.facts(1).configuration);
    assert!(control.member(NodeId(spare)).is_some());

    // All of it from files alone.
    for id in fleet.ids() {
        fleet.stop(id).await;
        let (facts, read) = fleet.read(id).expect("there are files");
        assert_eq!((facts.seal, read.sealed()), (Some(seal), Some(seal)), "{id}");
        fleet.start(id, Begin::Resume).await.expect("its files are good");
    }
    assert_eq!(fleet.agree().await, control);
    let leader = fleet.leader(&ids).await;
    within("put", fleet.node(leader).propose(put("k", "v"))).await.expect("it leads");
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_another_cluster_or_node_are_not_taken() {
    let mut fleet = Fleet::found().await;
    fleet.stop(1).await;
    let storage = fleet.storage(1);
    // The same to clients, and not the same.
    let other = ClusterId(CLUSTER.0 ^ 1);
    let refused = read(&storage, other, NodeId(1)).expect_err("they are another cluster's").to_string();
    assert!(refused.contains("0123456789abcdef1111222233334444") && refused.contains("33334445"), "{refused}");
    assert!(read(&storage, CLUSTER, NodeId(2)).is_err());
    fleet.cluster = other;
    assert!(fleet.start_as(1, Begin::Resume, Journal::default()).await.is_err());
    fleet.cluster = CLUSTER;
    fleet.start(1, Begin::Resume).await.expect("they are its own");
    fleet.leads(1).await;
    fleet.shutdown().await;
}
