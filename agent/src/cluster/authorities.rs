//! The cluster's authorities and other lasting secrets: made once, by the first node that needs them, and the same on every node since.
//!
//! They are one value in the store ([`super::shared`]), so they are whole or not there, and whoever comes second is given what the first one made.
//! What programs read of them is written below `/run` with each boot.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shoal_formation_shell::state::{StateError, SystemEntropy, random};
use shoal_plane::certificates::Authority;
use shoal_plane::ranges::Range;
use shoal_plane::{CLIENT_AUTHORITIES, Cluster};

use super::files;

/// An authority is valid from a day before the image was built, for a clock that is a little slow, and for 20 years.
const EARLIER_SECONDS: i64 = 24 * 60 * 60;
const LIFETIME_SECONDS: i64 = 20 * 365 * 24 * 60 * 60;
/// Bytes of the key that encrypts Secrets (secretbox).
const ENCRYPTION_KEY_BYTES: usize = 32;
/// Digits of the cluster's id that authorities' names have, so that those of two clusters differ.
const NAME_DIGITS: usize = 8;
const PUBLIC: u32 = 0o644;
const PRIVATE: u32 = 0o600;

/// Why they cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthoritiesError {
    /// What the store has is not readable. Nothing is made in its place: Secrets could not be read with it.
    #[error("the cluster's authorities, as its store has them, are damaged: restore the cluster from a backup")]
    Record(#[source] serde_json::Error),
    /// One is missing in what the store has.
    #[error("the cluster's authorities, as its store has them, lack {0}: restore the cluster from a backup")]
    Missing(&'static str),
    /// A key is not readable, or a certificate cannot be made.
    #[error("{what} cannot be used")]
    Key {
        /// Which.
        what: &'static str,
        /// What is wrong with it.
        source: rcgen::Error,
    },
    /// There are no random numbers.
    #[error(transparent)]
    Random(#[from] StateError),
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A key and what goes with it, in PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Pair {
    /// A certificate, or a public key.
    public: String,
    key: String,
}

/// The authorities of a cluster, and what was settled with them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Authorities {
    /// What was settled with them.
    pub(crate) cluster: Cluster,
    /// From when they and everything that they sign are valid, in seconds since 1970.
    pub(crate) not_before: i64,
    /// What Secrets are encrypted with, in base64.
    pub(crate) encryption_key: String,
    service_accounts: Pair,
    authorities: BTreeMap<String, Pair>,
}

impl fmt::Debug for Authorities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authorities").field("cluster", &self.cluster).field("not_before", &self.not_before).finish_non_exhaustive()
    }
}

fn usable<T>(what: &'static str, result: Result<T, rcgen::Error>) -> Result<T, AuthoritiesError> {
    result.map_err(|source| AuthoritiesError::Key { what, source })
}

impl Authorities {
    /// New ones for the cluster with this id (32 hexadecimal digits). `build_time` in seconds since 1970; the ranges are those of pods and Services.
    ///
    /// # Errors
    /// [`AuthoritiesError::Key`], [`AuthoritiesError::Random`].
    pub(crate) fn new(id: String, build_time: i64, (pods, services): (Range, Range)) -> Result<Self, AuthoritiesError> {
        let not_before = build_time.saturating_sub(EARLIER_SECONDS);
        let mut authorities = BTreeMap::new();
        for authority in Authority::ALL {
            let name = authority.name();
            let key = usable(name, KeyPair::generate())?;
            let certificate = usable(name, parameters(authority, &id, not_before).self_signed(&key))?;
            authorities.insert(name.to_owned(), Pair { public: certificate.pem(), key: key.serialize_pem() });
        }
        let key = usable("the key of service accounts", KeyPair::generate())?;
        Ok(Self {
            cluster: Cluster { id, pods, services },
            not_before,
            encryption_key: BASE64.encode(&random::<ENCRYPTION_KEY_BYTES>(&mut SystemEntropy::default())?),
            service_accounts: Pair { public: key.public_key_pem(), key: key.serialize_pem() },
            authorities,
        })
    }

    /// From what [`Authorities::to_bytes`] gave.
    ///
    /// # Errors
    /// [`AuthoritiesError::Record`].
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, AuthoritiesError> {
        serde_json::from_slice(bytes).map_err(AuthoritiesError::Record)
    }

