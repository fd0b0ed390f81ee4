//! Many objects of 1 KiB: what they take, how they are listed as kube-apiserver lists them, and how long a restart takes with them.

use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use shoal_etcd::wire::etcdserverpb::RangeRequest;
use shoal_store_bench::figures::{Aim, Figure};

use crate::{connection::Connection, server::Launch};

const OBJECT_BYTES: usize = 1024;

/// Objects on a page: what kubectl and client-go ask for.
const PAGE: i64 = 500;

/// Lists that are measured; the median counts.
const LISTS: usize = 3;

/// What is written behind an answer has been written after so long, and buffers have been given back.
const SETTLE: Duration = Duration::from_secs(5);

const PREFIX: &str = "/registry/pods/default/";
/// The prefix with its last byte one more.
const PREFIX_END: &str = "/registry/pods/default0";

pub(crate) const FIGURES: &[Figure] = &[
    Figure { name: "list of 100,000 objects of 1 KiB, pages of 500 with count: objects", unit: "1/s", aim: Some(Aim::RatioAtLeast(3.0)) },
    Figure { name: "the same list: server's processor time", unit: "ms", aim: None },
    Figure { name: "memory with 100,000 objects of 1 KiB (VmRSS)", unit: "MiB", aim: Some(Aim::RatioAtMost(1.0 / 3.0)) },
    Figure { name: "of it not mapped from files (RssAnon)", unit: "MiB", aim: None },
    Figure { name: "restart until a read is answered", unit: "ms", aim: None },
    Figure { name: "memory after the restart (VmRSS)", unit: "MiB", aim: None },
];

pub(crate) async fn run(launch: &Launch<'_>, objects: usize) -> anyhow::Result<Vec<f64>> {
    let mut server = launch.one().await?;
    let connection = Connection::new(&server.endpoint)?;
    connection.load(objects, |at| format!("{PREFIX}pod-{at:08}"), object).await?;
    tokio::time::sleep(SETTLE).await;
    let (own, resident) = server.memory_bytes()?;
    let processor = server.processor_seconds()?;
    let mut seconds = Vec::new();
    for _ in 0..LISTS {
        let start = Instant::now();
        let listed = list(&connection, objects).await?;
        anyhow::ensure!(listed == objects, "{listed} objects of {objects} were listed");
        seconds.push(start.elapsed().as_secs_f64());
    }
    let seconds = shoal_store_bench::figures::median(seconds.into_iter()).context("there are lists")?;
    let processor = (server.processor_seconds()? - processor) / LISTS as f64;
    let restart = server.restart().await?;
    tokio::time::sleep(SETTLE).await;
    let (_, resident_after) = server.memory_bytes()?;
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    Ok(vec![objects as f64 / seconds, processor * 1e3, mib(resident), mib(own), restart * 1e3, mib(resident_after)])
}

/// An object that neither all others share nor compresses to nothing.
fn object(at: usize) -> Bytes {
    let mut state = at as u64 + 1;
    let mut bytes = Vec::with_capacity(OBJECT_BYTES);
    while bytes.len() < OBJECT_BYTES {
        // xorshift64 (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.into()
}

/// Lists all objects page by page at one revision and returns how many there were. Each page must tell how many are left.
async fn list(connection: &Connection, objects: usize) -> anyhow::Result<usize> {
    let mut kv = connection.kv();
    let mut request = RangeRequest { key: PREFIX.into(), range_end: PREFIX_END.into(), limit: PAGE, ..RangeRequest::default() };
    let mut listed = 0;
    loop {
        let page = kv.range(request.clone()).await?.into_inner();
        anyhow::ensure!(page.count as usize == objects - listed, "{} are counted, {} are left", page.count, objects - listed);
        listed += page.kvs.len();
        let Some(last) = page.kvs.last().filter(|_| page.more) else { return Ok(listed) };
        let mut next = last.key.to_vec();
        next.push(0);
        request.key = next.into();
        if request.revision == 0 {
            request.revision = page.header.context("a page has no header")?.revision;
        }
    }
}
