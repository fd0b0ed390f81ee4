//! The API where a node's own parts look for it, on a node that runs no kube-apiserver: connections are passed on to nodes that do.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use shoal_cluster::Node;
use shoal_plane::API_PORT;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{serve, shared};

/// How long one node may take to answer before the next is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// What to wait before accepting again when the process is out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections at once. The node's own parts have some ten; pods that use the API by its Service do not come here.
const CONNECTIONS_MAX: usize = 256;

/// Binds the API's port on loopback; the future passes connections on for as long as it is polled, and ends them with it.
///
/// # Errors
/// If the port cannot be had.
pub(crate) async fn api(store: Arc<Node>, node: String) -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let listener = serve::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, API_PORT))).await?;
    Ok(pass_on(listener, move || servers(&store, &node)))
}

/// Where the API is served now.
fn servers(store: &Node, node: &str) -> Vec<SocketAddr> {
    let seats = shared::others(store, node).into_iter().filter(|(_, seat)| seat.serves_api);
    seats.filter_map(|(_, seat)| Some(SocketAddr::from((seat.address?, API_PORT)))).collect()
}

async fn pass_on(listener: TcpListener, servers: impl Fn() -> Vec<SocketAddr>) {
    let mut connections = JoinSet::new();
    let mut first = 0_usize;
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((client, _)) => {
                    // Each begins with another one, so that they are spread.
                    let mut servers = servers();
                    if !servers.is_empty() {
                        let count = servers.len();
                        servers.rotate_left(first % count);
                        first = first.wrapping_add(1);
                    }
                    connections.spawn(connection(client, servers));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

/// Passes one connection on to the first server that answers; without any it is closed.
async fn connection(mut client: TcpStream, servers: Vec<SocketAddr>) {
    for address in servers {
        if let Ok(Ok(mut server)) = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            // It ends as either side ends it.
            drop(copy_bidirectional(&mut client, &mut server).await);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that says `name` to whoever connects; its address.
    async fn server(name: &'static str) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(name.as_bytes()).await.unwrap();
            }
        });
        address
    }

    async fn answer(address: SocketAddr) -> String {
        let mut text = String::new();
        TcpStream::connect(address).await.unwrap().read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn connections_are_spread_and_a_server_that_is_gone_is_passed_over() {
        let gone = {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            listener.local_addr().unwrap()
        };
        let servers = vec![server("a").await, gone, server("b").await];
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let balancer = tokio::spawn(pass_on(listener, move || servers.clone()));
        let mut answers = Vec::new();
        for _ in 0..3 {
            answers.push(answer(address).await);
        }
        assert_eq!(answers, ["a", "b", "b"]);
        balancer.abort();
    }

    #[tokio::test]
    async fn without_a_server_a_connection_is_closed() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let balancer = tokio::spawn(pass_on(listener, Vec::new));
        assert_eq!(answer(address).await, "");
        balancer.abort();
    }
}
