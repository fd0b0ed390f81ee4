//! The cluster's authorities and other lasting secrets: made once, when it is founded, and whole or not at all.
//!
//! They are made in `authorities.new`, flushed, and become `authorities` by one rename. What a power cut leaves of the former is thrown away: nothing
//! was ever signed with it. If they are gone while the store's data is there, nothing new is made: that cluster's Secrets could not be read with it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shoal_plane::Cluster;
use shoal_plane::certificates::Authority;
use shoal_plane::ranges::Range;

use super::files;

/// An authority is valid from a day before the image was built, for a clock that is a little slow, and for 20 years.
const EARLIER_SECONDS: i64 = 24 * 60 * 60;
const LIFETIME_SECONDS: i64 = 20 * 365 * 24 * 60 * 60;
/// Bytes of the cluster's id, and of the key that encrypts Secrets (secretbox: 32).
const ID_BYTES: usize = 16;
const ENCRYPTION_KEY_BYTES: usize = 32;
/// Digits of the id that authorities' names have, so that those of two clusters differ.
const NAME_DIGITS: usize = 8;
const PUBLIC: u32 = 0o644;
const PRIVATE: u32 = 0o600;
const RECORD: &str = "cluster.json";
const ENCRYPTION_KEY: &str = "encryption.key";

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthoritiesError {
    /// A file or a directory cannot be read or written.
    #[error("cannot read or write {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The record is not readable. Nothing is made in its place.
    #[error("{} is damaged: restore the state partition from a backup, or write the image anew to found another cluster", path.display())]
    Record {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A key is not readable, or a certificate cannot be made.
    #[error("{what} cannot be used")]
    Key {
        /// Which.
        what: String,
        /// What is wrong with it.
        source: rcgen::Error,
    },
    /// The store has data of a cluster whose authorities are gone.
    #[error(
        "{} has a cluster's data, but its authorities are gone: restore the state partition from a backup, or write the image anew to found another \
         cluster", store.display()
    )]
    Gone {
        /// The store's directory.
        store: PathBuf,
    },
}

/// What is written down beside them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Record {
    cluster: Cluster,
    /// From when authorities and all they sign are valid, in seconds since 1970.
    not_before: i64,
}

/// The authorities of this node's cluster.
#[derive(Debug)]
pub(crate) struct Authorities {
    /// What was settled with them.
    pub(crate) cluster: Cluster,
    /// From when everything that they sign is valid, in seconds since 1970.
    pub(crate) not_before: i64,
    /// What Secrets are encrypted with, in base64.
    pub(crate) encryption_key: String,
    directory: PathBuf,
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, AuthoritiesError> {
    result.map_err(|source| AuthoritiesError::File { path: path.to_owned(), source })
}

fn usable<T>(what: &str, result: Result<T, rcgen::Error>) -> Result<T, AuthoritiesError> {
    result.map_err(|source| AuthoritiesError::Key { what: what.to_owned(), source })
}

impl Authorities {
    /// Those below `state`; founds a cluster if there are none. `choose` gives the ranges of pods and Services.
    ///
    /// # Errors
    /// [`AuthoritiesError`]. What is there stays as it is.
    pub(crate) fn open_or_found(state: &Path, build_time: i64, choose: impl FnOnce() -> (Range, Range)) -> Result<Self, AuthoritiesError> {
        let directory = state.join("authorities");
        if !at(&directory, directory.try_exists())? {
            let store = state.join("store");
            if at(&store, store.try_exists())? {
                return Err(AuthoritiesError::Gone { store });
            }
            found(state, &directory, build_time, choose())?;
        }
        let path = directory.join(RECORD);
        let text = at(&path, fs::read(&path))?;
        let record: Record = serde_json::from_slice(&text).map_err(|source| AuthoritiesError::Record { path, source })?;
        let path = directory.join(ENCRYPTION_KEY);
        let encryption_key = at(&path, fs::read_to_string(&path))?.trim_end().to_owned();
        Ok(Self { cluster: record.cluster, not_before: record.not_before, encryption_key, directory })
    }

