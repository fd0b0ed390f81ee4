//! A peer that is down is tried again and again, but not all the time.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use shoal_cluster::{
    Replica,
    transport::{Stream, TcpTransport, Transport},
};
use tokio::time::Instant;

use crate::cluster::{Cluster, put, within};

/// Where nobody is.
const NOWHERE: &str = "http://nowhere.invalid:2380";

/// Heartbeats in these tests are 50 ms apart, each of which may try, and entries are tried every few hundred. Without a pause it is thousands a second.
const TRIES_PER_SECOND_MAX: u32 = 100;

/// TCP, on which one address answers never, and tries are counted.
#[derive(Debug)]
struct Counting {
    tcp: TcpTransport,
    tries: Arc<AtomicU32>,
}

#[async_trait]
impl Transport for Counting {
    async fn connect(&self, url: &str) -> io::Result<Stream> {
        if url == NOWHERE {
            self.tries.fetch_add(1, Ordering::Relaxed);
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.tcp.connect(url).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_down_is_not_tried_all_the_time() {
    let tries = Arc::new(AtomicU32::new(0));
    let counted = tries.clone();
    let mut cluster =
        Cluster::start_on(1, Arc::new(move |tls| Arc::new(Counting { tcp: TcpTransport { tls }, tries: counted.clone() }))).await;
    let first = cluster.named().await;
    within("addition", first.member_add(vec![NOWHERE.into()], true)).await.expect("it may be added");
    let start = Instant::now();
    // There is something to send the whole time.
    while start.elapsed() < Duration::from_secs(3) {
        put(&first, "k", "v").await;
    }
    let tries = tries.load(Ordering::Relaxed);
    let most = TRIES_PER_SECOND_MAX * (1 + u32::try_from(start.elapsed().as_secs()).expect("it took no years"));
    assert!((1..most).contains(&tries), "{tries} tries in {:?}", start.elapsed());
    cluster.shutdown().await;
}
