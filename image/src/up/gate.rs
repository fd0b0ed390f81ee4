//! A port of this machine's loopback address that leads to the API of a cluster: to whichever box takes the connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use shoal_access::API_PORT;
use shoal_lab::Net;
use shoal_lab::net::Connection;
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// How long a box may take to accept a connection before the next one is asked. An emulated box that is busy takes a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks for a box with an API.
const PAUSE: Duration = Duration::from_secs(2);

/// The port; closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Gate {
    address: SocketAddr,
    way: Arc<Way>,
    task: JoinHandle<()>,
}

/// From the port to a box.
#[derive(Debug)]
struct Way {
    net: Net,
    /// The place in the list of boxes of the one that took the last connection.
    last: AtomicUsize,
}

impl Gate {
    /// Opens it on a free port.
    pub(crate) async fn open(net: Net) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port of this machine is free")?;
        let address = listener.local_addr()?;
        let way = Arc::new(Way { net, last: AtomicUsize::new(0) });
        let taken = Arc::clone(&way);
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let way = Arc::clone(&taken);
                tokio::spawn(async move {
                    // Where no box takes it, the client sees its connection end, and tries again.
                    if let Some(mut server) = way.connect().await {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Ok(Self { address, way, task })
    }

    /// Returns when it leads somewhere: a box takes a connection.
    pub(crate) async fn is_open(&self) {
        while self.way.connect().await.is_none() {
            sleep(PAUSE).await;
        }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Way {
    /// A connection to the API of the first box that takes one, from the last that did on.
    async fn connect(&self) -> Option<Connection> {
        let boxes: Vec<Ipv4Addr> = self.net.leases().iter().filter(|lease| !lease.offered).map(|lease| lease.address).collect();
        let first = self.last.load(Ordering::Relaxed);
        for place in (0..boxes.len()).map(|step| (first + step) % boxes.len()) {
            if let Ok(Ok(connection)) = timeout(PATIENCE, self.net.connect(boxes[place].into(), API_PORT)).await {
                self.last.store(place, Ordering::Relaxed);
                return Some(connection);
            }
        }
        None
    }
}
