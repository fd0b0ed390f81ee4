//! A member, from its settings to its end: bind, find out who it is, start the node, serve.

mod listen;
mod signals;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use shoal_cluster::{
    Begin, Ended, Identity, Node, NodeConfig, bootstrap,
    transport::{TcpAcceptor, TcpTransport, Tls, Transport},
};
use shoal_store_files::disk::{Disk, RealDisk};
use tokio::{sync::watch, task::JoinSet, time};

use self::{
    listen::{Listener, bind},
    signals::Signals,
};
use crate::{
    data_dir::{DataDir, MemberFile, Removed, Stage},
    flags::ClusterState,
    settings::{Settings, by_name},
    url::MemberUrl,
};

/// How long clients wait at the door until this member belongs to its cluster and there is a leader; then they are let in all the same. etcd's
/// `--wait-cluster-ready-timeout`.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs a member until SIGINT or SIGTERM, or until it can or may not go on.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let client_tls = settings.client_tls.as_ref();
    let client_tls = client_tls.map(|files| shoal_etcd::tls::server_config(&files.certificate, &files.key, files.authorities.as_deref()));
    let client_tls = client_tls.transpose()?;
    let peer_tls = settings.peer_tls.as_ref();
    let peer_tls = peer_tls.map(|files| shoal_etcd::tls::peer_configs(&files.certificate, &files.key, &files.authority)).transpose()?;
    // Bound before anything is started: a port that is taken is found out at once.
    let peers = bind(&settings.listen_peer_urls, "--listen-peer-urls").await?;
    let clients = bind(&settings.listen_client_urls, "--listen-client-urls").await?;
    let mut data_dir = DataDir::open(&settings.data_dir)?;
    let started = tokio::select! {
        started = start(&settings, &mut data_dir, peers, peer_tls) => started?,
        () = signals.next() => return Ok(()),
    };
    let node = Arc::new(started);
    tokio::select! {
        () = node.ready() => {}
        () = time::sleep(READY_TIMEOUT) => {
            tracing::warn!("there is no leader yet: are enough members of the cluster running, and do they reach each other?");
        }
        _ = node.ended() => {}
        () = signals.next() => {
            node.shutdown().await;
            return Ok(());
        }
    }
    let router = shoal_etcd::router(node.clone(), settings.options());
    let (stop, stopped) = watch::channel(false);
    let mut servers = JoinSet::new();
    for Listener { url, listener } in clients {
        tracing::info!(address = url.to_string(), "serving clients");
        let (tls, mut stopped) = (client_tls.clone().filter(|_| url.tls), stopped.clone());
        servers.spawn(shoal_etcd::serve(listener, tls, router.clone(), async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }));
    }
    tracing::info!("ready to serve client requests");
    let ended = tokio::select! {
        ended = node.ended() => ended,
        () = signals.next() => {
            // Clients are served until another member leads: then they need not wait for an election.
            tokio::select! {
                () = node.hand_over() => {}
                () = signals.next() => {}
            }
            Ended::Shutdown
        }
    };
    stop.send_replace(true);
    servers.join_all().await;
    node.shutdown().await;
    finish(ended, &mut data_dir)
}

/// What the end of the node means to whoever has started this process.
fn finish(ended: Ended, data_dir: &mut DataDir) -> anyhow::Result<()> {
    match ended {
        Ended::Shutdown => Ok(()),
        Ended::Removed => {
            data_dir.set_stage(Stage::Removed)?;
            Err(Removed(data_dir.path().to_owned()).into())
        }
        Ended::Failed(why) => Err(anyhow::anyhow!(
            "this member has stopped, before it could promise what it cannot keep: {why}. Look at the disk of {}, then start it again",
            data_dir.path().display()
        )),
    }
}

async fn start(settings: &Settings, data_dir: &mut DataDir, peers: Vec<Listener>, tls: Option<Tls>) -> anyhow::Result<Node> {
    let transport: Arc<dyn Transport> = Arc::new(TcpTransport { tls: tls.as_ref().map(|tls| tls.client.clone()) });
    let (identity, begin) = match data_dir.member() {
        Some(member) => (member.identity(), member.begin()),
        None => introduce(settings, &transport).await?,
    };
    match data_dir.member().cloned() {
        None => data_dir.set(MemberFile::new(identity, &begin, &settings.name))?,
        Some(member) => {
            tracing::info!("this member is known from its data directory: the --initial flags are ignored");
            if member.name != settings.name {
                tracing::warn!(before = member.name, now = settings.name, "this member has another name than before");
                data_dir.set(member.renamed(&settings.name))?;
            }
        }
    }
    let ids = (format!("{:x}", identity.cluster), format!("{:x}", identity.member));
    tracing::info!(cluster = ids.0, member = ids.1, name = settings.name, data_dir = %data_dir.path().display(), "starting");

    let seed = RealDisk.random().context("cannot get a random number")?;
    let mut config = NodeConfig::new(identity, begin, data_dir.storage(), seed);
    config.name.clone_from(&settings.name);
    config.client_urls = settings.advertise_client_urls.iter().map(MemberUrl::to_string).collect();
    config.heartbeat_interval = settings.heartbeat_interval;
    config.election_timeout = settings.election_timeout;
    config.limits = settings.limits;
    config.quota_bytes = settings.quota_bytes;
    config.max_learners = settings.max_learners;
    config.checkpoint_entries = settings.snapshot_count.unwrap_or(config.checkpoint_entries);

    let server_tls = tls.filter(|_| peers.iter().any(|peer| peer.url.tls)).map(|tls| tls.server);
    for Listener { url, .. } in &peers {
        tracing::info!(address = url.to_string(), "serving peers");
    }
    let acceptor = TcpAcceptor::new(peers.into_iter().map(|peer| peer.listener).collect(), server_tls);
    let node = Node::start(config, transport, acceptor).await?;
    // From here on it has something to lose.
    data_dir.set_stage(Stage::Started)?;
    Ok(node)
}

/// Which member this is, going by the flags.
async fn introduce(settings: &Settings, transport: &Arc<dyn Transport>) -> anyhow::Result<(Identity, Begin)> {
    match settings.initial_cluster_state {
        ClusterState::New => Ok(bootstrap::found(&settings.name, &by_name(&settings.initial_cluster), &settings.initial_cluster_token)?),
        ClusterState::Existing => {
            let own: Vec<String> = settings.peer_urls().map(MemberUrl::to_string).collect();
            let others: Vec<String> =
                settings.initial_cluster.iter().map(|(_, url)| url.to_string()).filter(|url| !own.contains(url)).collect();
            anyhow::ensure!(
                !others.is_empty(),
                "--initial-cluster-state=existing needs the other members, too: add them to --initial-cluster"
            );
            tracing::info!(?others, "asking the cluster which of its members this is");
            Ok(bootstrap::join(&own, &others, transport).await?)
        }
    }
}
