//! Whether the API is ready, as its own health check says. Anybody may ask.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context;
use shoal_plane::API_PORT;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How often it is asked. To ask costs it a handshake.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long an answer may take: a kube-apiserver that starts on a slow machine answers late, and is not helped by being asked again.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The status of an HTTP answer: `HTTP/1.0 200`.
const STATUS: std::ops::Range<usize> = 9..12;
/// More than an answer has: some fifty lines.
const ANSWER_BYTES: u64 = 64 << 10;

/// Returns when the API that this node's parts use is ready; until then it tells each new reason why not. `authority` is the file of who signs its certificate.
///
/// # Errors
/// If that file is of no use.
pub(crate) fn wait_until_ready(authority: &Path) -> anyhow::Result<()> {
    let certificates = CertificateDer::pem_file_iter(authority).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut roots = RootCertStore::empty();
    for certificate in certificates.with_context(|| format!("cannot read {}", authority.display()))? {
        roots.add(certificate).with_context(|| format!("{} is no authority", authority.display()))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions()?;
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, API_PORT));
    let mut told = String::new();
    loop {
        let reason = match ready(address, &config) {
            Ok(Readiness::Ready) => return Ok(()),
            Ok(Readiness::Not(why)) => why,
            Err(error) => error.to_string(),
        };
        // Each that is another one: a refused certificate stays refused for ever, and would be waited for in silence.
        if reason != told {
            tracing::info!("waiting for the API at {address}: {reason}");
            told = reason;
        }
        sleep(INTERVAL);
    }
}

/// What the health check says.
#[derive(Debug, PartialEq, Eq)]
enum Readiness {
    Ready,
    /// The checks that fail, or what else it answers.
    Not(String),
}

fn ready(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Readiness> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let connection = ClientConnection::new(config.clone(), ServerName::from(address.ip())).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    // It may close without TLS's goodbye; what was read counts.
    let ended = (&mut stream).take(ANSWER_BYTES).read_to_end(&mut answer);
    if answer.len() < STATUS.end {
        return ended.and(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(read(&String::from_utf8_lossy(&answer)))
}

/// The answer of a health check: its status, and a line for each check of which those that fail begin with `[-]`.
fn read(answer: &str) -> Readiness {
    match answer.get(STATUS) {
        Some("200") => Readiness::Ready,
        status => {
            let failing: Vec<_> = answer.lines().filter_map(|line| line.strip_prefix("[-]")?.split_whitespace().next()).collect();
            match &failing[..] {
                [] => Readiness::Not(format!("it answers {}", status.unwrap_or("nothing that is HTTP"))),
                failing => Readiness::Not(failing.join(", ")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use shoal_plane::certificates::Authority;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::{ServerConfig, ServerConnection};

    use super::*;
    use crate::cluster::authorities::tests::authorities;

    /// Answers as many times as there are answers, with a certificate of the authority; where.
    fn server(authority: &crate::cluster::authorities::Authorities, answers: &'static [&'static str]) -> SocketAddr {
        let (issuer, _) = authority.issuer(Authority::Kubernetes).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::default();
        parameters.subject_alt_names = vec![rcgen::SanType::IpAddress(Ipv4Addr::LOCALHOST.into())];
        let certificate = parameters.signed_by(&key, &issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
                let mut request = [0; 4];
                // A client that does not trust the certificate says no more.
                if stream.read_exact(&mut request).is_ok() {
                    stream.write_all(format!("HTTP/1.0 {answer}\r\n\r\n").as_bytes()).unwrap();
                }
            }
        });
        address
    }

    fn trusting(authority: &crate::cluster::authorities::Authorities) -> Arc<ClientConfig> {
        let place = tempfile::tempdir().unwrap();
        authority.write(place.path(), None).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(place.path().join("kubernetes-ca.crt")).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions().unwrap();
        Arc::new(config.with_root_certificates(roots).with_no_client_auth())
    }

    #[test]
    fn only_its_own_yes_counts() {
        let own = authorities();
        const FAILING: &str = "500 Internal Server Error\r\n\r\n[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/rbac failed\nreadyz check failed";
        let address = server(&own, &[FAILING, "401 Unauthorized", "200 OK", "200 OK"]);
        let config = trusting(&own);
        assert_eq!(ready(address, &config).unwrap(), Readiness::Not("etcd, poststarthook/rbac".into()));
        assert_eq!(ready(address, &config).unwrap(), Readiness::Not("it answers 401".into()));
        assert_eq!(ready(address, &config).unwrap(), Readiness::Ready);
        assert!(ready(address, &trusting(&authorities())).is_err(), "another cluster's");
        assert!(ready(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), &config).is_err(), "nobody's");
    }
}