    /// What signs in the authority's name, and the fingerprint of its certificate.
    ///
    /// # Errors
    /// [`AuthoritiesError`] if its files cannot be used.
    pub(crate) fn issuer(&self, authority: Authority) -> Result<(Issuer<'static, KeyPair>, String), AuthoritiesError> {
        let name = authority.name();
        let path = self.directory.join(format!("{name}.key"));
        let key = usable(name, KeyPair::from_pem(&at(&path, fs::read_to_string(&path))?))?;
        let path = self.directory.join(format!("{name}.crt"));
        let fingerprint = HEXLOWER.encode(&Sha256::digest(at(&path, fs::read(&path))?));
        Ok((Issuer::new(parameters(authority, &self.cluster.id, self.not_before), key), fingerprint))
    }
}

fn found(state: &Path, directory: &Path, build_time: i64, (pods, services): (Range, Range)) -> Result<(), AuthoritiesError> {
    let new = state.join("authorities.new");
    match fs::remove_dir_all(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return at(&new, Err(error)),
        _ => {}
    }
    at(&new, files::make_directory(&new))?;
    let write = |name: &str, mode: u32, contents: &str| {
        let path = new.join(name);
        at(&path, files::write_durably(&path, mode, contents.as_bytes()))
    };

    let id = HEXLOWER.encode(&random::<ID_BYTES>());
    let not_before = build_time.saturating_sub(EARLIER_SECONDS);
    for authority in Authority::ALL {
        let name = authority.name();
        let key = usable(name, KeyPair::generate())?;
        let certificate = usable(name, parameters(authority, &id, not_before).self_signed(&key))?;
        write(&format!("{name}.key"), PRIVATE, &key.serialize_pem())?;
        write(&format!("{name}.crt"), PUBLIC, &certificate.pem())?;
    }
    let key = usable("the key of service accounts", KeyPair::generate())?;
    write("service-account.key", PRIVATE, &key.serialize_pem())?;
    write("service-account.pub", PUBLIC, &key.public_key_pem())?;
    write(ENCRYPTION_KEY, PRIVATE, &format!("{}\n", BASE64.encode(&random::<ENCRYPTION_KEY_BYTES>())))?;
    let record = Record { cluster: Cluster { id, pods, services }, not_before };
    let text = serde_json::to_string_pretty(&record).unwrap_or_else(|error| unreachable!("a record is plain data: {error}"));
    write(RECORD, PUBLIC, &text)?;

    at(&new, files::flush(&new))?;
    at(directory, fs::rename(&new, directory))?;
    at(state, files::flush(state))
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

/// Bytes that nobody can guess.
fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    // Up to 256 bytes come whole, once the kernel's generator is seeded (getrandom(2)).
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(count) if count == BYTES => bytes,
        other => panic!("the kernel gives no random bytes: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: i64 = 1_763_856_000;

    fn ranges() -> (Range, Range) {
        shoal_plane::ranges::choose(&[])
    }

    fn open(state: &Path) -> Result<Authorities, AuthoritiesError> {
        Authorities::open_or_found(state, BUILD, ranges)
    }

    #[test]
    fn a_cluster_is_founded_once_and_found_again() {
        let state = tempfile::tempdir().unwrap();
        let first = open(state.path()).unwrap();
        let second = Authorities::open_or_found(state.path(), BUILD + 1, || panic!("they are there")).unwrap();
        assert_eq!((first.cluster.clone(), first.not_before), (second.cluster.clone(), second.not_before));
        assert_eq!(first.encryption_key, second.encryption_key);
        assert_eq!(first.issuer(Authority::Store).unwrap().1, second.issuer(Authority::Store).unwrap().1);
        assert_ne!(first.issuer(Authority::Store).unwrap().1, first.issuer(Authority::Kubernetes).unwrap().1);
        assert_eq!(first.not_before, BUILD - 86_400);
    }

    #[test]
    fn what_a_power_cut_left_of_a_founding_is_not_used() {
        let state = tempfile::tempdir().unwrap();
        let half = state.path().join("authorities.new");
        fs::create_dir(&half).unwrap();
        fs::write(half.join("kubernetes-ca.key"), "torn").unwrap();
        let authorities = open(state.path()).unwrap();
        Authority::ALL.iter().for_each(|authority| drop(authorities.issuer(*authority).unwrap()));
        assert!(!half.exists());
    }

    #[test]
    fn a_cluster_whose_authorities_are_gone_is_not_founded_anew() {
        let state = tempfile::tempdir().unwrap();
        open(state.path()).unwrap();
        fs::create_dir(state.path().join("store")).unwrap();
        fs::remove_dir_all(state.path().join("authorities")).unwrap();
        assert!(matches!(open(state.path()), Err(AuthoritiesError::Gone { .. })));
        assert!(!state.path().join("authorities").exists());
    }

    #[test]
    fn keys_are_roots_alone() {
        use std::os::unix::fs::PermissionsExt;
        let state = tempfile::tempdir().unwrap();
        open(state.path()).unwrap();
        for entry in fs::read_dir(state.path().join("authorities")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "key") {
                assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
            }
        }
    }
}
