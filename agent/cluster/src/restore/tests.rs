use std::path::Path;

use shoal_kv::{Command, CompactionRequest, RangeRequest, Store, watch::HubLimits};

use super::*;
use crate::{
    backup::tests::{backup, store},
    storage::Storage,
};

const IDENTITY: Identity = Identity { cluster: 1, member: 2 };

fn config(directory: &Path, bump: u64) -> RestoreConfig {
    let voters = BTreeMap::from([(2, vec!["http://a:1".to_owned()]), (3, vec!["http://b:1".to_owned()])]);
    RestoreConfig { storage: StorageConfig::new(directory.join("store")), identity: IDENTITY, voters, bump }
}

/// The state that a member finds in restored files when it starts.
fn opened(config: &RestoreConfig) -> Storage {
    Storage::open(&config.storage, config.identity, 1, HubLimits::default(), 1).expect("the files are good")
}

#[test]
fn everything_is_there_and_the_next_entry_is_the_new_membership() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), 0);
    let before = store(100);
    let hash = before.hash_kv(0).expect("it is not compacted");
    let summary = restore(&backup(before, 7)[..], &config).expect("it is a backup");
    assert_eq!((summary.revision, summary.versions), (101, 100));
    let storage = opened(&config);
    let replicated = storage.machine.state.read();
    assert_eq!(replicated.store.hash_kv(0), Ok(hash));
    assert_eq!(replicated.store.lease(5, true).expect("it was granted").keys.len(), 1);
    assert_eq!(replicated.applied, Some(log_id(4, 8)), "the backup goes up to entry 7 of term 3");
    assert_eq!(*replicated.membership.log_id(), Some(log_id(4, 8)));
    assert_eq!(replicated.membership.membership().voter_ids().collect::<Vec<_>>(), [2, 3]);
    let log = storage.log.log().state();
    assert_eq!((log.last, log.purged, log.committed), (Some(file_id(&log_id(4, 8))), Some(file_id(&log_id(4, 8))), log.last));
    let vote = VoteMessage::decode(log.vote.expect("it has one")).expect("it was encoded");
    assert_eq!(vote, VoteMessage { term: 4, voted_for: 2, committed: false });
}

#[test]
fn with_a_bump_nothing_of_the_past_can_be_read_and_everything_present_can() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), 1000);
    let mut before = store(10);
    before.apply(Command::Compact(CompactionRequest { revision: 4 }));
    restore(&backup(before, 7)[..], &config).expect("it is a backup");
    let storage = opened(&config);
    let replicated = storage.machine.state.read();
    let store: &Store = &replicated.store;
    assert_eq!((store.revision(), store.compact_revision()), (1011, 1011));
    let read = |revision| store.range(&RangeRequest { key: "key".into(), range_end: "kez".into(), revision, ..RangeRequest::default() });
    assert_eq!(read(0).expect("it is now").count, 10);
    assert_eq!(read(1011).expect("it is now").count, 10);
    assert_eq!(read(11).expect_err("it was forgotten"), shoal_kv::RangeError::Compacted);
}

#[test]
fn a_bump_beyond_all_revisions_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for bump in [u64::MAX, i64::MAX.unsigned_abs()] {
        let config = RestoreConfig { storage: StorageConfig::new(folder.path().join(format!("{bump}"))), ..config(folder.path(), bump) };
        let error = restore(&backup(store(1), 1)[..], &config).expect_err("there is no such revision");
        assert!(matches!(error, RestoreError::Bump { revision: 2, .. }), "{error}");
    }
}

#[test]
fn no_member_starts_on_what_is_left_of_a_backup_that_was_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), 0);
    let mut bytes = backup(store(100), 7);
    *bytes.last_mut().expect("there are some") ^= 1;
    let error = restore(&bytes[..], &config).expect_err("it is damaged");
    assert!(matches!(error, RestoreError::Backup(BackupError::Digest)), "{error}");
    assert!(!config.storage.exists(), "without a log there is no member");
}

#[test]
fn files_of_a_member_are_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), 0);
    restore(&backup(store(1), 1)[..], &config).expect("it is a backup");
    let error = restore(&backup(store(2), 1)[..], &config).expect_err("there is one");
    assert!(matches!(error, RestoreError::Write(_)), "{error}");
    assert_eq!(opened(&config).machine.state.read().store.revision(), 2);
}

#[test]
fn a_state_that_no_store_can_have_had_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = backup(store(3), 7);
    // The lease that a key is attached to is taken out of the head, and all sums are made good.
    let mut reader = BackupReader::new(&bytes[..]);
    let mut forged = crate::snapshot::record::MAGIC.to_vec();
    while let Some(record) = reader.next().expect("it is whole") {
        let record = match record {
            Record::Head(mut head) => {
                head.store.leases.clear();
                Record::Head(head)
            }
            record => record,
        };
        forged.extend(record.encode());
    }
    forged.resize(forged.len().next_multiple_of(crate::SNAPSHOT_ALIGNMENT_BYTES), 0);
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&forged);
    forged.extend(digest);
    let error = restore(&forged[..], &config(folder.path(), 0)).expect_err("the lease is missing");
    assert!(matches!(&error, RestoreError::State(_)), "{error}");
    assert!(chain(&error).contains("attached to lease 5"), "{}", chain(&error));
}
