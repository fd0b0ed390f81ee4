//! The simulation is proven: each known bug that is put back is caught, by the invariant that is there for it. That the invariants do not cry
//! without it, `tests/seeds.rs` shows.

use shoal_sim::{KnownBug, Plan, run};

/// Seeds tried, at most, until a bug is caught.
const SEEDS: u64 = 40;

/// Puts a bug back and runs seeds until one of these complaints is heard.
fn catch(bug: KnownBug, complaints: &[&str]) {
    for seed in 1..=SEEDS {
        let Err(failure) = run(Plan { bug: Some(bug), ..Plan::new(seed) }) else { continue };
        if complaints.iter().any(|complaint| failure.what.contains(complaint)) {
            println!("{bug:?} is caught by seed {seed}: {}", failure.what.lines().next().unwrap_or_default());
            return;
        }
        println!("{bug:?}, seed {seed}, something else: {}", failure.what.lines().next().unwrap_or_default());
    }
    panic!("{bug:?} is not caught by {SEEDS} seeds");
}

#[test]
fn acknowledging_before_the_sync_is_caught() {
    // A log that finds entries missing which were durable once refuses to open; a leader panics that is told again less than it was told before.
    catch(
        KnownBug::AcknowledgeBeforeSync,
        &["no order explains", "are missing", "damaged", "another node", "was acknowledged at revision", "panicked"],
    );
}

#[test]
fn cutting_a_damaged_log_off_is_caught() {
    catch(KnownBug::CutInTheMiddle, &["without a word"]);
}

#[test]
fn reading_without_asking_who_leads_is_caught() {
    catch(KnownBug::ReadWithoutIndex, &["no order explains"]);
}

#[test]
fn keeping_keys_that_a_snapshot_does_not_have_is_caught() {
    catch(KnownBug::SnapshotKeepsKeys, &["another node", "members differ", "of progress to", "instead of"]);
}

#[test]
fn applying_an_entry_twice_is_caught() {
    catch(KnownBug::AppliedIsBehind, &["another node", "members differ"]);
}

#[test]
fn progress_ahead_of_the_events_is_caught() {
    catch(KnownBug::ProgressIsAhead, &["of progress to"]);
}

#[test]
fn leases_that_a_new_leader_does_not_extend_are_caught() {
    catch(KnownBug::LeasesAreNotExtended, &["is over"]);
}
