//! One attempt to speak with the API: a session of TLS 1.3 with a server that nothing is known of, in which it has to show the fleet's voucher before
//! it is shown anything, and then one question.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rcgen::{Certificate, KeyPair};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use shoal_access::server::{ServerError, Vouched, verify};
use shoal_trust::schedule::FleetKeys;

use super::server::Server;

/// How long a connection, and each read of an answer, may take. An emulated box that starts its API answers in seconds.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The question: whoever is answered is known, and has an owner's rights; and the API has reached its store.
const QUESTION: &str = "/api/v1/nodes?limit=1";
/// The status of an HTTP answer: `HTTP/1.1 200`.
const STATUS: std::ops::Range<usize> = 9..12;
/// Between the head of an answer and its body.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// Bytes of an answer, at most: some hundred nodes as JSON.
const ANSWER_BYTES_MAX: u64 = 8 << 20;

/// Why an attempt has failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may go well later.
    NotYet(anyhow::Error),
    /// It is none of the fleet.
    Never(ServerError),
}

/// What is needed to try.
pub(super) struct Visit<'a> {
    server: &'a Server,
    verdict: Arc<Verdict>,
    config: Arc<ClientConfig>,
}

impl<'a> Visit<'a> {
    /// # Errors
    /// If TLS does not take the certificate or its key.
    pub(super) fn new(server: &'a Server, keys: FleetKeys, certificate: &Certificate, key: &KeyPair) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let verdict = Arc::new(Verdict { keys, algorithms: provider.signature_verification_algorithms, last: Mutex::new(None) });
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verdict.clone())
            .with_client_auth_cert(vec![certificate.der().clone()], key)?;
        // In a session that goes on from an earlier one no certificate is shown, and there would be nothing to judge.
        config.resumption = Resumption::disabled();
        Ok(Self { server, verdict, config: Arc::new(config) })
    }

    /// Tries once, for not much longer than until `deadline`.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn attempt(&self, deadline: Instant) -> Result<Vouched, Failure> {
        self.visit(QUESTION, deadline).map(|(vouched, _)| vouched)
    }

    /// The body of what is answered to a request for this path.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn get(&self, path: &str, deadline: Instant) -> Result<Vec<u8>, Failure> {
        let (_, answer) = self.visit(path, deadline)?;
        let body = answer.windows(HEAD_END.len()).position(|bytes| bytes == HEAD_END);
        body.map(|at| answer[at + HEAD_END.len()..].to_vec()).ok_or_else(|| Failure::NotYet(anyhow!("the API's answer has no end")))
    }

    fn visit(&self, path: &str, deadline: Instant) -> Result<(Vouched, Vec<u8>), Failure> {
        self.verdict.take();
        let answer = self.ask(path, deadline);
        match (self.verdict.take(), answer) {
            (Some(Err(error)), _) => Err(Failure::Never(error)),
            (Some(Ok(vouched)), Ok(answer)) if &answer[STATUS] == b"200" => Ok((vouched, answer)),
            (_, Ok(answer)) => Err(Failure::NotYet(refused(&answer[STATUS]))),
            (_, Err(error)) => Err(Failure::NotYet(error)),
        }
    }

    /// Asks, and gives the whole answer, which has a status.
    fn ask(&self, path: &str, deadline: Instant) -> Result<Vec<u8>> {
        let addresses = self.server.addresses().with_context(|| format!("nobody knows the address of {}", self.server))?;
        let mut stream = connect(&addresses, deadline)?;
        let connection = ClientConnection::new(self.config.clone(), self.server.host().clone())?;
        let mut stream = StreamOwned::new(connection, &mut stream);
        // HTTP/1.0 (RFC 1945): what is answered is not cut into chunks, and ends with the connection.
        let question = format!("GET {path} HTTP/1.0\r\nHost: {}\r\nAccept: application/json\r\n\r\n", self.server);
        stream.write_all(question.as_bytes()).context("the session ends before it begins")?;
        let mut answer = Vec::new();
        let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
        // A connection that just ends, without TLS's word for it, has been an answer if there is one.
        if answer.len() < STATUS.end {
            read.context("the API does not answer")?;
            return Err(anyhow!("the API does not answer"));
        }
        Ok(answer)
    }
}

/// What to say of a status other than 200.
fn refused(status: &[u8]) -> anyhow::Error {
    match status {
        b"401" => anyhow!(
            "the API does not take the owner's certificate: the box's clock is ahead by more than --hours, or its image was stamped with another operator's key"
        ),
        b"403" => anyhow!("the API knows its owner, and has not given the rights of one yet"),
        _ => anyhow!("the API is there, and not ready"),
    }
}

/// Connects to the first address that takes the connection.
fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream> {
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(address, patience(deadline)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(patience(deadline)))?;
                stream.set_write_timeout(Some(patience(deadline)))?;
                return Ok(stream);
            }
            Err(error) => last = Some((error, address)),
        }
    }
    let (error, address) = last.unwrap_or((io::ErrorKind::NotFound.into(), &addresses[0]));
    Err(anyhow::Error::from(error).context(format!("cannot connect to {address}")))
}

/// How long something may take: never nothing, which the system would take for ever.
fn patience(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(100), TIMEOUT)
}

/// Judges the server, and keeps the judgement: TLS passes on only that there was one.
struct Verdict {
    keys: FleetKeys,
    algorithms: WebPkiSupportedAlgorithms,
    last: Mutex<Option<Result<Vouched, ServerError>>>,
}

impl Verdict {
    fn take(&self) -> Option<Result<Vouched, ServerError>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl std::fmt::Debug for Verdict {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Verdict").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Verdict {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        address: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain: Vec<CertificateDer<'_>> = std::iter::once(own).chain(others).cloned().collect();
        let verdict = verify(&self.keys, &chain, address, now);
        let told = match &verdict {
            Ok(_) => Ok(ServerCertVerified::assertion()),
            Err(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
        told
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 alone is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
