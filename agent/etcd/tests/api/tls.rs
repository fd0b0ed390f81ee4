use std::{error::Error, fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use shoal_cluster::local::LocalConfig;
use shoal_etcd::{Options, tls, wire::etcdserverpb::kv_client::KvClient};
use tempfile::TempDir;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::server::Server;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this machine and its key, in PEM.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("good names");
        (params.signed_by(&key, &self.0).expect("a certificate").pem(), key.serialize_pem())
    }
}

fn write(folder: &Path, authority: &Authority) {
    let (certificate, key) = authority.issue();
    fs::write(folder.join("certificate"), certificate).expect("it is written");
    fs::write(folder.join("key"), key).expect("it is written");
    fs::write(folder.join("authority"), authority.pem()).expect("it is written");
}

async fn serve(folder: &Path, verify_clients: bool) -> Server {
    let authority = folder.join("authority");
    let config = tls::server_config(&folder.join("certificate"), &folder.join("key"), verify_clients.then_some(&*authority));
    Server::with_tls(LocalConfig::default(), Options::default(), Some(config.expect("the files are good"))).await
}

async fn put(server: &Server, trusted: &Authority, identity: Option<(String, String)>) -> Result<(), Box<dyn Error>> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(trusted.pem()));
    if let Some((certificate, key)) = identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    let channel = Endpoint::from_shared(format!("https://{}", server.address))?.tls_config(tls)?.connect().await?;
    KvClient::new(channel).put(crate::server::put("key", "value")).await?;
    Ok(())
}

#[tokio::test]
async fn the_server_shows_its_certificate() {
    let (folder, authority) = (TempDir::new().expect("a folder"), Authority::new());
    write(folder.path(), &authority);
    let server = serve(folder.path(), false).await;
    put(&server, &authority, None).await.expect("it is trusted");
    put(&server, &Authority::new(), None).await.expect_err("it is not");
}

#[tokio::test]
async fn only_clients_with_a_certificate_are_let_in() {
    let (folder, authority) = (TempDir::new().expect("a folder"), Authority::new());
    write(folder.path(), &authority);
    let server = serve(folder.path(), true).await;
    put(&server, &authority, Some(authority.issue())).await.expect("it is trusted");
    put(&server, &authority, None).await.expect_err("it has none");
    put(&server, &authority, Some(Authority::new().issue())).await.expect_err("it has one of somebody else");
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let (folder, authority, next) = (TempDir::new().expect("a folder"), Authority::new(), Authority::new());
    write(folder.path(), &authority);
    let server = serve(folder.path(), false).await;
    put(&server, &authority, None).await.expect("it is trusted");
    fs::write(folder.path().join("key"), "half written").expect("it is written");
    put(&server, &authority, None).await.expect("what was good still is");
    write(folder.path(), &next);
    put(&server, &next, None).await.expect("the new one is shown");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let (folder, authority) = (TempDir::new().expect("a folder"), Authority::new());
    write(folder.path(), &authority);
    let path = |name| folder.path().join(name);
    fs::write(path("empty"), "").expect("it is written");
    let other = KeyPair::generate().expect("a key").serialize_pem();
    fs::write(path("other"), other).expect("it is written");
    for (certificate, key, authority, text) in [
        ("missing", "key", None, "cannot read"),
        ("empty", "key", None, "give a file with one in PEM"),
        ("certificate", "empty", None, "cannot read"),
        ("certificate", "other", None, "cannot use the certificate"),
        ("certificate", "key", Some("empty"), "give a file with one in PEM"),
    ] {
        let authority = authority.map(path);
        let error = tls::server_config(&path(certificate), &path(key), authority.as_deref()).expect_err("it is wrong").to_string();
        assert!(error.contains(text) && error.contains(folder.path().to_str().expect("it is text")), "{error}");
    }
}
