//! The node agent of a Shoal box.
//!
//! It connects to PID 1 over D-Bus, says that it is ready (sd_notify(3)), watches the services and tells PID 1 how well the box is, for the console;
//! and it makes the box a Kubernetes node: it decides by `shoal-plane` what runs, keeps the cluster's authorities and certificates, writes what
//! the plan says, and asks PID 1 to start what has changed. PID 1 keeps it running: restarts are PID 1's. When PID 1 cannot be reached it ends
//! with an error; PID 1 starts it again, and reboots the box when that does not help (`give-up = { action = "reboot" }` in its recipe).
//!
//! It runs the node ([`membership`]): boxes of one fleet find each other and become one cluster. A node that does not start does not end the agent, since
//! the box has to show why; one that cannot go on does, and begins again from its files.
//!
//! Three tasks, beside each other: the node; [`cluster::run`], which makes the box a node of Kubernetes once its cluster is sealed; and the one that reports:
//! a service, the node or Kubernetes has changed, [`health::judge`] decides, and what is new goes out.
//!
//! Two more commands work anywhere: `shoal-agent plan` prints a plan, and `shoal-agent run UNIT` becomes a planned unit's program; PID 1 starts the
//! services of Kubernetes by it.

mod cluster;
mod health;
mod init;
mod membership;
mod memory;
mod owner;

use std::path::Path;

use anyhow::Context;
use clap::{Parser, Subcommand};
use futures_util::StreamExt;
use shoal_contract::CONFIG_PATH;
use shoal_formation::settings::Medium;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::cluster::View;
use crate::cluster::command::PlanCommand;
use crate::cluster::launch::RunCommand;
use crate::health::{Health, Service, Severity};
use crate::init::Init1Proxy;
use crate::membership::{Image, Membership};
use crate::memory::Memory;

/// PID 1's word for a state medium that survives the power.
const PERSISTENT: &str = "persistent";

/// The node agent of a Shoal box. Without a command it serves the box, started by PID 1.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what would run on a node.
    Plan(PlanCommand),
    /// Become the program of a planned unit.
    Run(RunCommand),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Some(Command::Plan(command)) => command.run(),
        Some(Command::Run(command)) => {
            log();
            command.run().map(|never| match never {})
        }
        None => {
            log();
            tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no event loop")?.block_on(serve())
        }
    }
}

/// PID 1 takes what is written, with the time. openraft tells of every step, and warns of a peer that is off, over and over: what a person needs to know of
/// that, the node says itself.
fn log() {
    let levels = Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("openraft", LevelFilter::ERROR)
        .with_target("mdns_sd", LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer().without_time().with_target(false).with_ansi(false);
    tracing_subscriber::registry().with(lines.with_filter(levels)).init();
}

async fn serve() -> anyhow::Result<()> {
    let connection = zbus::Connection::system()
        .await
        .context("cannot reach PID 1 on the system bus; this agent runs on a Shoal box, started by its init")?;
    let init = Init1Proxy::new(&connection).await.context("PID 1 does not answer as org.shoal.Init1")?;
    let (image, version, state) = (init.image().await?, init.version().await?, init.state_medium().await?);
    tracing::info!("{image} {version}, state {state}");
    let owner = match owner::read(Path::new(CONFIG_PATH)) {
        Ok(config) => {
            tracing::info!("{}", owner::describe(&config));
            owner::banner(&config)
        }
        Err(error) => {
            tracing::error!("it is not known whose box this is: {:#}", anyhow::Error::from(error));
            None
        }
    };
    // Subscribed before the first look, so that no change is lost between them.
    let mut changes = init.receive_service_changed().await.context("cannot watch the services")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    notify_ready().context("cannot say that the agent is ready")?;

    let (node_says, mut membership) = watch::channel(Membership::Starting);
    let (store_runs, store) = watch::channel(None);
    let (stop, stopped) = watch::channel(false);
    let medium = if state == PERSISTENT { Medium::Disk } else { Medium::Memory };
    let workloads = cluster::is_wanted(&init).await?;
    let says = membership::Told { membership: node_says, store: store_runs };
    let node = membership::run(Path::new(CONFIG_PATH), Image { medium, workloads }, &says, stopped);
    let (kubernetes_says, mut kubernetes) = watch::channel(None);
    let view = View { membership: membership.clone(), store };
    let cluster = async { if workloads { cluster::run(&init, view, &kubernetes_says).await } else { std::future::pending().await } };
    let report = async {
        let mut told = Told::default();
        loop {
            let node = membership.borrow_and_update().health();
            let kubernetes_now = kubernetes.borrow_and_update().clone();
            tell(&init, owner, [Some(node), kubernetes_now], &mut told).await?;
            tokio::select! {
                change = changes.next() => drop(change.context("the connection to PID 1 has ended")?),
                changed = membership.changed() => changed.context("the node says nothing any more")?,
                changed = kubernetes.changed() => changed.context("nothing is said of Kubernetes any more")?,
                _ = terminate.recv() => {
                    stop.send_replace(true);
                }
            }
        }
    };
    tokio::select! {
        ended = node => ended,
        ended = cluster => ended,
        ended = report => ended,
    }
}

/// What PID 1 and the log were told last.
#[derive(Debug, Default)]
struct Told {
    shown: Option<Health>,
    services: Option<Health>,
    /// Of the node, and of Kubernetes.
    parts: [Option<Health>; 2],
}

/// Judges the box anew, and tells PID 1 and the log what has changed in the judgement.
async fn tell(init: &Init1Proxy<'_>, owner: Option<&'static str>, parts: [Option<Health>; 2], told: &mut Told) -> anyhow::Result<()> {
    let rows = init.list_services().await.context("PID 1 does not say what runs")?;
    let services: Vec<Service> = rows.into_iter().map(|(name, state, .., detail)| Service { name, state, detail }).collect();
    let services = health::judge(&services);
    let judgements: Vec<&Health> = parts.iter().flatten().chain([&services]).collect();
    let shown = health::join(owner, &judgements);
    if told.shown.as_ref() != Some(&shown) {
        init.set_health(shown.severity.word(), &shown.text).await.context("PID 1 does not take the agent's report")?;
        told.shown = Some(shown);
    }
    for (told, part) in told.parts.iter_mut().zip(parts) {
        if let Some(health) = part.as_ref().filter(|_| *told != part) {
            tracing::info!("{}", health.text);
            *told = part;
        }
    }
    if told.services.as_ref() != Some(&services) {
        tracing::info!("health {}: {}", services.severity.word(), services.text);
        if services.severity == Severity::Ok
            && let Some(memory) = std::fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(Memory::parse)
        {
            tracing::info!("{memory}");
        }
        told.services = Some(services);
    }
    Ok(())
}

/// Tells whoever started the agent that it is ready, if that wants to know (sd_notify(3)).
fn notify_ready() -> std::io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let socket = std::os::unix::net::UnixDatagram::unbound()?;
    socket.send_to(b"READY=1", path)?;
    Ok(())
}
