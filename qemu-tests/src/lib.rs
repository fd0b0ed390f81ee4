//! Boots real images and holds them to the promises.
//!
//! The promises are the files of `tests/promises/`, one test binary. Each passes only on words that the box itself says on its serial
//! console: a deadline that passes, a kernel panic or a switched-off box fail it. This library is what they share:
//!
//! | module | what it gives |
//! |---|---|
//! | [`images`] | the images of `recipes/test.toml`, `recipes/bare.toml` and `recipes/kube.toml`, and the pinned QEMU, built once per process |
//! | [`words`] | what a box says, word for word |
//! | [`boxes`] | disks and machines to boot them in, and waiting until they have come up |
//! | [`site`] | boxes on one switch that become one cluster |
//! | [`owner`] | a box's owner on this machine: a way to the API, and kubectl |
//! | [`chance`] | numbers from a seed, for tests that try many moments |
//! | [`state`] | a look at the state partition of a box that is off |
//!
//! It knows nothing of how images are made (`shoal`) or boxes emulated (`shoal-lab`).

pub mod boxes;
pub mod chance;
pub mod images;
pub mod owner;
pub mod site;
pub mod state;
pub mod words;

use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result};
use shoal_lab::Lab;

/// Set to `full`, it lets tests that try many moments or recipes try all of them, which takes hours.
const MATRIX_VARIABLE: &str = "SHOAL_MATRIX";

/// Whether everything is to be tried ([`MATRIX_VARIABLE`]).
#[must_use]
pub fn full_matrix() -> bool {
    std::env::var_os(MATRIX_VARIABLE).is_some_and(|value| value == "full")
}

/// Runs a promise, as [`hold`] does, where everything is to be tried; else says that it was not held. For those of which other boots, or tests without boxes,
/// hold the most part.
///
/// # Panics
/// When the promise is broken.
pub fn hold_in_full(name: &str, promise: impl AsyncFnOnce(&Lab) -> Result<()>) {
    if full_matrix() {
        hold(name, promise);
    } else {
        tell(&format!("{name}: not tried ({MATRIX_VARIABLE}=full does)"));
    }
}

/// Says something that is seen though the test goes well: the test harness keeps what `eprintln!` says.
fn tell(text: &str) {
    // Nobody may be reading, which is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Runs a promise in a lab of its own, and says how long that took with the images it waited for. The lab's logs and disks stay when it is broken.
///
/// # Panics
/// When the promise is broken, with the whole chain of reasons.
pub fn hold(name: &str, promise: impl AsyncFnOnce(&Lab) -> Result<()>) {
    let begin = Instant::now();
    let held = || -> Result<()> {
        let qemu = images::qemu()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
        runtime.block_on(async {
            let lab = Lab::new(name, qemu)?;
            promise(&lab).await?;
            lab.passed();
            Ok(())
        })
    };
    if let Err(error) = held() {
        panic!("{name}: {error:?}");
    }
    tell(&format!("{name}: held in {} s", begin.elapsed().as_secs()));
}
