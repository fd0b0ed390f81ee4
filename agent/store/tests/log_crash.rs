//! Random histories with crashes at any point, against a naive log. `PROPTEST_CASES=5000` runs more of them.

mod support;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use shoal_store_files::{Bug, Bugs};
use support::history::{check, history};

proptest! {
    // A failing history is printed whole, with the seed of its disk.
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]
    #[test]
    fn what_was_acknowledged_survives_any_crash_and_no_crash_looks_like_damage(case in history()) {
        check(&case, Bugs::default())?;
    }
}

/// Whether the claim above fails with a bug put back, within this many histories.
fn is_caught(bug: Bug, cases: u32) -> bool {
    let config = Config { cases, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, proptest::test_runner::TestRng::deterministic_rng(Default::default()));
    let result = runner.run(&history(), |case| check(&case, Bugs::put_back(bug)));
    match result {
        Ok(()) => false,
        Err(TestError::Fail(reason, _)) => {
            println!("{bug:?}: {}", reason.message().lines().next().unwrap_or_default());
            true
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

#[test]
fn each_known_bug_is_caught() {
    for bug in [Bug::AcknowledgeBeforeSync, Bug::AnswerBeforeVote, Bug::DirectoryNotSynced, Bug::TrustCache, Bug::RetrySync] {
        assert!(is_caught(bug, 2000), "{bug:?} is not caught");
    }
}
