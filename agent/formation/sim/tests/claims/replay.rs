//! The same seed is the same formation.

use shoal_formation_sim::{Plan, run};

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 1..=60 {
        let hash = |lines| run(Plan { lines, ..Plan::new(seed) }).map(|formation| formation.report).map_err(|failure| failure.to_string());
        assert_eq!(hash(false), hash(true), "seed {seed}, with lines or without");
    }
}

#[test]
fn another_seed_gives_another_trace() {
    let hash = |seed| run(Plan::new(seed)).map(|formation| formation.report.hash).map_err(|failure| failure.to_string());
    assert_ne!(hash(1), hash(2));
}
