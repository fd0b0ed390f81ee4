use super::*;
use crate::{
    checkpoint::{CheckpointHead, CheckpointVersion, RestoreError},
    error::{CompactionError, LeaseGrantError, RangeError, TxnError},
    event::{EventKind, KeyValue},
    request::{
        CompactionRequest, Compare, CompareResult, CompareTarget, LeaseGrantRequest, LeaseRevokeRequest, RangeRequest, RequestOp,
        TxnRequest,
    },
    response::{RangeResponse, ResponseOp, TxnResponse},
};

fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: Bytes::copy_from_slice(key.as_bytes()), value: Bytes::copy_from_slice(value.as_bytes()), ..PutRequest::default() }
}

fn delete(key: &'static str, range_end: &'static str) -> DeleteRangeRequest {
    DeleteRangeRequest { key: Bytes::from(key), range_end: Bytes::from(range_end), prev_kv: false }
}

fn all() -> RangeRequest {
    RangeRequest { key: Bytes::from("\0"), range_end: Bytes::from("\0"), ..RangeRequest::default() }
}

fn compare(key: &'static str, target: CompareTarget) -> Compare {
    Compare { key: Bytes::from(key), range_end: Bytes::new(), result: CompareResult::Equal, target }
}

fn keys(response: &RangeResponse) -> Vec<&str> {
    response.kvs.iter().map(|kv| str::from_utf8(&kv.key).unwrap()).collect()
}

/// Applies a command that takes a revision.
fn apply(store: &mut Store, command: Command) -> Arc<RevisionBatch> {
    store.apply(command).batch.expect("the command changes something")
}

fn txn(store: &mut Store, request: TxnRequest) -> Result<TxnResponse, TxnError> {
    let Outcome::Txn(outcome) = store.apply(Command::Txn(request)).outcome else { unreachable!() };
    outcome
}

fn compact(store: &mut Store, revision: i64) -> Result<(), CompactionError> {
    let Outcome::Compact(outcome) = store.apply(Command::Compact(CompactionRequest { revision })).outcome else { unreachable!() };
    outcome.map(drop)
}

/// Revisions 2 to 6: a, b, c; then b again; then c is deleted.
fn store() -> Store {
    let mut store = Store::new();
    for request in [put("a", "1"), put("b", "1"), put("c", "1"), put("b", "2")] {
        apply(&mut store, Command::Put(request));
    }
    apply(&mut store, Command::DeleteRange(delete("c", "")));
    store
}

#[test]
fn only_what_changes_keys_takes_a_revision() {
    let mut store = Store::new();
    assert_eq!(store.revision(), 1);
    let idle = [
        Command::DeleteRange(delete("a", "\0")),
        Command::LeaseGrant(LeaseGrantRequest { id: 1, ttl: 5 }),
        Command::LeaseRevoke(LeaseRevokeRequest { id: 1 }),
        Command::Txn(TxnRequest { success: vec![RequestOp::Range(all())], ..TxnRequest::default() }),
        Command::Compact(CompactionRequest { revision: 1 }),
        Command::Alarm(AlarmRequest { action: AlarmAction::Activate, member: 1, alarm: Alarm::Corrupt }),
    ];
    for command in idle {
        assert_eq!(store.apply(command.clone()).batch, None, "{command:?}");
    }
    assert_eq!(store.revision(), 1);
    assert_eq!(apply(&mut store, Command::Put(put("a", ""))).revision, 2);
}

#[test]
fn a_page_has_the_count_of_the_whole_range_at_its_revision() {
    let store = store();
    let page = |revision, limit| store.range(&RangeRequest { revision, limit, ..all() }).unwrap();
    let then = page(4, 1);
    assert_eq!((keys(&then), then.count, then.more, then.revision), (vec!["a"], 3, true, 6));
    let now = page(0, 2);
    assert_eq!((keys(&now), now.count, now.more), (vec!["a", "b"], 2, false));
}

#[test]
fn reads_outside_of_history_are_refused() {
    let mut store = store();
    compact(&mut store, 4).unwrap();
    let read = |revision| store.range(&RangeRequest { revision, ..all() }).map(|response| response.count);
    assert_eq!(
        [read(3), read(4), read(6), read(7), read(-1)],
        [Err(RangeError::Compacted), Ok(3), Ok(2), Err(RangeError::FutureRevision), Ok(2)]
    );
    assert_eq!(compact(&mut store, 4), Err(CompactionError::Compacted));
    assert_eq!(compact(&mut store, 7), Err(CompactionError::FutureRevision));
}

