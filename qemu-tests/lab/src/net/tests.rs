//! The services as a guest meets them: over a switch, from a second host. Every wait has a deadline.

use super::*;
use crate::switch::Link;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// For exchanges in memory, which take milliseconds; reached only when something hangs.
const DEADLINE: Duration = Duration::from_secs(60);

struct Pair {
    switch: Switch,
    lab: Net,
    guest: Net,
    _directory: tempfile::TempDir,
}

async fn pair() -> Pair {
    let directory = tempfile::tempdir().unwrap();
    let switch = Switch::start(1, &directory.path().join("lan.pcap")).unwrap();
    let lab = Net::attach(&switch, NetConfig::default()).await.unwrap();
    let guest = NetConfig {
        mac: [0x52, 0x54, 0, 0, 0, 2],
        address: Ipv4Addr::new(10, 77, 0, 2),
        prefix: 24,
        address6: Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2),
    };
    let guest = Net::attach(&switch, guest).await.unwrap();
    Pair { switch, lab, guest, _directory: directory }
}

async fn get(guest: &Net, request: &str) -> Vec<u8> {
    let mut connection = guest.connect(NetConfig::default().address.into(), 80).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    answer
}

fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[tokio::test]
async fn a_guest_is_reached_and_reaches_us() {
    timeout(DEADLINE, async {
        let pair = pair().await;
        let mut listener = pair.guest.listen(7000).unwrap();
        let host = async {
            let mut connection = pair.lab.connect(Ipv4Addr::new(10, 77, 0, 2).into(), 7000).await.unwrap();
            connection.write_all(b"question").await.unwrap();
            connection.shutdown().await.unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let guest = async {
            let mut connection = listener.accept().await;
            assert_eq!(connection.peer().map(|peer| peer.ip()), Some(pair.lab.address().into()));
            let mut question = String::new();
            connection.read_to_string(&mut question).await.unwrap();
            connection.write_all(format!("{question}, answer").as_bytes()).await.unwrap();
        };
        let (answer, ()) = tokio::join!(host, guest);
        assert_eq!(answer, "question, answer");
    })
    .await
    .expect("in time");
}

#[tokio::test]
async fn many_connections_at_once_are_all_taken() {
    timeout(DEADLINE, async {
        let pair = pair().await;
        let files = Files::new();
        files.put("x", *b"x");
        let _http = pair.lab.serve_http(80, files).unwrap();
        let requests = (0..12).map(|_| async {
            // A knock beyond the backlog is refused; a client tries again.
            loop {
                if let Ok(mut connection) = pair.guest.connect(pair.lab.address().into(), 80).await {
                    connection.write_all(b"GET /x HTTP/1.0\r\n\r\n").await.unwrap();
                    let mut answer = Vec::new();
                    connection.read_to_end(&mut answer).await.unwrap();
                    assert!(answer.ends_with(b"\r\n\r\nx"));
                    break;
                }
            }
        });
        futures_util::future::join_all(requests).await;
    })
    .await
    .expect("in time");
}

#[tokio::test]
async fn a_port_without_a_listener_refuses() {
    timeout(DEADLINE, async {
        let pair = pair().await;
        assert!(matches!(pair.lab.connect(pair.guest.address().into(), 9).await, Err(NetError::Refused { .. })));
        assert!(matches!(pair.lab.connect(pair.guest.address().into(), 0).await, Err(NetError::Unaddressable { .. })));
    })
    .await
    .expect("in time");
}

#[tokio::test]
async fn a_large_file_comes_whole_over_http_from_memory_and_from_disk() {
    timeout(DEADLINE, async {
        let pair = pair().await;
        let files = Files::new();
        let content = noise(5_000_000);
        let path = pair._directory.path().join("image");
        std::fs::write(&path, &content).unwrap();
        files.put("/memory", content.clone());
        files.put_file("disk", path);
        let _http = pair.lab.serve_http(80, files).unwrap();
        for name in ["memory", "disk"] {
            let answer = get(&pair.guest, &format!("GET /{name} HTTP/1.0\r\n\r\n")).await;
            assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n"));
            assert!(answer.ends_with(&content), "{name}");
        }
        let part = get(&pair.guest, "GET /disk HTTP/1.0\r\nRange: bytes=1000-1999\r\n\r\n").await;
        assert!(part.starts_with(b"HTTP/1.1 206 ") && part.ends_with(&content[1000..2000]));
    })
    .await
    .expect("in time");
}

#[tokio::test]
async fn two_requests_share_a_connection() {
    timeout(DEADLINE, async {
        let pair = pair().await;
        let files = Files::new();
        files.put("one", *b"1");
        let _http = pair.lab.serve_http(80, files).unwrap();
        let answer = get(&pair.guest, "HEAD /one HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\nConnection: close\r\n\r\n").await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"), "{answer}");
        assert!(answer.contains("\r\n\r\nHTTP/1.1 404 Not Found\r\n"), "{answer}");
    })
    .await
    .expect("in time");
}

#[tokio::test]
async fn http_survives_a_lossy_link() {
    timeout(DEADLINE, async {
        let pair = pair().await;
        pair.switch.set_every_link(Link { loss: 0.02, ..Link::default() }).await.unwrap();
        let files = Files::new();
        let content = noise(300_000);
        files.put("image", content.clone());
        let _http = pair.lab.serve_http(80, files).unwrap();
        assert!(get(&pair.guest, "GET /image HTTP/1.0\r\n\r\n").await.ends_with(&content));
    })
    .await
    .expect("in time");
}

#[tokio::test]
async fn a_file_comes_whole_over_tftp() {
    timeout(DEADLINE, async {
        let pair = pair().await;
        let files = Files::new();
        let content = noise(100_000);
        files.put("boot.efi", content.clone());
        let _tftp = pair.lab.serve_tftp(files).unwrap();
        let client = pair.guest.datagrams(None).unwrap();
        client.send(b"\0\x01boot.efi\0octet\0blksize\x001000\0windowsize\x008\0", (pair.lab.address(), 69).into()).await;
        let (acknowledgement, server) = client.receive().await;
        assert_eq!(acknowledgement, b"\0\x06blksize\x001000\0windowsize\x008\0");
        assert_ne!(server.port(), 69, "a transfer has its own port");
        let mut received: Vec<u8> = Vec::new();
        client.send(&[0, 4, 0, 0], server).await;
        for block in 1u16.. {
            let (packet, _) = client.receive().await;
            assert_eq!(packet[..4], [&[0, 3], &block.to_be_bytes()[..]].concat());
            received.extend(&packet[4..]);
            let last = packet.len() < 1004;
            if last || block % 8 == 0 {
                client.send(&[&[0, 4], &block.to_be_bytes()[..]].concat(), server).await;
            }
            if last {
                break;
            }
        }
        assert!(received == content);
    })
    .await
    .expect("in time");
}

#[tokio::test]
async fn a_missing_file_and_a_write_are_refused_by_tftp() {
    timeout(DEADLINE, async {
        let pair = pair().await;
        let _tftp = pair.lab.serve_tftp(Files::new()).unwrap();
        let client = pair.guest.datagrams(None).unwrap();
        for (request, code) in [(&b"\0\x01none\0octet\0"[..], 1), (b"\0\x02none\0octet\0", 4), (b"\0\x01none\0netascii\0", 4)] {
            client.send(request, (pair.lab.address(), 69).into()).await;
            assert_eq!(client.receive().await.0[..4], [0, 5, 0, code]);
        }
    })
    .await
    .expect("in time");
}

#[tokio::test]
async fn guests_are_reached_over_ipv6() {
    timeout(DEADLINE, async {
        let pair = pair().await;
        for address in [Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2), link_local([0x52, 0x54, 0, 0, 0, 2])] {
            let mut listener = pair.guest.listen(7000).unwrap();
            let (connection, accepted) = tokio::join!(pair.lab.connect(address.into(), 7000), listener.accept());
            assert_eq!(connection.unwrap().peer().map(|peer| peer.ip()), Some(address.into()));
            assert!(accepted.peer().is_some());
        }
    })
    .await
    .expect("in time");
}

#[tokio::test]
async fn a_partition_is_felt_by_tcp_and_healed() {
    timeout(DEADLINE, async {
        let pair = pair().await;
        let mut listener = pair.guest.listen(7000).unwrap();
        pair.switch.partition(vec![vec![pair.lab.port()]]).await.unwrap();
        let mut connecting = Box::pin(pair.lab.connect(pair.guest.address().into(), 7000));
        tokio::select! {
            biased;
            _ = connecting.as_mut() => panic!("connected through a cut"),
            flushed = pair.switch.flush() => flushed.unwrap(),
        }
        pair.switch.heal().await.unwrap();
        let (connection, _) = tokio::join!(connecting, listener.accept());
        connection.unwrap();
    })
    .await
    .expect("in time");
}
