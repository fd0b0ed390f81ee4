//! What is written while nothing happens in a Kubernetes cluster of three nodes that all run the control plane.
//!
//! Written then are, by Kubernetes' defaults: each kubelet's lease every 10 s and node status every 5 min; the leases that
//! controller-manager and scheduler are elected by, each every 2 s; each apiserver's identity lease every 10 s; each apiserver's endpoint
//! lease (masterleases, 15 s, with an etcd lease of its own) every 10 s; and the compactor's key every 5 min. All are replaced as
//! Kubernetes does it, by a transaction that compares the revision.
//!
//! All writes of an hour are made, in less than an hour: what is written once in a while (checkpoints, new segments of a log, pages of a
//! database that fill up) is counted as often as it happens in an hour, which a scaled-up minute would not. Time that passes by itself is short by
//! that: heartbeats and timers of a server are counted for the shorter time. And the closer the writes come, the more of them etcd commits to its
//! database at once (every 100 ms); so this is in its favour.
//!
//! It is not the first hour of a server's life. Two hours' writes come before it, as fast as the server takes them, and are not counted: by then
//! both servers write as they always will, with files that they made before.

use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use shoal_etcd::wire::etcdserverpb::{
    Compare, PutRequest, RequestOp, TxnRequest,
    compare::{CompareResult, CompareTarget, TargetUnion},
    request_op,
};
use shoal_store_bench::figures::{Aim, Figure};

use crate::{
    connection::{Connection, get},
    server::Launch,
};

/// A lease object in Protobuf, as Kubernetes stores it, with its managed fields.
const LEASE_BYTES: usize = 480;

/// A node object of a small node with its images.
const NODE_BYTES: usize = 6 * 1024;

/// What is measured.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What comes before, and is not measured.
const BEFORE: Duration = Duration::from_secs(2 * 60 * 60);

/// Seconds of the etcd lease that an apiserver's endpoint lives by.
const ENDPOINT_LEASE_SECONDS: i64 = 15;

pub(crate) const FIGURES: &[Figure] = &[
    Figure { name: "written in an idle hour with three Kubernetes nodes", unit: "MiB", aim: Some(Aim::RatioAtMost(0.2)) },
    Figure { name: "processor time for that hour's writes", unit: "s", aim: None },
];

/// Something that is written again and again.
struct Object {
    key: String,
    bytes: usize,
    every: Duration,
    /// Whether it gets a new etcd lease each time.
    leased: bool,
}

fn objects() -> Vec<Object> {
    let object = |key: String, bytes, seconds, leased| Object { key, bytes, every: Duration::from_secs(seconds), leased };
    let mut objects = vec![
        object("/registry/leases/kube-system/kube-controller-manager".to_owned(), LEASE_BYTES, 2, false),
        object("/registry/leases/kube-system/kube-scheduler".to_owned(), LEASE_BYTES, 2, false),
        object("compact_rev_key".to_owned(), 8, 300, false),
    ];
    for node in 0..3 {
        objects.push(object(format!("/registry/leases/kube-node-lease/node-{node}"), LEASE_BYTES, 10, false));
        objects.push(object(format!("/registry/leases/kube-system/apiserver-{node}"), LEASE_BYTES, 10, false));
        objects.push(object(format!("/registry/masterleases/192.0.2.{node}"), 200, 10, true));
        objects.push(object(format!("/registry/minions/node-{node}"), NODE_BYTES, 300, false));
    }
    objects
}

/// Makes an hour's writes in so many seconds, or as fast as the server can.
pub(crate) async fn run(launch: &Launch<'_>, seconds: u64) -> anyhow::Result<Vec<f64>> {
    let server = launch.one().await?;
    let connection = Connection::new(&server.endpoint)?;
    let objects = objects();
    for object in &objects {
        write(&connection, object).await?;
    }
    // They do not all come at once: each begins at another part of its interval.
    let count = objects.len() as u32;
    let mut due: Vec<Duration> = objects.iter().zip(0..).map(|(object, at)| object.every * at / count).collect();
    pass(&connection, &objects, &mut due, BEFORE, 0.0).await?;
    let (written, processor) = (server.written_bytes()?, server.processor_seconds()?);
    pass(&connection, &objects, &mut due, BEFORE + HOUR, seconds as f64 / HOUR.as_secs_f64()).await?;
    let mib = (server.written_bytes()? - written) / f64::from(1 << 20);
    Ok(vec![mib, server.processor_seconds()? - processor])
}

/// Makes all writes that are due before `end`. What would be a second takes `pace` seconds, or longer if the server is slow.
async fn pass(connection: &Connection, objects: &[Object], due: &mut [Duration], end: Duration, pace: f64) -> anyhow::Result<()> {
    let (start, begin) = (Instant::now(), due.iter().min().copied().context("there are objects")?);
    loop {
        let (next, at) = due.iter().enumerate().min_by_key(|(_, at)| **at).map(|(next, at)| (next, *at)).context("there are objects")?;
        tokio::time::sleep_until((start + at.min(end).saturating_sub(begin).mul_f64(pace)).into()).await;
        if at >= end {
            return Ok(());
        }
        write(connection, &objects[next]).await?;
        due[next] += objects[next].every;
    }
}

async fn write(connection: &Connection, object: &Object) -> anyhow::Result<()> {
    let mut kv = connection.kv();
    let read = kv.range(get(&object.key)).await?.into_inner();
    let revision = read.kvs.first().map_or(0, |found| found.mod_revision);
    let lease = if object.leased { connection.grant(ENDPOINT_LEASE_SECONDS).await? } else { 0 };
    let key: Bytes = object.key.clone().into();
    let compare = Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Mod.into(),
        key: key.clone(),
        target_union: Some(TargetUnion::ModRevision(revision)),
        ..Compare::default()
    };
    let put = PutRequest { key, value: vec![revision as u8; object.bytes].into(), lease, ..PutRequest::default() };
    let success = vec![RequestOp { request: Some(request_op::Request::RequestPut(put)) }];
    let answer = kv.txn(TxnRequest { compare: vec![compare], success, failure: Vec::new() }).await?.into_inner();
    anyhow::ensure!(answer.succeeded, "{} was changed by somebody else", object.key);
    Ok(())
}
