//! `shoal kubeconfig`, as people type it, against an API that is made here.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use shoal_access::{operator, voucher};
use shoal_trust::fleet_file::FleetFile;
use tempfile::TempDir;

/// A directory with fleets, and a home in which there is nothing.
struct Place(TempDir);

impl Place {
    fn with(fleets: &[&str]) -> Self {
        let place = Self(TempDir::new().expect("a temporary directory can be made"));
        for fleet in fleets {
            let output = place.shoal(&["fleet", "new", fleet]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn fleet(&self, name: &str) -> FleetFile {
        shoal::fleet::read(&self.path(&format!("{name}.fleet"))).expect("it was made")
    }

    fn shoal(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shoal"));
        command.current_dir(self.0.path()).env_remove("XDG_CONFIG_HOME").env("HOME", self.path("home")).args(arguments);
        command.output().expect("shoal can be started")
    }

    /// Asks for a kubeconfig of that server, in `out`; whether it was given, and what was said.
    fn kubeconfig(&self, server: SocketAddr, more: &[&str]) -> (bool, String) {
        let server = server.to_string();
        let output = self.shoal(&[&["kubeconfig", "--server", &server, "--out", "out"], more].concat());
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Nothing was left behind beside the fleets.
    fn is_as_it_was(&self, files: usize) {
        let names: Vec<_> =
            fs::read_dir(self.0.path()).expect("it is there").map(|entry| entry.expect("it is there").file_name()).collect();
        assert_eq!(names.len(), files, "{names:?}");
    }
}

/// An API with these names that lets in whom `fleet` lets in, and answers so many times.
fn api(fleet: &FleetFile, names: impl FnOnce(&CertificateDer<'_>) -> Vec<String>, answers: &'static [&'static str]) -> SocketAddr {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let (authority, key) = (KeyPair::generate().expect("there are random numbers"), KeyPair::generate().expect("there are random numbers"));
    let certificate = parameters.self_signed(&authority).expect("it can be signed").der().clone();
    let own = CertificateParams::new(names(&certificate)).expect("they are names");
    let own = own.signed_by(&key, &Issuer::new(parameters, authority)).expect("it can be signed").der().clone();

    let mut roots = RootCertStore::empty();
    let owner = operator::authority(fleet.operator().public()).expect("it can be written down").der().clone();
    roots.add(owner).expect("it is an authority");
    let provider = Arc::new(ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().expect("it has an authority");
    let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]).expect("ring has it");
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("it is a key");
    let config = config.with_client_cert_verifier(clients).with_single_cert(vec![own, certificate], key).expect("they fit");
    serve(Arc::new(config), answers)
}

fn serve(config: Arc<ServerConfig>, answers: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
    let address = listener.local_addr().expect("it was bound");
    thread::spawn(move || {
        for answer in answers {
            let Ok((stream, _)) = listener.accept() else { return };
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).expect("it has all it needs"), stream);
            let mut question = Vec::new();
            // Who does not trust the server, or is not let in, says no more.
            while !question.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match stream.read(&mut byte) {
                    Ok(1) => question.push(byte[0]),
                    _ => break,
                }
            }
            let _ = stream.write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    address
}

/// Names of the API of a cluster of the fleet.
fn of(fleet: &FleetFile) -> impl FnOnce(&CertificateDer<'_>) -> Vec<String> {
    |authority| vec!["kubernetes".to_owned(), voucher::name(&fleet.keys(), authority)]
}

#[test]
fn it_waits_for_the_api_says_why_and_writes_the_file_at_last() {
    let place = Place::with(&["site1"]);
    let fleet = place.fleet("site1");
    let server = api(&fleet, of(&fleet), &["503 Service Unavailable", "403 Forbidden", "200 OK", "200 OK"]);
    let (was_given, said) = place.kubeconfig(server, &["--timeout", "1m"]);
    assert!(was_given, "{said}");
    for word in ["waiting for the API of the fleet site1", "not ready", "has not given the rights"] {
        assert_eq!(said.matches(word).count(), 1, "{word} in {said}");
    }
    assert_eq!(fs::metadata(place.path("out")).expect("it is there").permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(place.path("out")).expect("it is text");
    for line in [&format!("    server: \"https://{server}\"\n"), "    tls-server-name: \"kubernetes\"\n", "current-context: \"site1\"\n"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    // What it has works without this command: it is what a client of TLS needs, and no more.
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key)).expect("it has one");
        data_encoding::BASE64.decode(line.trim().as_bytes()).expect("it is base64")
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&value("certificate-authority-data:")).expect("it is PEM")).expect("it is an authority");
    let certificate = CertificateDer::from_pem_slice(&value("client-certificate-data:")).expect("it is PEM");
    let key = PrivateKeyDer::from_pem_slice(&value("client-key-data:")).expect("it is PEM");
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("ring has them").with_root_certificates(roots);
    let config = config.with_client_auth_cert(vec![certificate], key).expect("they fit");
    let name = "kubernetes".try_into().expect("it is a name");
    let connection = rustls::ClientConnection::new(Arc::new(config), name).expect("it has all it needs");
    let mut stream = StreamOwned::new(connection, std::net::TcpStream::connect(server).expect("it listens"));
    stream.write_all(b"GET /version HTTP/1.1\r\n\r\n").expect("it is read");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("it is answered");
    assert_eq!(&answer, b"HTTP/1.1 200");
    place.is_as_it_was(2);
}

#[test]
fn nobody_who_answers_is_waited_for_and_leaves_no_file() {
    let place = Place::with(&["site1"]);
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
    let address = free.local_addr().expect("it was bound");
    drop(free);
    let (was_given, said) = place.kubeconfig(address, &["--timeout", "3s"]);
    assert!(!was_given && said.contains("did not answer") && said.contains("--timeout"), "{said}");
    assert_eq!(said.matches(&format!("] cannot connect to {address}")).count(), 1, "said once: {said}");
    place.is_as_it_was(1);
}

#[test]
fn a_server_of_another_fleet_or_of_nobody_is_an_error_at_once() {
    let place = Place::with(&["site1", "site2"]);
    let (ours, theirs) = (place.fleet("site1"), place.fleet("site2"));
    let nobodys = |_: &CertificateDer<'_>| vec!["kubernetes".to_owned()];
    fs::write(place.path("out"), "# Made by `shoal kubeconfig` before").expect("it can be written");
    for (server, word) in [
        (api(&theirs, of(&theirs), &["200 OK"]), "name the fleet that its image was stamped with"),
        (api(&ours, nobodys, &["200 OK"]), "shoal stamp"),
    ] {
        let (was_given, said) = place.kubeconfig(server, &["--fleet", "site1", "--timeout", "1m"]);
        assert!(!was_given && said.contains(word), "{said}");
        assert_eq!(fs::read_to_string(place.path("out")).expect("it is there"), "# Made by `shoal kubeconfig` before");
    }
    place.is_as_it_was(3);
}

#[test]
fn an_api_that_lets_another_operator_in_leaves_no_file() {
    let place = Place::with(&["site1", "site2"]);
    let (ours, theirs) = (place.fleet("site1"), place.fleet("site2"));
    let server = api(&theirs, of(&ours), &["200 OK"; 8]);
    let (was_given, said) = place.kubeconfig(server, &["--fleet", "site1", "--timeout", "1s"]);
    assert!(!was_given && said.contains("did not answer"), "{said}");
    place.is_as_it_was(2);
}

#[test]
fn the_only_fleet_is_taken_and_of_two_none() {
    let place = Place::with(&["site1"]);
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    assert!(place.kubeconfig(nowhere, &["--timeout", "0"]).1.contains("the fleet site1"));
    assert!(place.shoal(&["fleet", "new", "site2"]).status.success());
    let said = place.kubeconfig(nowhere, &["--timeout", "0"]).1;
    assert!(said.contains("more than one fleet") && said.contains("site1.fleet") && said.contains("site2.fleet"), "{said}");
    for named in ["site2", "site2.fleet", "./site2.fleet"] {
        let said = place.kubeconfig(nowhere, &["--timeout", "0", "--fleet", named]).1;
        assert!(said.contains("the fleet site2"), "{named}: {said}");
    }
    assert!(place.kubeconfig(nowhere, &["--fleet", "site3"]).1.contains("there is no site3.fleet"));
    let empty = Place::with(&[]);
    assert!(empty.kubeconfig(nowhere, &[]).1.contains("there is no fleet"));
}

#[test]
fn a_kubeconfig_of_other_clusters_is_not_written_over() {
    let place = Place::with(&["site1"]);
    fs::write(place.path("out"), "apiVersion: v1\n").expect("it can be written");
    let (was_given, said) = place.kubeconfig(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), &[]);
    assert!(!was_given && said.contains("KUBECONFIG"), "{said}");
    assert_eq!(fs::read_to_string(place.path("out")).expect("it is there"), "apiVersion: v1\n");
}

#[test]
fn without_a_file_it_is_printed_and_nothing_else_is() {
    let place = Place::with(&["site1"]);
    let fleet = place.fleet("site1");
    let server = api(&fleet, of(&fleet), &["200 OK"]).to_string();
    let output = place.shoal(&["kubeconfig", "--server", &server, "--timeout", "1m"]);
    let text = String::from_utf8(output.stdout).expect("it is text");
    assert!(output.status.success() && text.starts_with("# Made by") && text.ends_with("current-context: \"site1\"\n"), "{text}");
    place.is_as_it_was(1);
}
