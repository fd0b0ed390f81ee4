//! Who does not belong gets nowhere.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use shoal_formation::NodeKey;
use shoal_formation_wire::introduction::INTRODUCTION_BYTES;
use shoal_trust::{
    join_proof::{self, JOIN_PROOF_BYTES},
    session::{EXPORTER_BYTES, End, JOIN_EXPORTER_LABEL, Session},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName, version},
};

use super::fleet::*;
use crate::{Limits, tls::Tls};

/// Opens TLS as somebody with a key of a node, and what he likes of the rest.
async fn tls(address: SocketAddr, number: u8, change: impl FnOnce(&mut ClientConfig)) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = ClientConfig::clone(&Tls::new(&secret(number)).unwrap().client[0]);
    change(&mut config);
    let name = ServerName::IpAddress(address.ip().into());
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

/// What the other end says until it ends the connection, which it has to.
async fn all_it_says(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut said = Vec::new();
    // It may end with an alert or without.
    drop(timeout(SOON, stream.read_to_end(&mut said)).await.expect("the connection is ended"));
    said
}

#[tokio::test]
async fn who_has_another_secret_is_refused_by_both_ends() {
    let mut a = node(1).await;
    let mut b = node_with(2, 2, keys(2, 9), Limits::default()).await;
    b.handle.try_address(a.address);
    assert_eq!(b.dialled(a.address).await, None);
    until("it was counted", || a.handle.statistics().unproven == 1).await;
    a.has_met_nobody();
    b.has_met_nobody();
}

#[tokio::test]
async fn an_older_secret_is_enough_for_a_member_and_for_nobody_else() {
    let mut a = node(1).await;
    let mut b = node_with(2, 2, keys(1, 9), Limits::default()).await;
    b.handle.try_address(a.address);
    assert_eq!(b.dialled(a.address).await, None);
    a.has_met_nobody();
    // Only if both know each other as members.
    a.handle.set_members([b.peer.key].into());
    b.handle.set_members([a.peer.key].into());
    a.handle.try_address(b.address);
    b.meets(a.peer).await;
}

#[tokio::test]
async fn who_says_nothing_or_nonsense_hears_one_proof_and_no_more() {
    let limits = Limits { handshake: Duration::from_millis(300), ..Limits::default() };
    let mut a = node_with(1, 1, our_keys(), limits).await;
    let mut silent = tls(a.address, 7, |_| {}).await.unwrap();
    assert_eq!(all_it_says(&mut silent).await.len(), JOIN_PROOF_BYTES);
    let mut talker = tls(a.address, 7, |_| {}).await.unwrap();
    talker.write_all(&[1; 4096]).await.unwrap();
    assert_eq!(all_it_says(&mut talker).await.len(), JOIN_PROOF_BYTES);
    until("both were counted", || a.handle.statistics().unproven == 2).await;
    a.has_met_nobody();
}

#[tokio::test]
async fn a_proof_that_is_sent_back_proves_nothing() {
    let mut a = node(1).await;
    let mut stream = tls(a.address, 7, |_| {}).await.unwrap();
    let mut proof = [0; JOIN_PROOF_BYTES];
    stream.read_exact(&mut proof).await.unwrap();
    stream.write_all(&proof).await.unwrap();
    assert_eq!(all_it_says(&mut stream).await, []);
    until("it was counted", || a.handle.statistics().unproven == 1).await;
    a.has_met_nobody();
}

