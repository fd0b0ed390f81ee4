//! Random operations. Revisions in them are relative until the moment they are made, so that they are interesting whatever came before: see
//! [`Operation::resolve`].

use bytes::Bytes;
use proptest::prelude::*;
use shoal_kv::{
    Alarm, AlarmAction, AlarmRequest, Command, CompactionRequest, Compare, CompareResult, CompareTarget, DeleteRangeRequest,
    LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp, SortOrder, SortTarget, TxnRequest,
    watch::WatchCreateRequest,
};

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Command(Command),
    Range(RangeRequest),
    /// Rebuild the events of a revision.
    Batch(i64),
    CompactStep(usize),
    Hash(i64),
    /// Hand some of the batches that were applied to the hub.
    Publish(usize),
    Open,
    Close(usize),
    Watch(usize, WatchCreateRequest),
    Cancel(usize, i64),
    RequestProgress(usize),
    NotifyProgress(usize),
    Poll(usize, usize),
    /// Replace the store under the hub by a newer one, as a snapshot from the leader does.
    Reset,
    /// Write down what is new, in chunks of so many versions.
    Checkpoint(usize),
    /// Lose the store, and have it again from what was written down and the commands since.
    Restore,
    /// So many seconds pass.
    Pass(u64),
    KeepAlive(i64),
    /// Another member leads, or this one again.
    ChangeLeader,
}

/// Keys that lie in each other's ranges, and at the ends of the key space.
const KEYS: [&[u8]; 12] = [b"\0", b"a", b"a\0", b"a/1", b"a/2", b"a/3", b"a0", b"b", b"b/1", b"c", b"\xff", b"\xff\xff"];

fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![60 => prop::sample::select(&KEYS[..]).prop_map(Bytes::from_static), 1 => Just(Bytes::new())]
}

fn range_end() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => Just(Bytes::new()),
        2 => Just(Bytes::from_static(b"\0")),
        4 => prop::sample::select(&KEYS[1..]).prop_map(Bytes::from_static),
        1 => Just(Bytes::from_static(b"d")),
    ]
}

fn value() -> impl Strategy<Value = Bytes> {
    prop_oneof![4 => "[x-z]{0,2}".prop_map(Bytes::from), 1 => "[x-z]{50,80}".prop_map(Bytes::from)]
}

fn lease() -> impl Strategy<Value = i64> {
    prop_oneof![4 => Just(0), 1 => 1..=4_i64]
}

/// The newest revision or one before, the compaction or one near it, one to come, or a negative one.
pub(crate) mod relative {
    use proptest::prelude::*;

    pub(crate) const NEAR_COMPACTION: i64 = 1_000_000;
    pub(crate) const BEFORE_NEWEST: i64 = 2_000_000;

    pub(crate) fn past() -> impl Strategy<Value = i64> {
        prop_oneof![4 => (0..=12_i64).prop_map(|n| BEFORE_NEWEST + n), 2 => (0..=4_i64).prop_map(|n| NEAR_COMPACTION + n)]
    }

    pub(crate) fn any_revision() -> impl Strategy<Value = i64> {
        prop_oneof![20 => Just(0_i64), 16 => past(), 1 => (1..=3_i64).prop_map(|n| BEFORE_NEWEST - n), 1 => -3..=-1_i64]
    }

    pub(crate) fn resolve(revision: i64, newest: i64, compacted: i64) -> i64 {
        match revision {
            1_900_000.. => newest - (revision - BEFORE_NEWEST),
            900_000.. => compacted + (revision - NEAR_COMPACTION) - 2,
            _ => revision,
        }
    }
}

