//! Cases of etcd's own benchmark client.

use std::time::Duration;

use anyhow::Context;
use shoal_store_bench::figures::{Aim, Figure};

use crate::{
    connection::Connection,
    load,
    programs::Programs,
    server::{Launch, Server},
};

/// Requests of the client share so many connections, as etcd's own published figures do.
const CONNECTIONS: usize = 100;

/// What is written behind an answer has been written after so long: etcd commits its database every 100 ms.
const SETTLE: Duration = Duration::from_secs(2);

pub(crate) const PUT_1: &[Figure] = &[
    Figure { name: "put, 1 client: median latency", unit: "ms", aim: Some(Aim::RatioAtMost(1.0)) },
    Figure { name: "put, 1 client: 99th percentile", unit: "ms", aim: None },
    Figure { name: "put, 1 client: bytes written for each", unit: "B", aim: None },
    Figure { name: "put, 1 client: server's processor time for each", unit: "µs", aim: None },
];

pub(crate) const PUT_100: &[Figure] = &[
    Figure { name: "put, 100 clients", unit: "1/s", aim: None },
    Figure { name: "put, 100 clients: 99th percentile", unit: "ms", aim: None },
    Figure { name: "put, 100 clients: bytes written for each", unit: "B", aim: None },
    Figure { name: "put, 100 clients: server's processor time for each", unit: "µs", aim: None },
];

pub(crate) const PUT_1000: &[Figure] = &[
    Figure { name: "put, 1,000 clients", unit: "1/s", aim: Some(Aim::RatioAtLeast(1.5)) },
    Figure { name: "put, 1,000 clients: 99th percentile", unit: "ms", aim: None },
    Figure { name: "put, 1,000 clients: bytes written for each", unit: "B", aim: None },
    Figure { name: "put, 1,000 clients: server's processor time for each", unit: "µs", aim: None },
];

/// Puts of 256 bytes to 100,000 keys.
pub(crate) async fn put(launch: &Launch<'_>, programs: &Programs, clients: usize, total: usize) -> anyhow::Result<Vec<f64>> {
    let server = launch.one().await?;
    let before = Before::of(&server)?;
    let flags = [
        "put".to_owned(),
        format!("--clients={clients}"),
        format!("--conns={}", clients.min(CONNECTIONS)),
        format!("--total={total}"),
        "--key-size=32".to_owned(),
        "--val-size=256".to_owned(),
        "--key-space-size=100000".to_owned(),
        "--sequential-keys".to_owned(),
    ];
    let summary = of_client(programs, &server, &flags).await?.remove(0);
    tokio::time::sleep(SETTLE).await;
    let (processor, written) = before.since(&server)?;
    let first = if clients == 1 { summary.percentile(50.0) * 1e3 } else { summary.rate };
    Ok(vec![first, summary.percentile(99.0) * 1e3, written / total as f64, processor * 1e6 / total as f64])
}

pub(crate) const RANGE: &[Figure] = &[
    Figure { name: "linearizable get, 100 clients", unit: "1/s", aim: None },
    Figure { name: "linearizable get, 100 clients: 99th percentile", unit: "ms", aim: None },
    Figure { name: "linearizable get, 100 clients: server's processor time for each", unit: "µs", aim: None },
];

/// Reads of one key among 10,000.
pub(crate) async fn range(launch: &Launch<'_>, programs: &Programs, total: usize) -> anyhow::Result<Vec<f64>> {
    let server = launch.one().await?;
    let connection = Connection::new(&server.endpoint)?;
    connection.load(10_000, |at| format!("key-{at:06}"), |at| vec![at as u8; 256].into()).await?;
    let before = Before::of(&server)?;
    let flags =
        ["range".to_owned(), "key-005000".to_owned(), "--clients=100".to_owned(), "--conns=100".to_owned(), format!("--total={total}")];
    let summary = of_client(programs, &server, &flags).await?.remove(0);
    let (processor, _) = before.since(&server)?;
    Ok(vec![summary.rate, summary.percentile(99.0) * 1e3, processor * 1e6 / total as f64])
}

pub(crate) const TXN_MIXED: &[Figure] = &[
    Figure { name: "txn-mixed, 100 clients, half of them reads of 100 keys", unit: "1/s", aim: None },
    Figure { name: "txn-mixed: 99th percentile of writes", unit: "ms", aim: None },
    Figure { name: "txn-mixed: server's processor time for each", unit: "µs", aim: None },
];

/// As many transactions that read the first 100 keys as such that put one of 10,000.
pub(crate) async fn txn_mixed(launch: &Launch<'_>, programs: &Programs, total: usize) -> anyhow::Result<Vec<f64>> {
    let server = launch.one().await?;
    let before = Before::of(&server)?;
    let flags = [
        "txn-mixed".to_owned(),
        "--clients=100".to_owned(),
        "--conns=100".to_owned(),
        format!("--total={total}"),
        "--key-space-size=10000".to_owned(),
        "--val-size=256".to_owned(),
        "--limit=100".to_owned(),
    ];
    let summaries = of_client(programs, &server, &flags).await?;
    let [reads, writes] = &summaries[..] else { anyhow::bail!("the client told of {} kinds of requests", summaries.len()) };
    let (processor, _) = before.since(&server)?;
    Ok(vec![reads.rate + writes.rate, writes.percentile(99.0) * 1e3, processor * 1e6 / total as f64])
}

pub(crate) const WATCH_LATENCY: &[Figure] = &[
    Figure { name: "watch latency after the put's answer, 100 watchers: mean", unit: "ms", aim: None },
    Figure { name: "watch latency after the put's answer, 100 watchers: 99th percentile", unit: "ms", aim: None },
    Figure { name: "put with 100 watchers: median", unit: "ms", aim: None },
];

/// 100 puts a second to one key that 100 watchers follow on ten streams, with prev_kv.
pub(crate) async fn watch_latency(launch: &Launch<'_>, programs: &Programs, total: usize) -> anyhow::Result<Vec<f64>> {
    let server = launch.one().await?;
    let flags = [
        "watch-latency".to_owned(),
        "--clients=10".to_owned(),
        "--conns=10".to_owned(),
        "--streams=10".to_owned(),
        "--watchers-per-stream=10".to_owned(),
        "--prevkv".to_owned(),
        "--val-size=1024".to_owned(),
        "--put-rate=100".to_owned(),
        format!("--put-total={total}"),
    ];
    let summaries = of_client(programs, &server, &flags).await?;
    let [puts, watches] = &summaries[..] else { anyhow::bail!("the client told of {} kinds of requests", summaries.len()) };
    Ok(vec![watches.average * 1e3, watches.percentile(99.0) * 1e3, puts.percentile(50.0) * 1e3])
}

async fn of_client(programs: &Programs, server: &Server, flags: &[String]) -> anyhow::Result<Vec<shoal_store_bench::report::Summary>> {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    load::run(&programs.client, &server.endpoint, &flags).await.context("no figures")
}

/// What a server had used before.
struct Before {
    processor_seconds: f64,
    written_bytes: f64,
}

impl Before {
    fn of(server: &Server) -> anyhow::Result<Self> {
        Ok(Self { processor_seconds: server.processor_seconds()?, written_bytes: server.written_bytes()? })
    }

    /// Seconds of processor time and bytes written since.
    fn since(&self, server: &Server) -> anyhow::Result<(f64, f64)> {
        let now = Self::of(server)?;
        Ok((now.processor_seconds - self.processor_seconds, now.written_bytes - self.written_bytes))
    }
}
