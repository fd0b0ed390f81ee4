//! A seal and a dissolution exclude each other, and nothing is written after a dissolution.

use shoal_cluster::{ProposeError, Replica};
use shoal_formation::{
    ClusterId, ControlEntry,
    control::{Outcome, Refusal},
};

use crate::fleet::{Fleet, put, within};

const INTO: ClusterId = ClusterId(7);

/// How often the two race.
const RACES: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_seal_and_a_dissolution_that_race_one_is_refused() {
    for race in 0..RACES {
        let mut fleet = Fleet::found().await;
        fleet.propose(1, ControlEntry::Born).await.expect("it leads");
        let (seal, dissolve) = (fleet.handle(1), fleet.handle(1));
        let seal = async move { seal.propose(ControlEntry::Seal).await };
        let dissolve = async move { dissolve.propose(ControlEntry::Dissolve(INTO)).await };
        let racing = async {
            if race % 2 == 0 {
                let dissolve = tokio::spawn(dissolve);
                (seal.await, dissolve.await.expect("it ends"))
            } else {
                let seal = tokio::spawn(seal);
                let dissolve = dissolve.await;
                (seal.await.expect("it ends"), dissolve)
            }
        };
        let outcomes = within("outcomes", racing).await;
        let written = within("put", fleet.node(1).propose(put("k", "v"))).await;
        let control = fleet.agree().await;
        match outcomes {
            (Ok(Outcome::Done), Ok(Outcome::Refused(Refusal::Sealed))) => {
                assert!(control.sealed().is_some() && control.dissolved().is_none() && written.is_ok());
            }
            (Ok(Outcome::Refused(Refusal::Dissolved(INTO))), Ok(Outcome::Done)) => {
                assert_eq!((control.sealed(), control.dissolved(), written), (None, Some(INTO), Err(ProposeError::Dissolved)));
            }
            other => panic!("exactly one holds: {other:?}"),
        }
        fleet.shutdown().await;
    }
}

/// The refusal is a matter of the log's order: a write that was under way when the dissolution was committed is refused where it is applied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_is_acknowledged_behind_a_dissolution_on_whichever_member() {
    let (mut fleet, ids) = Fleet::formed(3, |_| {}).await;
    let writers = ids.iter().map(|id| {
        let node = fleet.node(*id);
        tokio::spawn(async move {
            let mut last = 0;
            loop {
                match node.propose(put("k", "v")).await {
                    Ok(shoal_kv::Outcome::Put(Ok(put))) => last = put.revision,
                    Err(ProposeError::Dissolved) => return last,
                    other => panic!("{other:?}"),
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    assert_eq!(fleet.propose(1, ControlEntry::Dissolve(INTO)).await, Ok(Outcome::Done));
    let last = within("refusals", futures_util::future::join_all(writers)).await.into_iter().map(|last| last.expect("it ends")).max();
    fleet.agree().await;
    for id in ids {
        assert_eq!(
            Some(fleet.node(id).store().revision().max(last.unwrap_or_default())),
            last.max(Some(1)),
            "{id} has nothing that was not acknowledged"
        );
    }
    fleet.shutdown().await;
}

/// The seal of a leader that is cut off is in its log, and in no other. It shows there as long as it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_that_is_not_committed_shows_and_goes_when_others_dissolve() {
    let (mut fleet, ids) = Fleet::formed(3, |_| {}).await;
    fleet.propose(1, ControlEntry::Born).await.expect("it leads");
    fleet.agree().await;
    fleet.cut_off(1, true);
    let alone = fleet.handle(1);
    let lost = tokio::spawn(async move { alone.propose(ControlEntry::Seal).await });
    let facts = fleet.until_facts(1, "a seal in the log", |facts| facts.seal.is_some()).await;
    assert!(facts.seal > Some(facts.committed));
    let second = fleet.leader(&ids[1..]).await;
    fleet.until_facts(1, "loss of the lead", |facts| facts.leading.is_none() && facts.leader.is_none()).await;
    assert!(fleet.facts(1).seal.is_some(), "a node that could leave must not: it may be committed for all it knows");
    assert_eq!(fleet.propose(second, ControlEntry::Dissolve(INTO)).await, Ok(Outcome::Done));
    // Nor does a restart make it forget.
    fleet.stop(1).await;
    assert!(fleet.read(1).is_some_and(|(facts, _)| facts.seal.is_some()));
    fleet.start(1, shoal_formation::effect::Begin::Resume).await.expect("its files are good");
    assert!(fleet.facts(1).seal.is_some() || fleet.until_facts(1, "the seal", |facts| facts.last.index > 0).await.seal.is_some());
    fleet.cut_off(1, false);
    let control = fleet.agree().await;
    assert_eq!((control.sealed(), control.dissolved()), (None, Some(INTO)));
    for id in &ids {
        fleet.until_facts(*id, "a log without seals", |facts| facts.seal.is_none()).await;
    }
    assert!(!matches!(within("outcome", lost).await, Ok(Ok(Outcome::Done))));
    fleet.shutdown().await;
}
