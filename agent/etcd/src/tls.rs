//! TLS with clients and between members: certificates from files, as etcd's flags name them. A certificate that is renewed in its file is used
//! from the next connection on.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::SystemTime,
};

use shoal_cluster::transport::Tls;
pub use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore, SignatureScheme,
    client::ResolvesClientCert,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier},
    sign::CertifiedKey,
};

/// The protocols offered, in order.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as what it should be.
    #[error("cannot read {} as PEM", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// A file has no certificate in it.
    #[error("no certificate in {}: give a file with one in PEM (-----BEGIN CERTIFICATE-----)", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate and a key that do not belong together, or that this server cannot use.
    #[error("cannot use the certificate in {} with the key in {}", certificate.display(), key.display())]
    Key {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// A certificate that is no authority.
    #[error("cannot trust the certificates in {}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// Nobody's certificate could be verified.
    #[error("cannot verify clients by the certificates in {}", path.display())]
    Verifier {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: VerifierBuilderError,
    },
    /// The provider does not have what is asked of it.
    #[error("this build has no usable TLS version")]
    Versions(#[source] rustls::Error),
}

/// A configuration for [`crate::serve()`]. With `client_ca`, clients must have a certificate from one of the authorities in that file.
///
/// # Errors
/// [`TlsError`].
pub fn server_config(certificate: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let renewed = Renewed::load(certificate, key, provider.clone())?;
    let mut config = server(Arc::new(renewed), client_ca, provider)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

/// Configurations for both ends of connections between members, who all have a certificate from one of the authorities in `peer_ca`. A member
/// shows the same one to whom it connects to and to whoever connects to it.
///
/// # Errors
/// [`TlsError`].
pub fn peer_configs(certificate: &Path, key: &Path, peer_ca: &Path) -> Result<Tls, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let renewed = Arc::new(Renewed::load(certificate, key, provider.clone())?);
    let client = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().map_err(TlsError::Versions)?;
    let client = client.with_root_certificates(authorities(peer_ca)?).with_client_cert_resolver(renewed.clone());
    Ok(Tls { client: Arc::new(client), server: Arc::new(server(renewed, Some(peer_ca), provider)?) })
}

fn server(renewed: Arc<Renewed>, ca: Option<&Path>, provider: Arc<CryptoProvider>) -> Result<ServerConfig, TlsError> {
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().map_err(TlsError::Versions)?;
    let builder = match ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(authorities(path)?.into(), provider)
                .build()
                .map_err(|source| TlsError::Verifier { path: path.to_owned(), source })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    Ok(builder.with_cert_resolver(renewed))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = |source| TlsError::Read { path: path.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(path).map_err(read)?.collect::<Result<Vec<_>, _>>().map_err(read)?;
    if certificates.is_empty() { Err(TlsError::NoCertificate { path: path.to_owned() }) } else { Ok(certificates) }
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(path)? {
        authorities.add(certificate).map_err(|source| TlsError::Authority { path: path.to_owned(), source })?;
    }
    Ok(authorities)
}

/// A certificate that is read again when its files have changed.
#[derive(Debug)]
struct Renewed {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    /// When the two files were changed last, at the time they were read.
    changed: [Option<SystemTime>; 2],
    certified: Arc<CertifiedKey>,
}

impl Renewed {
    fn load(certificate: &Path, key: &Path, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let current = Mutex::new(Loaded::read(certificate, key, &provider)?);
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), provider, current })
    }

    /// What is in the files now, or was when they were last good.
    fn current(&self) -> Arc<CertifiedKey> {
        let mut current = self.current.lock().expect("nobody panics while holding it");
        if current.changed != [&self.certificate, &self.key].map(|path| changed(path)) {
            match Loaded::read(&self.certificate, &self.key, &self.provider) {
                Ok(loaded) => *current = loaded,
                // The two files cannot change at once. What was good a moment ago still is.
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the changed certificate cannot be used yet"),
            }
        }
        current.certified.clone()
    }
}

impl Loaded {
    fn read(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<Self, TlsError> {
        // Looked up before the files are read: a change in between is seen the next time.
        let changed = [certificate, key].map(changed);
        let chain = certificates(certificate)?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::Read { path: key.to_owned(), source })?;
        let certified = CertifiedKey::from_der(chain, private, provider).map_err(|source| TlsError::Key {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        })?;
        Ok(Self { changed, certified: Arc::new(certified) })
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

impl ResolvesServerCert for Renewed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl ResolvesClientCert for Renewed {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
