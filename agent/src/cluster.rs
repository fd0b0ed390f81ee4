//! The box as a node of its cluster: looks, plans, and has the plan carried out.
//!
//! The state partition keeps what outlives a boot: `authorities/` is made once, whole or not at all ([`authorities`]); `certificates/` is mended
//! whenever something in it is missing, torn, old or not what the plan wants ([`certificates`]). Everything else is written anew with each boot,
//! below `/run`.

pub(crate) mod address;
mod authorities;
mod certificates;
pub(crate) mod command;
mod execute;
mod files;
pub(crate) mod launch;
mod observe;
mod prepare;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use shoal_plane::{Observed, Policy};
use tokio::time::{Instant, sleep};

use crate::init::Init1Proxy;

/// How long a box waits for its first address before it goes on alone. A lease takes some 5 seconds where anybody gives one out; a box that starts
/// without and gets one later restarts its control plane, which takes as long.
const FIRST_ADDRESS: Duration = Duration::from_secs(10);
/// How often addresses are looked at until there is one, and afterwards.
const LOOK_FIRST: Duration = Duration::from_millis(250);
const LOOK: Duration = Duration::from_secs(10);
/// How often certificates are looked at though nothing has changed: their lifetimes are months.
const CERTIFICATES: Duration = Duration::from_secs(60 * 60);

/// The service whose presence in an image says that it is to be a cluster.
const MARK: &str = "kubelet";

/// Keeps the node as its plan says, for ever. An image without Kubernetes has nothing to keep.
pub(crate) async fn run(init: &Init1Proxy<'_>) -> anyhow::Result<()> {
    let services: BTreeMap<String, String> = execute::states(init).await?;
    if !services.contains_key(MARK) {
        return std::future::pending().await;
    }
    let build_time = init.build_time().await.context("PID 1 does not say when the image was built")?;
    let mut observed = first_look().await?;
    loop {
        let prepared = {
            let observed = observed.clone();
            let prepare = move || prepare::prepare(&Policy::default(), &observed, build_time, now());
            tokio::task::spawn_blocking(prepare).await.context("preparing the node was cut off")??
        };
        execute::execute(init, &prepared).await?;
        observed = change(observed).await?;
    }
}

/// Waits for the first address, for a while.
async fn first_look() -> anyhow::Result<Observed> {
    let give_up = Instant::now() + FIRST_ADDRESS;
    loop {
        let observed = observe::node()?;
        if !observed.addresses.is_empty() || Instant::now() >= give_up {
            return Ok(observed);
        }
        sleep(LOOK_FIRST).await;
    }
}

/// Waits until something else is seen than `known`, or it is time to look at the certificates. A node whose last address is gone stays what it was:
/// a pulled cable must not restart its control plane.
async fn change(known: Observed) -> anyhow::Result<Observed> {
    let until = Instant::now() + CERTIFICATES;
    while Instant::now() < until {
        sleep(LOOK).await;
        let seen = observe::node()?;
        if seen != known && !seen.addresses.is_empty() {
            return Ok(seen);
        }
    }
    Ok(known)
}

/// Seconds since 1970. PID 1 has seen to it that the clock is not before the image's build.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