#[test]
fn a_deletion_says_its_key_and_its_revision_and_what_was_there() {
    let store = store();
    let batch = store.batch(6).unwrap();
    let [event] = &batch.events[..] else { panic!("{batch:?}") };
    assert_eq!(event.kind, EventKind::Delete);
    assert_eq!(event.kv, KeyValue { key: Bytes::from("c"), mod_revision: 6, ..KeyValue::default() });
    assert_eq!(event.prev_kv.as_ref().unwrap().value, "1");
}

#[test]
fn the_compaction_revision_itself_can_be_read_and_watched() {
    let mut store = store();
    compact(&mut store, 6).unwrap();
    let before = (store.batch(6), store.hash_kv(0));
    while !store.compact_step(1).done {}
    assert_eq!((store.batch(6), store.hash_kv(0)), before);
    assert_eq!(store.batch(5), None);
    // a, both versions of b but for the first, c and its deletion.
    assert_eq!(store.usage().versions, 4);
}

#[test]
fn compaction_forgets_what_nobody_can_ask_for() {
    let mut store = store();
    apply(&mut store, Command::Put(put("d", "1")));
    compact(&mut store, 7).unwrap();
    let mut removed = Vec::new();
    loop {
        let step = store.compact_step(1);
        removed.extend(step.removed);
        if step.done {
            break;
        }
    }
    assert_eq!(removed.iter().map(|at| at.main).collect::<Vec<_>>(), [3, 4, 6], "the first b, and all of c");
    assert_eq!(store.usage(), Usage { keys: 3, versions: 3, bytes: 3 * (VERSION_BYTES + KEY_BYTES + 2) });
    assert_eq!(keys(&store.range(&all()).unwrap()), ["a", "b", "d"]);
}

#[test]
fn nothing_of_a_transaction_happens_if_something_of_it_cannot() {
    let mut store = store();
    let failing = [
        (RequestOp::Put(PutRequest { lease: 9, ..put("x", "") }), TxnError::LeaseNotFound),
        (RequestOp::Put(PutRequest { ignore_value: true, ..put("x", "") }), TxnError::KeyNotFound),
        (RequestOp::Range(RangeRequest { revision: 7, ..all() }), TxnError::FutureRevision),
        (RequestOp::Range(RangeRequest { revision: -2, ..all() }), TxnError::Compacted),
    ];
    for (op, error) in failing {
        let nested = RequestOp::Txn(TxnRequest { success: vec![op], ..TxnRequest::default() });
        let request = TxnRequest { success: vec![RequestOp::Put(put("new", "")), nested], ..TxnRequest::default() };
        assert_eq!(txn(&mut store, request), Err(error));
    }
    assert_eq!(store.revision(), 6);
    assert_eq!(store.usage().keys, 2);
}

#[test]
fn nested_comparisons_look_at_the_state_before_the_transaction() {
    let mut store = Store::new();
    let nested = TxnRequest {
        compare: vec![compare("a", CompareTarget::Version(0))],
        success: vec![RequestOp::Put(put("b", ""))],
        failure: Vec::new(),
    };
    let request = TxnRequest {
        success: vec![RequestOp::Put(put("a", "")), RequestOp::Txn(nested), RequestOp::Range(all())],
        ..TxnRequest::default()
    };
    let response = txn(&mut store, request).unwrap();
    let [ResponseOp::Put(_), ResponseOp::Txn(nested), ResponseOp::Range(range)] = &response.responses[..] else { panic!("{response:?}") };
    assert!(nested.succeeded);
    assert_eq!((nested.revision, response.revision), (0, 2), "as in etcd, only the outermost has a revision");
    assert_eq!((keys(range), range.revision), (vec!["a", "b"], 2), "ranges see what was done before them");
}

