//! Random operations on the store, its watch hub and its lessor, against an oracle that does everything the plain way.
//!
//! `PROPTEST_CASES=10000 cargo test -p shoal-kv --test model` runs as many cases as one likes. A case that fails is shrunk and printed.

mod clients;
mod disk;
mod leases;
mod operation;
mod oracle;
mod oracle_txn;
mod seen;
mod world;

use bytes::Bytes;
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use shoal_kv::{
    known_bugs::KnownBug,
    watch::{NO_WATCH_ID, WatchCreateRequest},
};

use crate::{
    operation::{Operation, operation, relative},
    seen::Seen,
    world::World,
};

/// Cases that a run has time for while somebody waits.
const CASES: u32 = 3000;

/// Cases in which each known bug has to show itself.
const CASES_FOR_A_BUG: u32 = 3000;

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    // Everything begins with a stream, so that shrinking need not look for one.
    prop::collection::vec(operation(), 1..150).prop_map(|mut operations| {
        operations.insert(0, Operation::Open);
        operations
    })
}

fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().map_or(default, |cases| cases.parse().expect("PROPTEST_CASES is a number"))
}

#[test]
fn the_store_does_what_the_oracle_does() {
    let config = Config { cases: cases(CASES), failure_persistence: None, ..Config::default() };
    let seen = Seen::default();
    let outcome = TestRunner::new(config).run(&operations(), |operations| World::new(None, &seen).run(operations));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// etcd lets a client give a watcher the id that stands for all watchers of its stream. Its progress is not everybody's.
#[test]
fn the_progress_of_a_watcher_with_the_id_of_all_is_its_own() {
    let watch = |watch_id, start_revision, progress_notify| {
        Operation::Watch(
            0,
            WatchCreateRequest {
                watch_id,
                key: Bytes::from_static(b"a"),
                range_end: Bytes::new(),
                start_revision,
                progress_notify,
                no_put: false,
                no_delete: false,
                prev_kv: false,
                fragment: false,
            },
        )
    };
    let one_starts_later = relative::BEFORE_NEWEST - 1;
    let operations = vec![
        Operation::Open,
        watch(NO_WATCH_ID, 0, true),
        Operation::NotifyProgress(0),
        Operation::RequestProgress(0),
        watch(0, one_starts_later, false),
        Operation::Poll(0, 65),
    ];
    World::new(None, &Seen::default()).run(operations).unwrap();
}

/// Everything that can go right or wrong for a client. Errors that the generator cannot reach are not here: an unknown sort option has no name, and
/// the sizes of requests are the server's to know.
const CORNERS: [&str; 51] = [
    "a compaction goes on",
    "a fragment",
    "a lease has to wait for its end",
    "a poll left something",
    "a stream was too slow",
    "a watcher has caught up",
    "cancelled",
    "compacted",
    "compaction: Compacted",
    "compaction: FutureRevision",
    "compaction: ok",
    "created",
    "grant: LeaseExists",
    "grant: LeaseNotFound",
    "grant: NoSpace",
    "grant: ok",
    "history was read",
    "keep-alive: Expired",
    "keep-alive: NotFound",
    "keep-alive: ok",
    "more than the limit",
    "one revision in a response",
    "progress of a stream",
    "progress of a watcher",
    "put: KeyNotFound",
    "put: LeaseNotFound",
    "put: NoSpace",
    "put: ok",
    "range: Compacted",
    "range: FutureRevision",
    "range: ok",
    "refused: Compacted",
    "refused: DuplicateId",
    "refused: EmptyRange",
    "refused: TooManyWatchers",
    "revocation: LeaseNotFound",
    "revocation: ok",
    "several keys deleted",
    "several revisions in a response",
    "txn: Compacted",
    "txn: FutureRevision",
    "txn: KeyNotFound",
    "txn: LeaseNotFound",
    "txn: NoSpace",
    "txn: ok",
    "validation: DuplicateKey",
    "validation: EmptyKey",
    "validation: LeaseProvided",
    "validation: TooManyOperations",
    "validation: ValueProvided",
    "validation: ok",
];

#[test]
fn the_cases_reach_every_corner() {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let seen = Seen::default();
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner.run(&operations(), |operations| World::new(None, &seen).run(operations)).unwrap();
    if let Some(report) = seen.missing(&CORNERS) {
        panic!("{report}");
    }
}

/// The same cases every time: either they show the bug or they do not.
fn assert_caught(bug: KnownBug) {
    let config = Config { cases: CASES_FOR_A_BUG, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let seen = Seen::default();
    match runner.run(&operations(), |operations| World::new(Some(bug), &seen).run(operations)) {
        Err(TestError::Fail(..)) => {}
        other => panic!("{bug:?} was not noticed: {other:?}"),
    }
}

#[test]
fn a_limited_count_is_caught() {
    assert_caught(KnownBug::CountIsLimited);
}

#[test]
fn a_compaction_that_takes_one_more_is_caught() {
    assert_caught(KnownBug::CompactionTakesOneMore);
}

#[test]
fn nested_comparisons_that_see_changes_are_caught() {
    assert_caught(KnownBug::NestedComparesSeeChanges);
}

#[test]
fn progress_that_is_ahead_of_the_events_is_caught() {
    assert_caught(KnownBug::ProgressIsAhead);
}

#[test]
fn future_watchers_that_hear_their_past_are_caught() {
    assert_caught(KnownBug::FutureWatchersHearTheirPast);
}

#[test]
fn slow_streams_that_miss_events_are_caught() {
    assert_caught(KnownBug::SlowStreamsMissEvents);
}

#[test]
fn revisions_that_are_split_are_caught() {
    assert_caught(KnownBug::RevisionsAreSplit);
}