#[tokio::test]
async fn a_proof_that_let_somebody_in_lets_nobody_in_a_second_time() {
    let mut a = node(1).await;
    let mut stream = tls(a.address, 7, |_| {}).await.unwrap();
    let mut exporter = [0; EXPORTER_BYTES];
    stream.get_ref().1.export_keying_material(&mut exporter, JOIN_EXPORTER_LABEL, None).unwrap();
    let session = Session { end: End::Client, exporter, own: *secret(7).public(), peer: *secret(1).public() };
    let recorded = join_proof::prove(&our_keys(), &session);
    stream.write_all(&recorded).await.unwrap();
    let mut said = [0; JOIN_PROOF_BYTES + INTRODUCTION_BYTES];
    stream.read_exact(&mut said).await.expect("it is good in its own session");
    drop(stream);
    let mut stream = tls(a.address, 7, |_| {}).await.unwrap();
    stream.write_all(&recorded).await.unwrap();
    assert_eq!(all_it_says(&mut stream).await.len(), JOIN_PROOF_BYTES, "and in no other");
    until("both were counted", || a.handle.statistics().unproven == 2).await;
    a.has_met_nobody();
}

#[tokio::test]
async fn somebody_between_two_nodes_passes_their_proofs_on_in_vain() {
    let (mut a, mut b) = (node(1).await, node(2).await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between = listener.local_addr().unwrap();
    let behind = b.address;
    let relay = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut from_a = TlsAcceptor::from(Tls::new(&secret(66)).unwrap().server).accept(stream).await.unwrap();
        let mut to_b = tls(behind, 66, |_| {}).await.unwrap();
        drop(copy_bidirectional(&mut from_a, &mut to_b).await);
    });
    a.handle.try_address(between);
    assert_eq!(a.dialled(between).await, None);
    until("the other one has refused it, too", || b.handle.statistics().unproven == 1).await;
    relay.await.unwrap();
    a.has_met_nobody();
    b.has_met_nobody();
    // The two can meet without it.
    a.handle.try_address(b.address);
    a.meets(b.peer).await;
}

#[tokio::test]
async fn other_protocols_are_not_spoken() {
    let mut a = node(1).await;
    assert!(tls(a.address, 7, |config| config.alpn_protocols = vec![b"h2".to_vec()]).await.is_err());
    match tls(a.address, 7, |config| config.alpn_protocols.clear()).await {
        Ok(mut stream) => assert_eq!(all_it_says(&mut stream).await, []),
        Err(error) => panic!("TLS does not need a protocol: {error}"),
    }
    until("both were counted", || a.handle.statistics().unproven == 2).await;
    a.has_met_nobody();
}

#[tokio::test]
async fn neither_tls_12_nor_a_client_without_a_key_is_taken() {
    let mut a = node(1).await;
    let name = ServerName::IpAddress(a.address.ip().into());
    let provider = Arc::new(ring::default_provider());
    let old = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&version::TLS12])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let stream = TcpStream::connect(a.address).await.unwrap();
    let refused = TlsConnector::from(Arc::new(old)).connect(name.clone(), stream).await.unwrap_err();
    assert!(refused.to_string().contains("ProtocolVersion"), "{refused}");

    let mut keyless = ClientConfig::clone(&Tls::new(&secret(7)).unwrap().client[0]);
    keyless.client_auth_cert_resolver = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
        .client_auth_cert_resolver;
    let stream = TcpStream::connect(a.address).await.unwrap();
    // In TLS 1.3 a client is through before the server has looked at its key.
    if let Ok(mut stream) = TlsConnector::from(Arc::new(keyless)).connect(name, stream).await {
        assert_eq!(all_it_says(&mut stream).await, []);
    }
    until("both were counted", || a.handle.statistics().unproven == 2).await;
    a.has_met_nobody();
}

#[tokio::test]
async fn who_only_has_the_join_secret_takes_no_more_than_the_places_of_strangers() {
    let limits = Limits { strangers: 2, ..Limits::default() };
    let mut a = node_with(1, 1, our_keys(), limits).await;
    let mut others = Vec::new();
    for number in 2..=5 {
        let mut other = node(number).await;
        other.handle.try_address(a.address);
        other.dialled(a.address).await;
        others.push(other);
    }
    until("two are refused", || a.handle.statistics().no_place >= 2).await;
    assert_eq!(a.handle.peers().len(), 2);
    let member = node(6).await;
    a.handle.set_members([member.peer.key, NodeKey([3; 32])].into());
    member.handle.try_address(a.address);
    a.meets(member.peer).await;
}
