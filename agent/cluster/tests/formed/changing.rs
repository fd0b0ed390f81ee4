//! The configuration changes when it is asked for, and only from the one that the change was decided on.

use std::collections::BTreeSet;

use shoal_cluster::formation::{ChangeError, ControlError};
use shoal_formation::{ControlEntry, NodeId, control::Cause, effect::Change};

use crate::fleet::{Fleet, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_from_another_configuration_than_the_newest_does_nothing() {
    let (mut fleet, ids) = Fleet::formed(3, |_| {}).await;
    let before = fleet.facts(1).configuration;
    let nodes = |ids: &[u64]| ids.iter().copied().map(NodeId).collect::<BTreeSet<_>>();
    let change = |voters: &[u64], learners: &[u64]| Change { instead_of: before.at, voters: nodes(voters), learners: nodes(learners) };
    within("change", fleet.handle(1).change(change(&ids[..1], &ids[1..]))).await.expect("it is the newest");
    fleet.until_facts(1, "one voter", |facts| facts.is_at_rest() && facts.configuration.voters.len() == 1).await;
    assert_eq!(fleet.handle(1).change(change(&ids, &[])).await, Err(ChangeError::Superseded));
    assert_eq!(fleet.change(1, &[], &ids).await, Err(ChangeError::NoVoters));
    assert_eq!(fleet.change(1, &ids[..1], &[77]).await, Err(ChangeError::NoMember(NodeId(77))));
    assert_eq!(fleet.handle(ids[1]).change(change(&ids, &[])).await, Err(ChangeError::NotLeader));
    assert_eq!(fleet.propose(ids[1], ControlEntry::Born).await, Err(ControlError::NotLeader));
    // Whoever voted is in no list now, and listens again after another change.
    assert!(fleet.facts(1).configuration.learners.is_empty());
    fleet.change(1, &ids[..1], &ids[1..]).await.expect("they are members");
    fleet.change(1, &ids, &[]).await.expect("they are members");
    assert_eq!(fleet.facts(1).configuration.voters, nodes(&ids));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_is_gone_is_replaced_in_one_change_and_its_number_stays_dead() {
    let (mut fleet, mut ids) = Fleet::formed(3, |_| {}).await;
    let spare = fleet.admit(1).await;
    let (_, dead) = (fleet.stop(ids[2]).await, NodeId(ids[2]));
    fleet.propose(1, ControlEntry::Remove(dead, Cause::Replaced)).await.expect("it leads");
    ids[2] = spare;
    fleet.change(1, &ids, &[]).await.expect("it is caught up");
    fleet.is_out(dead.0);
    let control = fleet.agree().await;
    assert!(control.tombstone(dead).is_some_and(|tombstone| tombstone.cause == Cause::Replaced));
    assert!(!fleet.facts(1).configuration.contains(dead) && fleet.facts(1).configuration.is_uniform());
    // It comes back, and disturbs nobody.
    let term = fleet.facts(1).term;
    fleet.start(dead.0, shoal_formation::effect::Begin::Resume).await.expect("its files are good");
    fleet.propose(1, ControlEntry::Born).await.expect("it leads");
    fleet.until(spare, "the entry", |member| member.control().is_born()).await;
    assert_eq!(fleet.facts(1).term, term);
    assert!(!fleet.handle(dead.0).control().is_born() && fleet.facts(dead.0).leader.is_none());
    fleet.shutdown().await;
}
