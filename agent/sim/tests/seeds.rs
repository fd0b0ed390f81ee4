//! Seeds from the first on: `SHOAL_SEEDS` says how many.

use shoal_sim::{Plan, run};

/// So many take about a minute in a debug build on a busy machine with two cores.
const SEEDS: u64 = 12;

#[test]
fn nothing_that_goes_wrong_breaks_what_the_store_promises() {
    let seeds = std::env::var("SHOAL_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("SHOAL_SEEDS is a number"));
    for seed in 1..=seeds {
        match run(Plan::new(seed)) {
            Ok(report) => assert!(report.answered * 2 > report.asked, "seed {seed}: most operations are answered: {report:?}"),
            Err(failure) => panic!("{failure}\nto see it again: cargo run -p shoal-sim -- --seed {seed}"),
        }
    }
}
