//! The box as a node of Kubernetes: waits for its cluster, looks, plans, and has the plan carried out.
//!
//! What all nodes share (authorities, who has which number) is in the cluster's store ([`shared`]). The state partition keeps `certificates/`, mended
//! whenever something in it is missing, torn, old or not what the plan wants ([`certificates`]). Everything else is written anew with each boot, below
//! `/run`.
//!
//! It begins when the cluster is sealed, so that no cluster is ever dissolved under a Kubernetes that runs. A node that votes has a control plane, and serves
//! its kube-apiserver the store ([`serve`]); one that does not reaches the API by way of those ([`balance`]).

mod address;
mod api;
mod authorities;
mod balance;
mod certificates;
pub(crate) mod command;
mod execute;
mod files;
pub(crate) mod launch;
mod node;
mod observe;
mod prepare;
mod routes;
mod serve;
mod shared;
mod view;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tokio::sync::watch;
use tokio::time::sleep;

pub(crate) use self::view::View;
use crate::health::{Health, Severity};
use crate::init::Init1Proxy;

/// The service whose presence in an image says that it is to be a cluster of Kubernetes.
const MARK: &str = "kubelet";

/// How long after a failure it is tried again. Most of them are a store without a leader.
const RETRY: Duration = Duration::from_secs(2);

/// Whether this image has Kubernetes.
///
/// # Errors
/// If PID 1 does not answer.
pub(crate) async fn is_wanted(init: &Init1Proxy<'_>) -> anyhow::Result<bool> {
    Ok(execute::states(init).await?.contains_key(MARK))
}

/// Keeps the box a node of Kubernetes, for ever; says how that goes.
///
/// # Errors
/// If PID 1 does not answer.
pub(crate) async fn run(init: &Init1Proxy<'_>, mut view: View, told: &watch::Sender<Option<Health>>) -> anyhow::Result<()> {
    let build_time = init.build_time().await.context("PID 1 does not say when the image was built")?;
    let tell = |severity, text: String| drop(told.send_replace(Some(Health { severity, text })));
    let mut logged = String::new();
    loop {
        tell(
            Severity::Ok,
            "Kubernetes starts when this cluster is settled: when the boxes in sight are in, and no other has come for two minutes".into(),
        );
        let joined = view.joined().await;
        let mut left = view.clone();
        let error = tokio::select! {
            Err(error) = node::keep(init, &joined, view.clone(), build_time, &tell) => error,
            () = left.left(&joined) => continue,
        };
        let text = format!("Kubernetes waits: {error:#}");
        if text != logged {
            tracing::warn!("{text}");
            logged.clone_from(&text);
        }
        tell(Severity::Warning, text);
        sleep(RETRY).await;
    }
}

/// Seconds since 1970. PID 1 has seen to it that the clock is not before the image's build.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
