//! Connections that say nothing, half of something, or what nobody understands.

use std::io::ErrorKind;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time,
};

use crate::{Member, harness::DEADLINE, witness::Witness};

/// Connections of each kind at once.
const EACH: usize = 20;

/// How HTTP/2 begins (RFC 9113, 3.4), with an empty frame of settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The beginning of a TLS handshake.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03";

/// A frame of the peers' protocol that is 4 GiB long, and one that is no message.
const ENDLESS: &[u8] = b"\xff\xff\xff\xff\0\0\0\0";
const NO_MESSAGE: &[u8] = b"\0\0\0\x04\xff\xff\xff\xff";

/// Says something, and then only listens, until the other end hangs up.
async fn until_hung_up(address: String, says: Vec<u8>) {
    let mut stream = TcpStream::connect(&address).await.expect("it listens");
    // It may hang up in the middle of it.
    let _ = stream.write_all(&says).await;
    let mut answer = Vec::new();
    match time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}"),
        Err(_) => panic!("{address} holds on to who said {:?}", String::from_utf8_lossy(&says[..says.len().min(40)])),
    }
}

async fn all(connections: impl IntoIterator<Item = (String, Vec<u8>)>) {
    let mut tasks = JoinSet::new();
    connections.into_iter().for_each(|(address, says)| drop(tasks.spawn(until_hung_up(address, says))));
    while let Some(ended) = tasks.join_next().await {
        ended.expect("it is hung up on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_either_port_ends_its_connection_and_nothing_else() {
    let member = Member::start(&[]);
    let witness = Witness::of(&member);
    let mut rng = fastrand::Rng::with_seed(1);
    let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(1 << 20).collect();
    let after_preface = [PREFACE, &noise[..100_000]].concat();
    let garbage = [&[0; 100][..], b"GET \xff\xff\r\n\r\n", CLIENT_HELLO, ENDLESS, NO_MESSAGE, &noise, &after_preface];
    // A handshake that goes no further is as good as silence for the client port, and too long a frame for the peer port.
    let ports = [member.process.address.clone(), member.peers.clone()];
    let each = ports.iter().flat_map(|port| garbage.iter().map(move |says| (port.clone(), says.to_vec())));
    all(std::iter::repeat_n(each, EACH).flatten()).await;
    witness.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_in_the_middle_is_hung_up_on() {
    let member = Member::start(&[]);
    let witness = Witness::of(&member);
    let to_clients = [&b""[..], &PREFACE[..10], b"GET /health HTTP/1.1\r\nHost: "];
    // A length, and a frame that does not come.
    let to_peers = [&b""[..], b"\0\0", b"\0\x10\0\0", b"\0\0\0\x20\x08"];
    let clients = to_clients.map(|says| (member.process.address.clone(), says.to_vec()));
    let peers = to_peers.map(|says| (member.peers.clone(), says.to_vec()));
    all(std::iter::repeat_n(clients.into_iter().chain(peers), EACH).flatten()).await;
    witness.goes_on().await;
}
