//! Random operations on the store, its watch hub and its lessor, against an oracle that does everything the plain way.
//!
//! `PROPTEST_CASES=10000 cargo test -p shoal-kv --test model` runs as many cases as one likes. A case that fails is shrunk and printed.

mod clients;
mod operation;
mod oracle;
mod oracle_txn;
mod seen;
mod world;

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use shoal_kv::known_bugs::KnownBug;

use crate::{
    operation::{Operation, operation},
    seen::Seen,
    world::World,
};

/// Cases that a run has time for while somebody waits.
const CASES: u32 = 1000;

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
