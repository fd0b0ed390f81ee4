//! A member, from its settings to its end: bind, start the replica, serve.

use std::sync::Arc;

use anyhow::Context;
use shoal_cluster::{Local, Replica, local::LocalConfig};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

use crate::{
    settings::{Settings, TlsFiles},
    url::MemberUrl,
};

/// Runs a member until SIGINT or SIGTERM.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    refuse_what_is_not_served_yet(&settings)?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let tls = settings.client_tls.as_ref().map(load).transpose()?;
    // Bound before anything is started: a port that is taken is found out at once.
    let mut listeners = Vec::new();
    for url in &settings.listen_client_urls {
        listeners.push((url, bind(url, "--listen-client-urls").await?));
    }
    let replica = replica(&settings);
    let router = shoal_etcd::router(replica, settings.options());
    let (stop, stopped) = watch::channel(false);
    let mut servers = JoinSet::new();
    for (url, listener) in listeners {
        let address = listener.local_addr().context("cannot find out where clients are listened for")?;
        let tls = tls.clone().filter(|_| url.tls);
        let mut stopped = stopped.clone();
        servers.spawn(shoal_etcd::serve(listener, tls, router.clone(), async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }));
        let scheme = if url.tls { "https" } else { "http" };
        tracing::info!(address = format!("{scheme}://{address}"), "serving clients");
    }
    tracing::warn!("keys are in memory alone and end with this process: --data-dir is not written to yet");
    tracing::info!("ready to serve client requests");
    tokio::select! {
        _ = interrupt.recv() => tracing::info!("ending because of SIGINT"),
        _ = terminate.recv() => tracing::info!("ending because of SIGTERM"),
    }
    stop.send_replace(true);
    servers.join_all().await;
    Ok(())
}

/// The replica that this program starts is alone and has no disk ([`Local`]): nobody shall believe otherwise.
fn refuse_what_is_not_served_yet(settings: &Settings) -> anyhow::Result<()> {
    anyhow::ensure!(
        settings.initial_cluster.len() == 1,
        "--initial-cluster names {} members, and this version serves one alone; leave the flag out",
        settings.initial_cluster.len()
    );
    Ok(())
}

fn load(files: &TlsFiles) -> anyhow::Result<Arc<shoal_etcd::tls::ServerConfig>> {
    Ok(shoal_etcd::tls::server_config(&files.certificate, &files.key, files.authorities.as_deref())?)
}

async fn bind(url: &MemberUrl, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(url.address()).await.with_context(|| format!("cannot listen on {url} (from {flag})"))
}

fn replica(settings: &Settings) -> Arc<dyn Replica> {
    Arc::new(Local::new(LocalConfig {
        limits: settings.limits,
        quota_bytes: settings.quota_bytes,
        election_timeout: settings.election_timeout,
        name: settings.name.clone(),
        peer_urls: settings.peer_urls().map(MemberUrl::to_string).collect(),
        client_urls: settings.advertise_client_urls.iter().map(MemberUrl::to_string).collect(),
        ..LocalConfig::default()
    }))
}
