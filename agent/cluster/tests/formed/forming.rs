//! A cluster begins with one, and others come in through the log.

use std::collections::BTreeSet;

use shoal_cluster::{MembershipError, Replica, StartError, formation::Event};
use shoal_formation::{
    Configuration, ControlEntry, NodeId,
    control::{Cause, Outcome, Refusal},
    effect::Begin,
    facts::LogId,
};

use crate::fleet::{Fleet, admission, put, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_founder_is_node_1_and_its_configuration_is_the_first_entry() {
    let mut fleet = Fleet::found().await;
    let facts = fleet.facts(1);
    let first = Configuration { at: LogId { term: 0, index: 1 }, voters: [NodeId::FOUNDER].into(), ..Configuration::default() };
    assert_eq!((&*facts.configuration, facts.leader, facts.seal), (&first, Some(NodeId::FOUNDER), None));
    assert_eq!(fleet.handle(1).key_of(NodeId::FOUNDER), fleet.agree().await.member(NodeId::FOUNDER).map(|member| member.admission.key));
    // Behind the configuration and the leader's first entry.
    assert_eq!(fleet.journal(1).events.len(), 1);
    assert!(matches!(fleet.journal(1).events[0], Event::Entry(3, ControlEntry::Genesis(_))), "{:?}", fleet.journal(1).events);
    assert_eq!(fleet.node(1).member_add(vec!["http://127.0.0.1:1".into()], true).await, Err(MembershipError::FormsItself));
    fleet.stop(1).await;
    assert!(matches!(fleet.start(1, Begin::Found).await, Err(StartError::NotNew(1))), "a cluster is begun once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_become_one_cluster_and_it_is_sealed() {
    let (mut fleet, mut ids) = Fleet::formed(3, |_| {}).await;
    ids.push(fleet.admit(1).await);
    ids.push(fleet.admit(1).await);
    assert_eq!(fleet.propose(1, ControlEntry::Seal).await, Ok(Outcome::Refused(Refusal::Unborn)));
    assert_eq!(fleet.propose(1, ControlEntry::Born).await, Ok(Outcome::Done));
    assert_eq!(fleet.propose(1, ControlEntry::Seal).await, Ok(Outcome::Done));
    assert!(within("put", fleet.node(ids[4]).propose(put("k", "v"))).await.is_ok(), "a learner forwards");
    let control = fleet.agree().await;
    assert_eq!(control.members().map(|(node, _)| node.0).collect::<Vec<_>>(), ids);
    // The one that was refused counts, too: it is in the log.
    let first = fleet.facts(1).seal;
    assert!(first < control.sealed() && first.is_some());
    for id in &ids {
        let facts = fleet.facts(*id);
        assert_eq!((facts.seal, facts.leader), (first, Some(NodeId::FOUNDER)), "{id}");
        assert_eq!(facts.configuration.voters, ids[..3].iter().copied().map(NodeId).collect::<BTreeSet<_>>());
        assert_eq!(facts.configuration.learners, ids[3..].iter().copied().map(NodeId).collect::<BTreeSet<_>>());
        assert_eq!(facts.leading.is_some(), *id == 1);
    }
    let leading = fleet.until_facts(1, "answers of all", |facts| {
        let progress = facts.leading.iter().flat_map(|leading| &leading.progress);
        progress.filter(|progress| progress.heard.is_some() && progress.matched == facts.last.index).count() == 4
    });
    leading.await;
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_the_number_of_another_whoever_leads_and_whatever_restarts() {
    let (mut fleet, mut ids) = Fleet::formed(3, |_| {}).await;
    let key = fleet.key();
    assert_eq!(fleet.propose(1, ControlEntry::Admit(admission(key))).await, Ok(Outcome::Done));
    let Some((given, _)) = fleet.handle(1).control().by_key(key).map(|(id, record)| (id, *record)) else { panic!("it is in") };
    assert_eq!(fleet.propose(1, ControlEntry::Admit(admission(key))).await, Ok(Outcome::Already(given)));
    assert_eq!(fleet.propose(1, ControlEntry::Remove(given, Cause::Operator)).await, Ok(Outcome::Done));
    ids.push(given.0);
    fleet.stop(1).await;
    let second = fleet.leader(&ids[1..3]).await;
    // `Fleet` panics on a number that it knows; this one it never knew.
    let new = fleet.admit(second).await;
    assert!(!ids.contains(&new));
    assert_eq!(fleet.propose(second, ControlEntry::Admit(admission(key))).await, Ok(Outcome::Refused(Refusal::KeyRemoved)));
    fleet.start(1, Begin::Resume).await.expect("its files are good");
    let control = fleet.agree().await;
    assert!(control.tombstone(given).is_some() && control.member(given).is_none());
    fleet.shutdown().await;
}