#[test]
fn a_key_can_be_deleted_and_put_again_in_one_revision() {
    let mut store = store();
    let request =
        TxnRequest { success: vec![RequestOp::DeleteRange(delete("a", "\0")), RequestOp::Put(put("b", "new"))], ..TxnRequest::default() };
    request.validate(0, &crate::Limits::default()).unwrap();
    let batch = apply(&mut store, Command::Txn(request));
    let events: Vec<_> = batch.events.iter().map(|event| (event.kind, &event.kv.key[..], event.kv.version)).collect();
    assert_eq!(events, [(EventKind::Delete, &b"a"[..], 0), (EventKind::Delete, b"b", 0), (EventKind::Put, b"b", 1)]);
    assert_eq!(batch.events[1].prev_kv.as_ref().unwrap().version, 2);
    assert!(batch.events[2].is_create() && batch.events[2].prev_kv.is_none());
    assert_eq!(Some(batch), store.batch(7));
    assert_eq!(keys(&store.range(&all()).unwrap()), ["b"]);
}

#[test]
fn an_ended_lease_takes_its_keys_with_it_in_one_revision() {
    let mut store = store();
    store.apply(Command::LeaseGrant(LeaseGrantRequest { id: 7, ttl: 60 }));
    for key in ["z", "a", "m"] {
        apply(&mut store, Command::Put(PutRequest { lease: 7, ..put(key, "") }));
    }
    // This one leaves the lease.
    apply(&mut store, Command::Put(put("m", "")));
    assert_eq!(store.lease(7, true).unwrap().keys, ["a", "z"]);
    let batch = apply(&mut store, Command::LeaseRevoke(LeaseRevokeRequest { id: 7 }));
    assert_eq!(batch.revision, 11);
    assert_eq!(batch.events.iter().map(|event| &event.kv.key[..]).collect::<Vec<_>>(), [b"a", b"z"]);
    assert_eq!(store.lease(7, true), None);
    assert_eq!(keys(&store.range(&all()).unwrap()), ["b", "m"]);
}

#[test]
fn without_space_only_what_frees_some_is_done() {
    let mut store = store();
    let alarm = |action| Command::Alarm(AlarmRequest { action, member: 1, alarm: Alarm::NoSpace });
    store.apply(alarm(AlarmAction::Activate));
    assert_eq!(store.apply(Command::Put(put("x", ""))).outcome, Outcome::Put(Err(PutError::NoSpace)));
    let grant = Command::LeaseGrant(LeaseGrantRequest { id: 1, ttl: 1 });
    assert_eq!(store.apply(grant).outcome, Outcome::LeaseGrant(Err(LeaseGrantError::NoSpace)));
    let untaken = TxnRequest { failure: vec![RequestOp::Put(put("x", ""))], ..TxnRequest::default() };
    assert_eq!(txn(&mut store, untaken), Err(TxnError::NoSpace));
    apply(&mut store, Command::DeleteRange(delete("a", "\0")));
    compact(&mut store, 7).unwrap();
    store.apply(alarm(AlarmAction::Deactivate));
    apply(&mut store, Command::Put(put("x", "")));
}

#[test]
fn values_are_kept_as_they_come_and_keys_are_shared() {
    let mut store = Store::new();
    let request = put("a", "a value");
    let (key, value) = (request.key.as_ptr(), request.value.as_ptr());
    apply(&mut store, Command::Put(request));
    apply(&mut store, Command::Put(put("a", "another")));
    let read = |revision| store.range(&RangeRequest { revision, ..all() }).unwrap().kvs.remove(0);
    assert_eq!(read(2).value.as_ptr(), value);
    assert_eq!(read(2).key.as_ptr(), read(3).key.as_ptr());
    assert_ne!(read(2).key.as_ptr(), key, "the key would keep the buffer of a request long forgotten");
}

#[test]
fn a_value_can_move_to_another_place() {
    let mut store = store();
    let before = store.hash_kv(0);
    let elsewhere = Bytes::from("2");
    assert!(store.relocate(Revision { main: 5, sub: 0 }, elsewhere.clone()));
    assert!(!store.relocate(Revision { main: 5, sub: 1 }, elsewhere.clone()));
    assert!(!store.relocate(Revision { main: 5, sub: 0 }, Bytes::from("longer")));
    assert_eq!(store.hash_kv(0), before);
    assert_eq!(store.range(&all()).unwrap().kvs[1].value.as_ptr(), elsewhere.as_ptr());
}

