//! Random histories with crashes at any point, against a naive log. `PROPTEST_CASES=5000` runs more of them.

mod support;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use shoal_store_files::disk::sim::{Fault, SimDisk};
use shoal_store_files::{Bug, Bugs};
use support::history::{Act, Ending, Life, Run, check, history};

proptest! {
    // A failing history is printed whole, with the seed of its disk.
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]
    #[test]
    fn what_was_acknowledged_survives_any_crash_and_no_crash_looks_like_damage(case in history()) {
        check(&case, Bugs::default())?;
    }
}

#[test]
fn a_power_cut_at_each_single_operation_loses_nothing() {
    let append = |sizes: &[usize]| Act::Append { sizes: sizes.to_vec() };
    let batches = vec![
        vec![Act::Vote(1)],
        vec![append(&[100, 5000]), Act::Vote(2)],
        vec![append(&[20_000])],
        vec![append(&[15_000]), Act::Committed],
        vec![Act::Truncate { back: 2 }],
        vec![append(&[9000, 9000])],
        vec![Act::Purge { back: 1 }],
        vec![append(&[20_000])],
        vec![append(&[1, 2, 3])],
        vec![Act::PurgeBeyond { ahead: 5 }],
        vec![append(&[30_000])],
    ];
    let life = |batches: &[Vec<Act>], fault, ending| Life { batches: batches.to_vec(), seals: true, fault, ending };
    let operations = {
        let disk = SimDisk::new(0);
        Run::default().live(&disk, &life(&batches, None, Ending::Close), Bugs::default()).unwrap();
        disk.operations()
    };
    assert!(operations > 60, "the history has become short");
    for operation in 1..=operations {
        for (seed, ending) in [Ending::Cut, Ending::Tear, Ending::Cut, Ending::Tear, Ending::KillAndCut].into_iter().enumerate() {
            let disk = SimDisk::new(seed as u64 * 1000 + operation);
            let mut run = Run::default();
            run.live(&disk, &life(&batches, Some((operation, Fault::PowerCut)), ending), Bugs::default()).unwrap();
            // What was recovered is durable: a second cut at once changes nothing.
            run.live(&disk, &life(&[], None, Ending::Cut), Bugs::default()).unwrap();
            run.live(&disk, &life(&batches, None, Ending::Close), Bugs::default()).unwrap();
            run.live(&disk, &life(&[], None, Ending::Close), Bugs::default()).unwrap();
        }
    }
}

/// Whether the first claim fails with a bug put back, within this many histories.
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
