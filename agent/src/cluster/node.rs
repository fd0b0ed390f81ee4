//! A node of a cluster that is there: its number, its plan, its ports and its routes, for as long as it belongs to it.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use shoal_contract::CONFIG_PATH;
use shoal_plane::certificates::Authority;
use shoal_plane::ranges::{self, NODE_PREFIX};
use shoal_plane::{Cluster, Observed, Owner, Policy, Role};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::authorities::Authorities;
use super::routes::Routes;
use super::shared::Seat;
use super::view::{Joined, View};
use super::{balance, execute, now, observe, prepare, routes, serve, shared};
use crate::health::Severity;
use crate::init::Init1Proxy;

/// How long a box waits for its first address before it goes on alone. A lease takes some 5 seconds where anybody gives one out; a box that starts
/// without and gets one later restarts its control plane, which takes as long.
const FIRST_ADDRESS: Duration = Duration::from_secs(10);
/// How often addresses are looked at until there is one, and afterwards; then also where other nodes are.
const LOOK_FIRST: Duration = Duration::from_millis(250);
const LOOK: Duration = Duration::from_secs(5);
/// How often certificates are looked at though nothing has changed: their lifetimes are months.
const CERTIFICATES: Duration = Duration::from_secs(60 * 60);

/// Keeps this box a node of that cluster, as its plan says. `tell` is told what it is.
///
/// # Errors
/// If the store or PID 1 does not answer, or files cannot be written. What runs goes on; it is to be called again.
pub(crate) async fn keep(
    init: &Init1Proxy<'_>,
    joined: &Joined,
    mut view: View,
    build_time: i64,
    tell: &impl Fn(Severity, String),
) -> anyhow::Result<Infallible> {
    let store = joined.store.as_ref();
    let used = observe::used()?;
    let make = || Ok(Authorities::new(format!("{:032x}", joined.cluster.0), build_time, ranges::choose(&used))?);
    let authorities = shared::authorities(store, make).await?;
    let policy = Policy { owner: owner(Path::new(CONFIG_PATH), &authorities)?, ..Policy::default() };
    let mut ports = Ports::default();
    let role = view.role(joined).context("this box is leaving its cluster")?;
    let mut observed = first_look(role).await?;
    loop {
        let seat = Seat {
            node: observed.node.clone(),
            address: observed.addresses.first().copied(),
            serves_api: observed.role == Role::ControlPlane,
        };
        observed.ordinal = shared::take_seat(store, &seat).await?;
        let prepared = {
            let (policy, observed, authorities) = (policy.clone(), observed.clone(), authorities.clone());
            let prepare = move || prepare::prepare(&policy, &observed, &authorities, now());
            spawn_blocking(prepare).await.context("preparing the node was cut off")??
        };
        // Who stops serving the API gives its port up first, and who begins is given it.
        match observed.role {
            Role::ControlPlane => {
                ports.open(&policy, joined, &observed).await?;
                execute::execute(init, &prepared).await?;
            }
            Role::Worker => {
                execute::execute(init, &prepared).await?;
                ports.open(&policy, joined, &observed).await?;
            }
        }
        let role = match observed.role {
            Role::ControlPlane => "with a control plane",
            Role::Worker => "without a control plane",
        };
        tell(Severity::Ok, format!("Kubernetes node {} {role}", observed.node));
        observed = change(joined, &mut view, observed, &authorities.cluster).await?;
    }
}

/// What makes this cluster's API its owner's, by the configuration that PID 1 has taken along.
fn owner(config: &Path, authorities: &Authorities) -> anyhow::Result<Option<Owner>> {
    let authority = authorities.certificate(Authority::Kubernetes)?;
    let authority = CertificateDer::from_pem_slice(authority.as_bytes()).context("the cluster's authority has no readable certificate")?;
    shoal_access::owner(&crate::owner::read(config)?, &authority).context("the owner's certificates cannot be made")
}

/// Waits for the first address, for a while.
async fn first_look(role: Role) -> anyhow::Result<Observed> {
    let give_up = Instant::now() + FIRST_ADDRESS;
    loop {
        let observed = observe::node(role, 0)?;
        if !observed.addresses.is_empty() || Instant::now() >= give_up {
            return Ok(observed);
        }
        sleep(LOOK_FIRST).await;
    }
}

/// Waits until something else is seen than `known`, or it is time to look at the certificates; meanwhile keeps the routes to other nodes. A node whose last
/// address is gone stays what it was: a pulled cable must not restart its control plane.
async fn change(joined: &Joined, view: &mut View, known: Observed, cluster: &Cluster) -> anyhow::Result<Observed> {
    let until = Instant::now() + CERTIFICATES;
    let mut refused = Routes::new();
    while Instant::now() < until {
        let others = shared::others(joined.store.as_ref(), &known.node).into_iter();
        let wanted: Routes = others.filter_map(|(number, seat)| Some((cluster.pods.part(NODE_PREFIX, number), seat.address?))).collect();
        if let Err(error) = routes::ensure(&wanted, &mut refused).await {
            tracing::warn!("{error:#}");
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            () = role_changed(joined, view, known.role) => {}
        }
        let mut seen = observe::node(view.role(joined).unwrap_or(known.role), known.ordinal)?;
        if seen.addresses.is_empty() {
            (seen.addresses, seen.name_servers) = (known.addresses.clone(), known.name_servers.clone());
        }
        if seen != known {
            return Ok(seen);
        }
    }
    Ok(known)
}

async fn role_changed(joined: &Joined, view: &mut View, known: Role) {
    while view.role(joined).is_none_or(|role| role == known) {
        view.changed().await;
    }
}

/// What this process itself serves on the node: the store where there is a control plane, and the way to one where there is none. With the last of it the
/// ports are closed.
#[derive(Debug, Default)]
struct Ports {
    role: Option<Role>,
    tasks: JoinSet<()>,
}

impl Ports {
    async fn open(&mut self, policy: &Policy, joined: &Joined, observed: &Observed) -> anyhow::Result<()> {
        if self.role == Some(observed.role) {
            return Ok(());
        }
        self.role = None;
        self.tasks.shutdown().await;
        let store = joined.store.clone();
        match observed.role {
            Role::ControlPlane => {
                let certificate = |extension: &str| PathBuf::from(format!("{}/certificates/store.{extension}", policy.directories.state));
                let authority = PathBuf::from(format!("{}/authorities/store-ca.crt", policy.directories.run));
                let (certificate, key) = (certificate("crt"), certificate("key"));
                let files = serve::Files { certificate: &certificate, key: &key, authority: &authority };
                self.tasks.spawn(serve::clients(store, files).await?);
            }
            Role::Worker => {
                self.tasks.spawn(balance::api(store, observed.node.clone()).await?);
            }
        }
        self.role = Some(observed.role);
        Ok(())
    }
}
