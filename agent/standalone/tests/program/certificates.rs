//! With certificates on both ports, only who has one is served.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::harness::{client::Client, cluster::Cluster, folder};

/// Writes an authority and a certificate for all of 127.0.0.0/8 that the tests use, by name.
fn certify(folder: &Path) {
    let key = KeyPair::generate().expect("keys can be made");
    let mut authority = CertificateParams::new(Vec::new()).expect("there are no names in it");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&key).expect("it can be signed");
    let issuer = Issuer::new(authority, key);
    fs::write(folder.join("ca.pem"), certificate.pem()).expect("it is written");
    let key = KeyPair::generate().expect("keys can be made");
    let mut leaf = CertificateParams::new(vec!["member.test".to_owned()]).expect("this is a name");
    leaf.subject_alt_names.extend((1..=u8::MAX).map(|number| {
        let [_, _, high, low] = std::process::id().to_be_bytes();
        rcgen::SanType::IpAddress(std::net::Ipv4Addr::new(127, high | 0x80, low, number).into())
    }));
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let leaf = leaf.signed_by(&key, &issuer).expect("it can be signed");
    fs::write(folder.join("cert.pem"), leaf.pem()).expect("it is written");
    fs::write(folder.join("key.pem"), key.serialize_pem()).expect("it is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_and_clients_with_certificates_are_served_and_nobody_else() {
    let folder = folder();
    certify(folder.path());
    let flags = [
        "--cert-file=cert.pem",
        "--key-file=key.pem",
        "--trusted-ca-file=ca.pem",
        "--client-cert-auth",
        "--peer-cert-file=cert.pem",
        "--peer-key-file=key.pem",
        "--peer-trusted-ca-file=ca.pem",
        "--peer-client-cert-auth",
    ];
    let cluster = Cluster::start_in(folder, 3, "https", &flags);
    let read = |name: &str| fs::read(cluster.folder.path().join(name)).expect("it was written");
    let authority = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("ca.pem")));
    let known = authority.clone().identity(Identity::from_pem(read("cert.pem"), read("key.pem")));
    Client::with_tls(&cluster.client_url("n1"), known.clone()).put("k", "v").await.expect("it has a certificate");
    let value = Client::with_tls(&cluster.client_url("n2"), known).get("k").await.expect("it has a certificate");
    assert_eq!(value, Some("v".to_owned()));
    Client::with_tls(&cluster.client_url("n1"), authority).get("k").await.expect_err("it has none");
}
