//! Time for the disks: what a log's or a checkpoint's thread would do is done in steps, each after as long as a medium takes.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use shoal_store_files::{
    disk::sim::Rng,
    threads::{InPlace, Step, Wake, run_in_place},
};
use tokio::sync::Notify;

/// How long a step takes, at least.
const STEP: Duration = Duration::from_micros(300);

/// How much longer it may take.
const STEP_JITTER_MICROSECONDS: usize = 5000;

/// One step in so many takes as long as a stick that collects garbage.
const SLOW_IN: usize = 200;

/// How long such a step takes.
const SLOW: Duration = Duration::from_millis(150);

/// How often a log that lacks space looks for some.
const RETRY: Duration = Duration::from_secs(1);

/// From now on this thread has no others. Must be called within the runtime.
pub(crate) fn simulate(seed: u64) {
    let rng = Rc::new(RefCell::new(Rng::new(seed)));
    run_in_place(Some(Rc::new(move |work| drive(work, rng.borrow_mut().next()))));
}

/// This thread has others again.
pub(crate) fn restore() {
    run_in_place(None);
}

fn drive(work: InPlace, seed: u64) -> Wake {
    let woken = Arc::new(Notify::new());
    let wake = woken.clone();
    let mut rng = Rng::new(seed);
    tokio::spawn(async move {
        loop {
            let _ = tokio::time::timeout(RETRY, woken.notified()).await;
            loop {
                let slow = if rng.one_in(SLOW_IN) { SLOW } else { Duration::ZERO };
                tokio::time::sleep(STEP + Duration::from_micros(rng.below(STEP_JITTER_MICROSECONDS) as u64) + slow).await;
                match work.step() {
                    Step::More => {}
                    Step::Idle => break,
                    Step::Ended => return,
                }
            }
        }
    });
    Box::new(move || wake.notify_one())
}