#[test]
fn a_hash_tells_every_difference() {
    let hash = |change: &dyn Fn(&mut Store)| {
        let mut store = store();
        store.apply(Command::LeaseGrant(LeaseGrantRequest { id: 7, ttl: 60 }));
        change(&mut store);
        store.hash_kv(0).unwrap().hash
    };
    let hashes = [
        hash(&|_| {}),
        hash(&|store| drop(apply(store, Command::Put(put("d", "1"))))),
        hash(&|store| drop(apply(store, Command::Put(put("d", "2"))))),
        hash(&|store| drop(apply(store, Command::Put(put("e", "1"))))),
        hash(&|store| drop(apply(store, Command::Put(PutRequest { lease: 7, ..put("d", "1") })))),
        hash(&|store| drop(apply(store, Command::Put(put("b", "1"))))),
        hash(&|store| drop(apply(store, Command::DeleteRange(delete("b", ""))))),
        hash(&|store| compact(store, 6).unwrap()),
    ];
    assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), hashes.len(), "{hashes:?}");
}

#[test]
fn the_hash_is_the_one_that_is_documented() {
    // Changing it makes members of two releases take each other for damaged.
    assert_eq!(store().hash_kv(0).unwrap().hash, 0xd91c_6907);
    assert_eq!(Store::new().hash_kv(0).unwrap().hash, 0);
}

#[test]
fn a_backup_can_be_restored_as_if_time_had_passed() {
    let store = store();
    let versions = store.checkpoint_versions(Revision::default(), i64::MAX, usize::MAX);
    let head = CheckpointHead { revision: 1_000_000, compact_revision: 1_000_000, ..store.checkpoint_head() };
    let mut restored = Store::restore(head, versions).unwrap();
    assert_eq!(restored.range(&RangeRequest { revision: 6, ..all() }), Err(RangeError::Compacted));
    let now = restored.range(&all()).unwrap();
    assert_eq!((keys(&now), now.revision), (vec!["a", "b"], 1_000_000));
    while !restored.compact_step(1).done {}
    assert_eq!(restored.usage().versions, 2);
    assert_eq!(apply(&mut restored, Command::Put(put("c", ""))).revision, 1_000_001);
}

#[test]
fn what_cannot_have_come_from_a_store_is_not_restored() {
    let at = |main| Revision { main, sub: 0 };
    let good = KeyValue { key: Bytes::from("k"), value: Bytes::from("v"), create_revision: 2, mod_revision: 2, version: 1, lease: 0 };
    let version = |main, kv| CheckpointVersion { revision: at(main), kv };
    let head = || CheckpointHead { revision: 5, compact_revision: -1, leases: Vec::new(), alarms: Vec::new() };
    let restore = |head, versions: Vec<_>| Store::restore(head, versions).map(|store| store.usage().keys);

    assert_eq!(restore(head(), vec![version(2, good.clone())]), Ok(1));
    let twice = vec![version(2, good.clone()), version(2, good.clone())];
    assert_eq!(restore(head(), twice), Err(RestoreError::OutOfOrder { at: at(2), after: at(2) }));
    let impossible = [
        KeyValue { key: Bytes::new(), ..good.clone() },
        KeyValue { mod_revision: 3, ..good.clone() },
        KeyValue { create_revision: 3, ..good.clone() },
        KeyValue { create_revision: 0, ..good.clone() },
        KeyValue { version: -1, ..good.clone() },
        KeyValue { version: 0, ..good.clone() },
        KeyValue { version: 0, create_revision: 0, ..good.clone() },
    ];
    for kv in impossible {
        assert_eq!(restore(head(), vec![version(2, kv.clone())]), Err(RestoreError::ImpossibleVersion { at: at(2) }), "{kv:?}");
    }
    let late = KeyValue { mod_revision: 6, ..good.clone() };
    assert_eq!(restore(head(), vec![version(6, late)]), Err(RestoreError::ImpossibleVersion { at: at(6) }));
    let attached = KeyValue { lease: 9, ..good };
    assert_eq!(restore(head(), vec![version(2, attached)]), Err(RestoreError::UnknownLease { at: at(2), lease: 9 }));
    for (revision, compact_revision) in [(0, -1), (5, 6), (5, -2)] {
        let head = CheckpointHead { revision, compact_revision, ..head() };
        assert_eq!(restore(head, Vec::new()), Err(RestoreError::ImpossibleHead { revision, compact_revision }));
    }
}

#[test]
fn a_store_can_be_read_by_many_threads() {
    const fn shared<T: Send + Sync>() {}
    shared::<Store>();
    shared::<RevisionBatch>();
}
