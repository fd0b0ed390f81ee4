//! What becomes of those who wait when the log fails.

use std::time::Duration;

use bytes::Bytes;
use openraft::entry::EntryPayload;
use shoal_store_files::{
    disk::sim::{Fault, SimDisk},
    wear::Wear,
};

use super::*;
use crate::raft::entry::{Content, Proposal, ProposalId};

/// Nothing here waits for longer, on whatever machine.
const DEADLINE: Duration = Duration::from_secs(40);

fn entry(index: u64, bytes: usize) -> Entry {
    let put = shoal_kv::PutRequest { key: Bytes::from_static(b"k"), value: vec![0; bytes].into(), ..shoal_kv::PutRequest::default() };
    let id = ProposalId { member: 1, sequence: index };
    let proposal = Proposal::new(id, Content::Command(shoal_kv::Command::Put(put)));
    Entry { log_id: log_id(1, index), payload: EntryPayload::Normal(proposal) }
}

#[tokio::test]
async fn an_append_that_waits_for_room_is_told_when_the_log_has_failed() {
    let disk = SimDisk::new(0);
    // What is next on the disk is the append: no segments are made meanwhile.
    let quiet = LogOptions { background: false, ..LogOptions::default() };
    let log = Log::create(Arc::new(disk.clone()), "/log".as_ref(), options(quiet), Arc::new(Wear::default()));
    let mut store = LogStore::new(log.expect("the disk is empty"));
    disk.set_fault(Some((disk.operations() + 1, Fault::Error)));
    // More than may wait, so that whatever is next waits until it is written; but it never is.
    let large = (0..12).map(|index| entry(index, 3 << 20));
    store.append(large, IOFlushed::noop()).await.expect("nobody knows of the failure yet");
    let waited = tokio::time::timeout(DEADLINE, store.append([entry(12, 1)], IOFlushed::noop())).await;
    let told = waited.expect("it is told").expect_err("the log has failed");
    assert!(told.to_string().contains("must restart"), "{told}");
}
