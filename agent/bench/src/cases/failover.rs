//! From the leader's end to the next acknowledged write: three members with etcd's default intervals, `kill -9`, and a client at each of the
//! others that tries again and again.

use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use shoal_store_bench::figures::{Aim, Figure};
use tokio::{task::JoinSet, time::timeout};

use crate::{connection::Connection, server::Launch};

/// Writes before the leader is killed: all members know each other and have caught up.
const WRITES_BEFORE: usize = 100;

/// How long a client waits for one answer before it tries again.
const TRY: Duration = Duration::from_millis(200);

/// How long it waits after a refusal.
const PAUSE: Duration = Duration::from_millis(5);

/// Longer than this is a failure and not a figure.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const FIGURES: &[Figure] =
    &[Figure { name: "kill -9 of the leader of three to the next acknowledged write", unit: "s", aim: Some(Aim::AtMost(2.0)) }];

pub(crate) async fn run(launch: &Launch<'_>) -> anyhow::Result<Vec<f64>> {
    let mut servers = launch.cluster(3).await?;
    let connections: Vec<Connection> = servers.iter().map(|server| Connection::new(&server.endpoint)).collect::<anyhow::Result<_>>()?;
    for write in 0..WRITES_BEFORE {
        connections[write % connections.len()].put("before", Bytes::from_static(b"value"), 0).await?;
    }
    let mut leader = None;
    for (member, connection) in connections.iter().enumerate() {
        if connection.leads().await? {
            leader = Some(member);
        }
    }
    let leader = leader.context("no member says that it leads")?;
    let start = Instant::now();
    servers[leader].kill().await?;
    let mut writers = JoinSet::new();
    for (_, connection) in connections.into_iter().enumerate().filter(|(member, _)| *member != leader) {
        writers.spawn(async move {
            while !matches!(timeout(TRY, connection.put("after", Bytes::from_static(b"value"), 0)).await, Ok(Ok(()))) {
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    timeout(DEADLINE, writers.join_next()).await.context("nothing was acknowledged after the leader's end")?.context("two write")??;
    Ok(vec![start.elapsed().as_secs_f64()])
}
