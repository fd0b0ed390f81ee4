//! The formations of CI, on all cores: `SHOAL_FORMATIONS=1000000` runs more of them. A failure says how to see that one again.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use shoal_formation_sim::{Plan, run};

/// What CI can wait for: about a minute on two busy cores.
const FORMATIONS: u64 = 20_000;

#[test]
fn whatever_goes_wrong_boxes_become_one_cluster_and_what_is_sealed_stays() {
    let formations = std::env::var("SHOAL_FORMATIONS").map_or(FORMATIONS, |text| text.parse().expect("SHOAL_FORMATIONS is a number"));
    let next = AtomicU64::new(1);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let failures: Vec<String> = thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed > formations {
                    return failures;
                }
                failures.extend(run(Plan::new(seed)).err().map(|failure| failure.to_string()));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker does not panic")).collect()
    });
    assert!(failures.is_empty(), "{} of {formations} failed, the first:\n{}", failures.len(), failures[0]);
}
