//! TLS 1.3 with raw public keys (RFC 7250) on both sides. Whoever has a usable Ed25519 key gets through here: TLS proves which key a peer has, and who may
//! have a session is decided afterwards.

use std::sync::Arc;

use shoal_trust::key::{NodeKey, NodeSecret};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::{
        AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::TLS13,
};
use zeroize::Zeroizing;

/// Sessions that carry frames of formation.
pub const ALPN_FORMATION: &[u8] = b"shoal-formation/1";

/// Sessions that carry raft.
pub const ALPN_RAFT: &[u8] = b"shoal-raft/1";

/// What stands before the 32 bytes of a secret key in PKCS #8 (RFC 8410 §7).
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// TLS does not take what it is given: a bug here, or in the library.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up with the node's key")]
pub struct TlsError(#[source] Error);

/// Both directions, with one key.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) own: NodeKey,
    pub(crate) server: Arc<ServerConfig>,
    /// For formation, and for raft.
    pub(crate) client: [Arc<ClientConfig>; 2],
}

impl Tls {
    pub(crate) fn new(secret: &NodeSecret) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let key = certified(secret, &provider).map_err(TlsError)?;
        let verifier = Arc::new(AnyNode { algorithms: provider.signature_verification_algorithms });
        let client = |protocol| client(&provider, &verifier, &key, protocol).map_err(TlsError);
        Ok(Self {
            own: *secret.public(),
            server: Arc::new(server(&provider, &verifier, &key).map_err(TlsError)?),
            client: [Arc::new(client(ALPN_FORMATION)?), Arc::new(client(ALPN_RAFT)?)],
        })
    }
}

fn certified(secret: &NodeSecret, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let mut document = Zeroizing::new(Vec::with_capacity(PKCS8_PREFIX.len() + 32));
    document.extend_from_slice(&PKCS8_PREFIX);
    document.extend_from_slice(&*secret.expose());
    let key = provider.key_provider.load_private_key(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(document.to_vec())))?;
    let shown = CertificateDer::from(secret.public().to_spki().to_vec());
    Ok(Arc::new(CertifiedKey::new(vec![shown], key)))
}

fn server(provider: &Arc<CryptoProvider>, verifier: &Arc<AnyNode>, key: &Arc<CertifiedKey>) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier.clone())
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key.clone())));
    config.alpn_protocols = [ALPN_FORMATION, ALPN_RAFT].map(<[u8]>::to_vec).into();
    // A resumed session would prove no key, and export what another one has exported.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(
    provider: &Arc<CryptoProvider>,
    verifier: &Arc<AnyNode>,
    key: &Arc<CertifiedKey>,
    protocol: &[u8],
) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone())
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key.clone())));
    config.alpn_protocols = vec![protocol.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

/// Takes each usable Ed25519 key, and the signature that proves it.
#[derive(Debug)]
struct AnyNode {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyNode {
    fn is_key(shown: &CertificateDer<'_>) -> Result<(), Error> {
        NodeKey::from_spki(shown).map(drop).map_err(|_| CertificateError::BadEncoding.into())
    }

    fn signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(message, &SubjectPublicKeyInfoDer::from(shown.as_ref()), signed, &self.algorithms)
    }
}

/// TLS 1.2 is never spoken, and has no raw public keys here.
const NO_TLS12: Error = Error::PeerIncompatible(tokio_rustls::rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13);

impl ServerCertVerifier for AnyNode {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Self::is_key(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(NO_TLS12)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, shown, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for AnyNode {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Self::is_key(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(NO_TLS12)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, shown, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