fn range() -> impl Strategy<Value = RangeRequest> {
    let order = prop_oneof![3 => Just(SortOrder::None), 1 => Just(SortOrder::Ascend), 1 => Just(SortOrder::Descend)];
    let target = prop_oneof![
        4 => Just(SortTarget::Key),
        1 => Just(SortTarget::Version),
        1 => Just(SortTarget::Create),
        1 => Just(SortTarget::Mod),
        1 => Just(SortTarget::Value),
    ];
    let limit = prop_oneof![2 => Just(0_i64), 4 => 1..=4_i64, 1 => Just(i64::MAX), 1 => Just(-1_i64)];
    let flags = (prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    let filter = || prop_oneof![8 => Just(0_i64), 1 => relative::past()];
    let filters = (filter(), filter(), filter(), filter());
    (key(), range_end(), limit, relative::any_revision(), order, target, flags, filters).prop_map(
        |(key, range_end, limit, revision, sort_order, sort_target, (keys_only, count_only), filters)| RangeRequest {
            key,
            range_end,
            limit,
            revision,
            sort_order,
            sort_target,
            keys_only,
            count_only,
            min_mod_revision: filters.0,
            max_mod_revision: filters.1,
            min_create_revision: filters.2,
            max_create_revision: filters.3,
        },
    )
}

fn put() -> impl Strategy<Value = PutRequest> {
    let rarely = || prop::bool::weighted(0.08);
    (key(), value(), lease(), any::<bool>(), rarely(), rarely(), prop::bool::weighted(0.15)).prop_map(
        |(key, value, lease, prev_kv, ignore_value, ignore_lease, wrong)| PutRequest {
            key,
            value: if ignore_value && !wrong { Bytes::new() } else { value },
            lease: if ignore_lease && !wrong { 0 } else { lease },
            prev_kv,
            ignore_value,
            ignore_lease,
        },
    )
}

fn delete() -> impl Strategy<Value = DeleteRangeRequest> {
    (key(), range_end(), any::<bool>()).prop_map(|(key, range_end, prev_kv)| DeleteRangeRequest { key, range_end, prev_kv })
}

fn compare() -> impl Strategy<Value = Compare> {
    let result = prop_oneof![
        4 => Just(CompareResult::Equal),
        1 => Just(CompareResult::Greater),
        1 => Just(CompareResult::Less),
        1 => Just(CompareResult::NotEqual),
        1 => Just(CompareResult::Unrecognized),
    ];
    let revision = || prop_oneof![Just(0_i64), relative::past()];
    let target = prop_oneof![
        3 => (0..=2_i64).prop_map(CompareTarget::Version),
        2 => revision().prop_map(CompareTarget::CreateRevision),
        3 => revision().prop_map(CompareTarget::ModRevision),
        2 => value().prop_map(CompareTarget::Value),
        1 => (0..=2_i64).prop_map(CompareTarget::Lease),
        1 => Just(CompareTarget::Unrecognized),
    ];
    (key(), range_end(), result, target).prop_map(|(key, range_end, result, target)| Compare { key, range_end, result, target })
}

fn txn() -> impl Strategy<Value = TxnRequest> {
    let ops = |op: BoxedStrategy<RequestOp>| prop::collection::vec(op, 0..3);
    let leaf = prop_oneof![
        3 => put().prop_map(RequestOp::Put),
        2 => range().prop_map(RequestOp::Range),
        1 => delete().prop_map(RequestOp::DeleteRange),
    ];
    let op = leaf.prop_recursive(3, 8, 3, move |inner| {
        let compare = prop::collection::vec(compare(), 0..2);
        (compare, ops(inner.clone()), ops(inner))
            .prop_map(|(compare, success, failure)| RequestOp::Txn(TxnRequest { compare, success, failure }))
    });
    let list = prop::collection::vec(op, 0..3);
    (prop::collection::vec(compare(), 0..3), list.clone(), list).prop_map(|(compare, success, failure)| TxnRequest {
        compare,
        success,
        failure,
    })
}

fn watch() -> impl Strategy<Value = WatchCreateRequest> {
    let flag = || prop::bool::weighted(0.3);
    let start = prop_oneof![6 => Just(0_i64), 6 => relative::past(), 2 => relative::any_revision()];
    let id = prop_oneof![4 => Just(0_i64), 2 => -1..=4_i64];
    let key = prop_oneof![5 => key(), 1 => Just(Bytes::new())];
    (id, key, range_end(), start, flag(), (prop::bool::weighted(0.1), prop::bool::weighted(0.1)), any::<bool>(), flag()).prop_map(
        |(watch_id, key, range_end, start_revision, progress_notify, (no_put, no_delete), prev_kv, fragment)| WatchCreateRequest {
            watch_id,
            key,
            range_end,
            start_revision,
            progress_notify,
            no_put,
            no_delete,
            prev_kv,
            fragment,
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    let alarm = (prop::bool::weighted(0.25), 1..=2_u64, any::<bool>()).prop_map(|(activate, member, full)| {
        Command::Alarm(AlarmRequest {
            action: if activate { AlarmAction::Activate } else { AlarmAction::Deactivate },
            member,
            alarm: if full { Alarm::NoSpace } else { Alarm::Corrupt },
        })
    });
    prop_oneof![
        24 => put().prop_map(Command::Put),
        6 => delete().prop_map(Command::DeleteRange),
        10 => txn().prop_map(Command::Txn),
        3 => relative::past().prop_map(|revision| Command::Compact(CompactionRequest { revision })),
        1 => relative::any_revision().prop_map(|revision| Command::Compact(CompactionRequest { revision })),
        5 => (0..=4_i64, 1..=20_i64).prop_map(|(id, ttl)| Command::LeaseGrant(LeaseGrantRequest { id, ttl })),
        2 => (0..=4_i64).prop_map(|id| Command::LeaseRevoke(LeaseRevokeRequest { id })),
        1 => alarm,
    ]
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let stream = || 0..3_usize;
    let budget = prop_oneof![1_usize..200, Just(1_usize), Just(usize::MAX)];
    prop_oneof![
        50 => command().prop_map(Operation::Command),
        14 => range().prop_map(Operation::Range),
        3 => relative::past().prop_map(Operation::Batch),
        8 => (0..12_usize).prop_map(Operation::CompactStep),
        2 => relative::any_revision().prop_map(Operation::Hash),
        12 => (0..8_usize).prop_map(Operation::Publish),
        4 => Just(Operation::Open),
        1 => stream().prop_map(Operation::Close),
        14 => (stream(), watch()).prop_map(|(stream, watch)| Operation::Watch(stream, watch)),
        2 => (stream(), -1..5_i64).prop_map(|(stream, id)| Operation::Cancel(stream, id)),
        5 => stream().prop_map(Operation::RequestProgress),
        5 => stream().prop_map(Operation::NotifyProgress),
        20 => (stream(), budget).prop_map(|(stream, budget)| Operation::Poll(stream, budget)),
        1 => Just(Operation::Reset),
        3 => (1..10_usize).prop_map(Operation::Checkpoint),
        1 => Just(Operation::Restore),
        3 => (1..12_u64).prop_map(Operation::Pass),
        4 => (0..=4_i64).prop_map(Operation::KeepAlive),
        1 => Just(Operation::ChangeLeader),
    ]
}

impl Operation {
    /// The operation with revisions as they are now.
    pub(crate) fn resolve(mut self, newest: i64, compacted: i64) -> Self {
        let resolve = |revision: &mut i64| *revision = relative::resolve(*revision, newest, compacted);
        match &mut self {
            Self::Command(Command::Compact(request)) => resolve(&mut request.revision),
            Self::Command(Command::Txn(request)) => resolve_txn(request, &resolve),
            Self::Range(request) => resolve_range(request, &resolve),
            Self::Batch(revision) | Self::Hash(revision) => resolve(revision),
            Self::Watch(_, request) => resolve(&mut request.start_revision),
            _ => {}
        }
        self
    }
}

fn resolve_range(request: &mut RangeRequest, resolve: &impl Fn(&mut i64)) {
    resolve(&mut request.revision);
    resolve(&mut request.min_mod_revision);
    resolve(&mut request.max_mod_revision);
    resolve(&mut request.min_create_revision);
    resolve(&mut request.max_create_revision);
}

fn resolve_txn(request: &mut TxnRequest, resolve: &impl Fn(&mut i64)) {
    for compare in &mut request.compare {
        if let CompareTarget::CreateRevision(revision) | CompareTarget::ModRevision(revision) = &mut compare.target {
            resolve(revision);
        }
    }
    for op in request.success.iter_mut().chain(&mut request.failure) {
        match op {
            RequestOp::Range(range) => resolve_range(range, resolve),
            RequestOp::Txn(txn) => resolve_txn(txn, resolve),
            RequestOp::Put(_) | RequestOp::DeleteRange(_) => {}
        }
    }
}
