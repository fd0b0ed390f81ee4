//! Floods take what is theirs, and keep nobody out.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::fleet::*;
use crate::Limits;

/// Everybody here comes from one address; so the limit for one is the limit for all.
fn one_source() -> Limits {
    Limits { slots: 8, slots_per_source: 8, ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_all_slots_keeps_nobody_out_and_is_sent_away() {
    let limits = Limits { handshake: Duration::from_secs(2), ..one_source() };
    let mut a = node_with(1, 1, our_keys(), limits).await;
    let mut slow = Vec::new();
    for number in 0..8 {
        let mut stream = TcpStream::connect(a.address).await.unwrap();
        // Nothing, or the beginning of a handshake.
        stream.write_all(&[22, 3, 1, 2, 0, 1][..number % 7]).await.unwrap();
        slow.push(stream);
    }
    until("all slots are taken", || a.handle.statistics().slots == 8).await;
    let b = node(2).await;
    b.handle.try_address(a.address);
    a.meets(b.peer).await;
    assert_eq!(a.handle.statistics().pushed_out, 1, "the oldest has made room");
    for mut stream in slow {
        let mut nothing = [0; 64];
        let read = timeout(SOON, stream.read(&mut nothing)).await.expect("it is sent away");
        // Closed, with or without an alert.
        drop(read);
    }
    until("all slots are free", || a.handle.statistics().slots == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_in_a_row_leave_nothing_behind() {
    const CONNECTIONS: u64 = 10_000;
    let mut a = node_with(1, 1, our_keys(), one_source()).await;
    for number in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(a.address).await.unwrap();
        if number % 3 == 0 {
            // Who was pushed out meanwhile cannot write.
            drop(stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await);
        }
    }
    until("all were taken", || a.handle.statistics().accepted == CONNECTIONS).await;
    until("all slots are free", || a.handle.statistics().slots == 0).await;
    let statistics = a.handle.statistics();
    assert!(statistics.slots_peak <= 8, "{statistics:?}");
    assert_eq!((statistics.sessions, statistics.addresses), (0, 0));
    a.has_met_nobody();
    let b = node(2).await;
    b.handle.try_address(a.address);
    a.meets(b.peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_dozen_hosts_flood_a_node_it_meets_who_belongs() {
    let mut a = node(1).await;
    let mut floods = JoinSet::new();
    for host in 10..22 {
        let address = a.address;
        floods.spawn(async move {
            let mut held = std::collections::VecDeque::new();
            // 2400 connections a second of all of them together.
            let mut pace = tokio::time::interval(Duration::from_millis(5));
            loop {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(([127, 0, 0, host], 0).into()).unwrap();
                // Whatever becomes of it: each host has eight that do nothing, and always another one.
                if let Ok(stream) = socket.connect(address).await {
                    held.push_back(stream);
                }
                if held.len() > 8 {
                    held.pop_front();
                }
                pace.tick().await;
            }
        });
    }
    until("all slots are taken, and taken from others", || {
        let statistics = a.handle.statistics();
        statistics.slots == Limits::default().slots && statistics.pushed_out > 100
    })
    .await;
    for number in 2..=5 {
        let b = node(number).await;
        b.handle.try_address(a.address);
        a.meets(b.peer).await;
    }
    assert!(a.handle.statistics().slots_peak <= Limits::default().slots);
    floods.abort_all();
}
