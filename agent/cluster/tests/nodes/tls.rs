//! With certificates, only who has one is talked to.

use std::{sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use shoal_cluster::{Replica, transport::Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};

use crate::cluster::{Cluster, bytes, get, put, within};

/// Both directions, with one certificate for everybody.
fn certificates() -> Tls {
    let authority_key = KeyPair::generate().expect("keys can be made");
    let mut authority = CertificateParams::new(Vec::new()).expect("there are no names in it");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).expect("it can be signed");
    let key = KeyPair::generate().expect("keys can be made");
    let names = vec!["localhost".into(), "127.0.0.1".into()];
    let leaf = CertificateParams::new(names).expect("these are names").signed_by(&key, &Issuer::new(authority, authority_key));
    let chain: Vec<CertificateDer<'static>> = vec![leaf.expect("it can be signed").der().clone()];
    let key = || PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));

    let mut roots = RootCertStore::empty();
    roots.add(authority_certificate.der().clone()).expect("it is an authority");
    let roots = Arc::new(roots);
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build().expect("there is a root");
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().expect("ring has them");
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("ring has them");
    Tls {
        server: Arc::new(server.with_client_cert_verifier(verifier).with_single_cert(chain.clone(), key()).expect("the key fits")),
        client: Arc::new(client.with_root_certificates(roots).with_client_auth_cert(chain, key()).expect("the key fits")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_with_certificates_form_a_cluster() {
    let mut cluster = Cluster::start_with(3, Arc::new(|_| {}), Some(certificates())).await;
    let leader = cluster.leader().await;
    let follower = cluster.node(&cluster.followers().await[0]);
    put(&follower, "k", "v").await;
    assert_eq!(get(&cluster.node(&leader), "k").await, Some(bytes("v")));

    // Whoever has none, and whoever talks nonsense, is hung up on; nobody else notices.
    let url = cluster.node(&leader).members()[0].peer_urls[0].clone();
    let address = url.strip_prefix("https://").expect("it has a scheme").to_owned();
    let mut stranger = tokio::net::TcpStream::connect(&address).await.expect("the port is open");
    stranger.write_all(&[0xff; 64]).await.expect("it is read");
    let mut answer = Vec::new();
    within("end of the connection", tokio::time::timeout(Duration::from_secs(20), stranger.read_to_end(&mut answer))).await.ok();
    put(&follower, "k", "still").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_on_the_peer_port_disturbs_nobody() {
    let mut cluster = Cluster::start(3).await;
    cluster.leader().await;
    let node = cluster.node("n1");
    let members = node.members();
    for garbage in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 100], &[0, 0, 0, 3, 1, 2, 3], &[0; 4096]] {
        for member in &members {
            let address = member.peer_urls[0].strip_prefix("http://").expect("it has a scheme").to_owned();
            let mut stranger = tokio::net::TcpStream::connect(&address).await.expect("the port is open");
            stranger.write_all(garbage).await.expect("it is taken");
        }
    }
    put(&node, "k", "v").await;
    cluster.shutdown().await;
}
