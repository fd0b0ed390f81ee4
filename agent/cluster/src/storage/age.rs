//! Whether a checkpoint and a log belong to the same time.
//!
//! The log forgets only what a checkpoint holds durably. A checkpoint that ends before the log begins is therefore not the one that was here
//! last: somebody has put an old copy back, files of two directories were mixed, or the medium shows an older commit (redb keeps the one before
//! in its header, and a bit says which counts). Entries between the two are nowhere: raft would go on with a hole, and this member's state would
//! differ from that of all others for ever.

use std::path::Path;

use shoal_store_files::log::LogId;

use crate::{raft::log::file_id, state::Head};

/// Refuses a checkpoint that ends before the log begins, with what an operator can do.
pub(super) fn compare(directory: &Path, member: u64, head: &Head, purged: Option<LogId>) -> Result<(), String> {
    let Some(purged) = purged else { return Ok(()) };
    let applied = head.applied.as_ref().map(file_id);
    if applied.is_some_and(|applied| applied.index >= purged.index) {
        return Ok(());
    }
    let ends = applied.map_or_else(|| "is empty".to_owned(), |applied| format!("ends with entry {}", applied.index));
    let directory = directory.display();
    let has_peers = head.membership.nodes().any(|(&id, _)| id != member);
    let remedy = if has_peers {
        format!("or remove this member from its cluster (etcdctl member remove {member:x}), empty {directory}, and let it join anew")
    } else {
        format!(
            "or restore a snapshot (shoal-store snapshot restore) into another directory; if the cluster has other members by now, remove this one \
             (etcdctl member remove {member:x}), empty {directory}, and let it join anew"
        )
    };
    Err(format!(
        "the checkpoint in {directory} {ends}, but the raft log beside it has forgotten everything up to entry {}: what is between is in neither. An \
         old copy of the checkpoint was put back, the directory was put together from two, or the medium shows what it held before. The log was \
         not changed. Put the checkpoint back that was here last, {remedy}",
        purged.index
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shoal_kv::Store;

    use super::*;
    use crate::{
        raft::{Membership, Peer, StoredMembership, log_id},
        state::Replicated,
    };

    fn head(applied: Option<u64>, members: &[u64]) -> Head {
        let applied = applied.map(|index| log_id(1, index));
        let nodes: std::collections::BTreeMap<u64, Peer> = members.iter().map(|&id| (id, Peer::voter(Vec::new()))).collect();
        let membership = Membership::new(vec![members.iter().copied().collect::<BTreeSet<_>>()], nodes);
        let membership = StoredMembership::new(applied, membership.expect("all voters are members"));
        Head { applied, membership, ..Replicated::new(Store::new()).head() }
    }

    fn compared(applied: Option<u64>, members: &[u64], purged: Option<u64>) -> Result<(), String> {
        let purged = purged.map(|index| LogId { term: 1, index });
        compare(Path::new("/data/store"), 0xa, &head(applied, members), purged)
    }

    #[test]
    fn a_checkpoint_may_go_further_than_the_log_has_forgotten_or_as_far() {
        for (applied, purged) in [(None, None), (Some(7), None), (Some(7), Some(6)), (Some(7), Some(7))] {
            assert_eq!(compared(applied, &[0xa], purged), Ok(()), "{applied:?} {purged:?}");
        }
    }

    #[test]
    fn a_hole_is_refused_with_both_ends_of_it_and_what_to_do() {
        let alone = compared(Some(7), &[0xa], Some(8)).expect_err("entry 8 is nowhere");
        for said in ["ends with entry 7", "up to entry 8", "/data/store", "snapshot restore"] {
            assert!(alone.contains(said), "{said:?} in {alone}");
        }
        let one_of_two = compared(None, &[0xa, 0xb], Some(8)).expect_err("everything up to entry 8 is nowhere");
        for said in ["is empty", "up to entry 8", "/data/store", "member remove a"] {
            assert!(one_of_two.contains(said), "{said:?} in {one_of_two}");
        }
        assert!(!one_of_two.contains("snapshot restore"), "its peers have everything: {one_of_two}");
    }
}
