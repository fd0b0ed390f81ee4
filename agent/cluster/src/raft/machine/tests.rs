//! What entries about the cluster itself do to those behind them.

use shoal_formation::{ClusterId, ControlEntry, control::Outcome};
use shoal_kv::{Command, PutRequest, watch::HubLimits};
use shoal_store_files::{checkpoint::CheckpointOptions, disk::sim::SimDisk, log::LogOptions};

use super::*;
use crate::{
    proposals::Fate,
    raft::log_id,
    replica::Identity,
    storage::{Storage, StorageConfig},
};

/// The early refusal of a proposal is a courtesy: whoever has not heard of the dissolution yet lets writes into the log behind it.
#[tokio::test]
async fn nothing_is_written_behind_a_dissolution_that_is_in_the_log_all_the_same() {
    let log = LogOptions { segment_bytes: 64 << 10, ..LogOptions::default() };
    let config =
        StorageConfig { directory: "/member".into(), disk: Arc::new(SimDisk::new(7)), log, checkpoint: CheckpointOptions::default() };
    let identity = Identity { cluster: 1, member: 1 };
    let Storage { machine, .. } = Storage::open(&config, identity, 1, HubLimits::default(), 0).expect("it is new");
    let put = || Content::Command(Command::Put(PutRequest { key: "k".into(), value: "v".into(), ..PutRequest::default() }));
    let contents = [put(), Content::Control(ControlEntry::Dissolve(ClusterId(7))), put(), Content::Control(ControlEntry::Seal)];
    let mut waiters: Vec<_> = contents.iter().map(|_| machine.proposals.propose(1).expect("the term is not over")).collect();
    let entries = contents.into_iter().zip(&waiters).zip(5..).map(|((content, waiter), index)| {
        (log_id(1, index), Change::Proposed(ProposalId { member: 1, sequence: waiter.sequence }, content))
    });
    machine.apply(entries.collect());
    let mut fates = Vec::new();
    for waiter in &mut waiters {
        fates.push(waiter.fate().await);
    }
    assert!(matches!(fates[0], Fate::Applied(Answer::Outcome(_))));
    assert_eq!(fates[1], Fate::Applied(Answer::Control(Outcome::Done)));
    assert_eq!(fates[2], Fate::Applied(Answer::Dissolved));
    assert!(matches!(fates[3], Fate::Applied(Answer::Control(Outcome::Refused(_)))));
    let replicated = machine.state.read();
    assert_eq!(replicated.store.revision(), 2, "one write");
    assert_eq!((replicated.control.sealed(), replicated.first_seal), (None, Some(9)));
}
