//! The seeds of CI, or as many more as asked for: `SHOAL_SEEDS=500` runs so many from the first on, `SHOAL_SEED=8` runs that one and says all
//! that happened.

use shoal_sim::{Plan, run};

/// What CI can wait for: about a minute in a debug build on a busy machine with two cores.
const SEEDS: u64 = 12;

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

#[test]
fn nothing_that_goes_wrong_breaks_what_the_store_promises() {
    let one = number("SHOAL_SEED");
    let seeds = one.map_or_else(|| 1..=number("SHOAL_SEEDS").unwrap_or(SEEDS), |seed| seed..=seed);
    for seed in seeds {
        match run(Plan::new(seed)) {
            Ok(report) => {
                if one.is_some() {
                    report.trace.iter().for_each(|line| println!("{line}"));
                }
                assert!(report.answered * 2 > report.asked, "seed {seed}: most operations are answered: {report:?}");
            }
            Err(failure) => panic!("{failure}\nto see it again: SHOAL_SEED={seed} cargo test -p shoal-sim --test seeds -- --nocapture"),
        }
    }
}