    /// All of them, secrets included.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_else(|error| unreachable!("authorities are plain data: {error}"))
    }

    fn pair(&self, authority: Authority) -> Result<&Pair, AuthoritiesError> {
        self.authorities.get(authority.name()).ok_or(AuthoritiesError::Missing(authority.name()))
    }

    /// What signs in the authority's name, and the fingerprint of its certificate.
    ///
    /// # Errors
    /// [`AuthoritiesError`] if its key cannot be used.
    pub(crate) fn issuer(&self, authority: Authority) -> Result<(Issuer<'static, KeyPair>, String), AuthoritiesError> {
        let pair = self.pair(authority)?;
        let key = usable(authority.name(), KeyPair::from_pem(&pair.key))?;
        let fingerprint = HEXLOWER.encode(&Sha256::digest(&pair.public));
        Ok((Issuer::new(parameters(authority, &self.cluster.id, self.not_before), key), fingerprint))
    }

    /// Certificate of an authority, in PEM.
    ///
    /// # Errors
    /// [`AuthoritiesError::Missing`].
    pub(crate) fn certificate(&self, authority: Authority) -> Result<&str, AuthoritiesError> {
        Ok(&self.pair(authority)?.public)
    }

    /// Writes what programs read of them into `directory`: the authorities' certificates, and the key of service accounts. No authority's key. `owner` is the
    /// certificate, in PEM, of one more authority of kube-apiserver's clients.
    ///
    /// # Errors
    /// [`AuthoritiesError`].
    pub(crate) fn write(&self, directory: &Path, owner: Option<&str>) -> Result<(), AuthoritiesError> {
        let failed = |path: &Path, source| AuthoritiesError::Write { path: path.to_owned(), source };
        files::make_directory(directory).map_err(|source| failed(directory, source))?;
        let write = |name: &str, mode: u32, contents: &str| {
            let path = directory.join(name);
            files::replace(&path, mode, contents.as_bytes()).map_err(|source| failed(&path, source))
        };
        for authority in Authority::ALL {
            write(&format!("{}.crt", authority.name()), PUBLIC, self.certificate(authority)?)?;
        }
        let clients = format!("{}{}", self.certificate(Authority::Kubernetes)?, owner.unwrap_or_default());
        write(CLIENT_AUTHORITIES, PUBLIC, &clients)?;
        write("service-account.key", PRIVATE, &self.service_accounts.key)?;
        write("service-account.pub", PUBLIC, &self.service_accounts.public)
    }
}

/// An authority's certificate, without its key. The same for its whole life: what it signs names it by this.
fn parameters(authority: Authority, cluster: &str, not_before: i64) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    let digits = cluster.get(..NAME_DIGITS).unwrap_or(cluster);
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, format!("shoal {} {digits}", authority.name()));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let first = date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(not_before).unwrap_or(0));
    parameters.not_before = first;
    parameters.not_after = first + Duration::from_secs(LIFETIME_SECONDS.unsigned_abs());
    parameters
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const BUILD: i64 = 1_763_856_000;

    pub(crate) fn authorities() -> Authorities {
        Authorities::new("0123456789abcdef0123456789abcdef".to_owned(), BUILD, shoal_plane::ranges::choose(&[])).unwrap()
    }

    #[test]
    fn they_are_the_same_once_they_were_bytes() {
        let first = authorities();
        let second = Authorities::from_bytes(&first.to_bytes()).unwrap();
        assert_eq!(first, second);
        assert_eq!(first.issuer(Authority::Store).unwrap().1, second.issuer(Authority::Store).unwrap().1);
        assert_ne!(first.issuer(Authority::Store).unwrap().1, first.issuer(Authority::Kubernetes).unwrap().1);
        assert_eq!(first.not_before, BUILD - 86_400);
    }

    #[test]
    fn nothing_secret_is_shown_and_no_authoritys_key_is_written() {
        let authorities = authorities();
        assert!(!format!("{authorities:?}").contains("KEY"));
        let place = tempfile::tempdir().unwrap();
        authorities.write(place.path(), None).unwrap();
        let names: Vec<String> =
            std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let keys: Vec<&String> =
            names.iter().filter(|name| std::fs::read_to_string(place.path().join(name)).unwrap().contains("PRIVATE")).collect();
        assert_eq!((names.len(), keys), (6, vec![&"service-account.key".to_owned()]));
        let mode = std::fs::metadata(place.path().join("service-account.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PRIVATE);
    }

    #[test]
    fn damage_is_said_and_nothing_is_made_in_its_place() {
        let whole = authorities().to_bytes();
        assert!(matches!(Authorities::from_bytes(&whole[..whole.len() / 2]), Err(AuthoritiesError::Record(_))));
        let mut lacking = authorities();
        lacking.authorities.remove(Authority::Store.name());
        assert!(lacking.issuer(Authority::Store).unwrap_err().to_string().contains("lack store-ca"));
    }
}
