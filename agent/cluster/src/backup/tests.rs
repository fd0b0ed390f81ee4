use bytes::Bytes;
use shoal_kv::{Command, LeaseGrantRequest, PutRequest, Revision, Store, checkpoint::CheckpointVersion};

use super::*;
use crate::{
    raft::log_id,
    snapshot::record::{End, encode_row},
    state::{Head, Replicated},
};

/// The backup of a store, as a member makes it: with `rows` versions in a record, applied up to entry 7 of term 3.
pub(crate) fn backup(store: Store, rows: usize) -> Vec<u8> {
    let versions = store.checkpoint_versions(Revision::default(), store.revision(), usize::MAX);
    let head = Head { applied: Some(log_id(3, 7)), ..Replicated::new(store).head() };
    let mut bytes = MAGIC.to_vec();
    bytes.extend(Record::Head(head).encode());
    for versions in versions.chunks(rows) {
        let row = |version: &CheckpointVersion| (version.revision, encode_row(&version.kv));
        bytes.extend(Record::Rows(versions.iter().map(row).collect()).encode());
    }
    bytes.extend(Record::End(End { rows: versions.len() as u64 }).encode());
    bytes.resize(bytes.len().next_multiple_of(SNAPSHOT_ALIGNMENT_BYTES), 0);
    let digest = Sha256::digest(&bytes);
    bytes.extend(digest);
    bytes
}

/// A store with one lease, and `keys` keys of which one is attached to it.
pub(crate) fn store(keys: usize) -> Store {
    let mut store = Store::new();
    store.apply(Command::LeaseGrant(LeaseGrantRequest { id: 5, ttl: 60 }));
    for number in 0..keys {
        let (key, value) = (format!("key{number}"), format!("value{number}"));
        let lease = if number == 0 { 5 } else { 0 };
        store.apply(Command::Put(PutRequest { key: key.into(), value: value.into(), lease, ..PutRequest::default() }));
    }
    store
}

#[test]
fn what_was_written_is_read() {
    let bytes = backup(store(5), 2);
    let summary = verify(&bytes[..]).expect("it is whole");
    let digest: [u8; DIGEST_BYTES] = bytes[bytes.len() - DIGEST_BYTES..].try_into().expect("so many bytes");
    let expected = BackupSummary {
        revision: 6,
        compact_revision: -1,
        versions: 5,
        applied_index: 7,
        bytes: (bytes.len() - DIGEST_BYTES) as u64,
        digest,
    };
    assert_eq!(summary, expected);
}

#[test]
fn it_may_come_in_pieces_of_any_size() {
    /// Gives one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.read(&mut into[..1])
        }
    }

    let bytes = backup(store(5), 2);
    assert_eq!(verify(Slow(&bytes)).expect("it is whole"), verify(&bytes[..]).expect("it is whole"));
}

#[test]
fn damage_of_any_byte_is_found_and_where_it_is() {
    let bytes = backup(store(5), 2);
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            let error = verify(&damaged[..]).expect_err("it is damaged");
            if at < MAGIC.len() {
                assert!(matches!(error, BackupError::NoBackup), "byte {at}: {error:?}");
            }
            if let BackupError::Damaged { at: record, .. } | BackupError::Cut { at: record, .. } = error {
                assert!(record <= at as u64, "byte {at}: {error:?}");
            }
        }
    }
}

#[test]
fn a_backup_that_was_cut_off_is_refused_wherever_that_was() {
    let bytes = backup(store(5), 2);
    for length in 0..bytes.len() {
        let error = verify(&bytes[..length]).expect_err("it is not whole");
        match error {
            BackupError::NoBackup => assert!(length < MAGIC.len(), "{length} bytes: {error}"),
            BackupError::Cut { bytes, at } => assert!(bytes == length as u64 && at <= bytes, "{length} bytes: {error}"),
            error => panic!("{length} bytes: {error}"),
        }
    }
}

#[test]
fn what_is_no_backup_is_told_apart_from_a_damaged_one() {
    let mut longer = backup(store(1), 1);
    longer.push(0);
    assert!(matches!(verify(&longer[..]), Err(BackupError::Longer { bytes: 1 })));
    // The digest of someone who does not keep to the order of records.
    let rows = Record::Rows(vec![(Revision { main: 2, sub: 0 }, Bytes::from_static(b"no row"))]);
    let mut disordered = MAGIC.to_vec();
    disordered.extend(rows.encode());
    assert!(matches!(verify(&disordered[..]), Err(BackupError::Damaged { at: 16, source: SnapshotDamage::Order })));
    assert!(matches!(verify(&vec![0; 4096][..]), Err(BackupError::NoBackup)));
    assert!(matches!(verify(&[][..]), Err(BackupError::NoBackup)));
}
