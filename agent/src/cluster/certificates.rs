//! The node's certificates: issued when they are due, and kept beside a record of what they were issued for.
//!
//! Nothing here is flushed, and nothing need be: the record has the hashes of the certificate and of its key, so what a power cut tore is seen to be
//! torn and issued anew.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shoal_plane::certificates::Certificate;
use shoal_plane::renewal::{self, LIFETIME_SECONDS, Record};

use super::authorities::{Authorities, AuthoritiesError};
use super::files;

const PUBLIC: u32 = 0o644;
const PRIVATE: u32 = 0o600;

/// Why a certificate cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificatesError {
    /// Its authority cannot sign.
    #[error("certificate {name} cannot be issued")]
    Authority {
        /// Which.
        name: String,
        /// What is wrong.
        source: AuthoritiesError,
    },
    /// It cannot be made of what is wanted.
    #[error("certificate {name} cannot be issued")]
    Issue {
        /// Which.
        name: String,
        /// What is wrong.
        source: rcgen::Error,
    },
    /// It cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What is kept of one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Kept {
    record: Record,
    certificate_sha256: String,
    key_sha256: String,
}

fn fingerprint(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Sees to it that every wanted certificate is in `directory` and lasts; gives the fingerprint of each by its name. `now` in seconds since 1970.
///
/// # Errors
/// [`CertificatesError`]; those before the one it names are there.
pub(crate) fn ensure(
    directory: &Path,
    authorities: &Authorities,
    wanted: &[Certificate],
    now: i64,
) -> Result<BTreeMap<String, String>, CertificatesError> {
    files::make_directory(directory).map_err(|source| CertificatesError::Write { path: directory.to_owned(), source })?;
    let mut fingerprints = BTreeMap::new();
    for certificate in wanted {
        let name = &certificate.name;
        let authority = authorities.issuer(certificate.authority);
        let (issuer, issuer_fingerprint) = authority.map_err(|source| CertificatesError::Authority { name: name.clone(), source })?;
        let kept = read(directory, name);
        let due = renewal::due(certificate, &issuer_fingerprint, kept.as_ref().map(|kept| &kept.record), now);
        let kept = match (kept, due) {
            (Some(kept), None) => kept,
            (_, due) => {
                tracing::info!("issuing certificate {name}: {due:?}");
                let record = Record {
                    certificate: certificate.clone(),
                    issuer: issuer_fingerprint,
                    issued_at: now,
                    not_after: now.saturating_add(LIFETIME_SECONDS),
                };
                let shown_with = if certificate.with_authority { authorities.certificate(certificate.authority) } else { Ok("") };
                let shown_with = shown_with.map_err(|source| CertificatesError::Authority { name: name.clone(), source })?;
                issue(directory, record, &issuer, (authorities.not_before, shown_with))?
            }
        };
        fingerprints.insert(name.clone(), kept.certificate_sha256);
    }
    Ok(fingerprints)
}

/// A certificate that is there whole, with its key.
fn read(directory: &Path, name: &str) -> Option<Kept> {
    let bytes = |extension: &str| fs::read(directory.join(format!("{name}.{extension}"))).ok();
    let kept: Kept = serde_json::from_slice(&bytes("json")?).ok()?;
    let whole = fingerprint(&bytes("crt")?) == kept.certificate_sha256 && fingerprint(&bytes("key")?) == kept.key_sha256;
    whole.then_some(kept)
}

/// Issues one, valid from `not_before` on; `shown_with` comes behind it in its file.
fn issue(
    directory: &Path,
    record: Record,
    issuer: &Issuer<'_, KeyPair>,
    (not_before, shown_with): (i64, &str),
) -> Result<Kept, CertificatesError> {
    let name = record.certificate.name.clone();
    let failed = |source| CertificatesError::Issue { name: name.clone(), source };
    let key = KeyPair::generate().map_err(failed)?;
    let parameters = parameters(&record, not_before).map_err(failed)?;
    let certificate = parameters.signed_by(&key, issuer).map_err(failed)?.pem() + shown_with;
    let key = key.serialize_pem();
    let write = |extension: &str, mode: u32, contents: &[u8]| {
        let path = directory.join(format!("{name}.{extension}"));
        files::replace(&path, mode, contents).map_err(|source| CertificatesError::Write { path, source })
    };
    write("key", PRIVATE, key.as_bytes())?;
    write("crt", PUBLIC, certificate.as_bytes())?;
    let kept = Kept { record, certificate_sha256: fingerprint(certificate.as_bytes()), key_sha256: fingerprint(key.as_bytes()) };
    let text = serde_json::to_vec_pretty(&kept).unwrap_or_else(|error| unreachable!("a record is plain data: {error}"));
    write("json", PUBLIC, &text)?;
    Ok(kept)
}

fn parameters(record: &Record, not_before: i64) -> Result<CertificateParams, rcgen::Error> {
    let wanted = &record.certificate;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    if let Some(organization) = &wanted.organization {
        parameters.distinguished_name.push(DnType::OrganizationName, organization.as_str());
    }
    parameters.distinguished_name.push(DnType::CommonName, wanted.common_name.as_str());
    for name in &wanted.dns_names {
        parameters.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
    }
    parameters.subject_alt_names.extend(wanted.addresses.iter().copied().map(SanType::IpAddress));
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages.extend(wanted.server.then_some(ExtendedKeyUsagePurpose::ServerAuth));
    parameters.extended_key_usages.extend(wanted.client.then_some(ExtendedKeyUsagePurpose::ClientAuth));
    parameters.use_authority_key_identifier_extension = true;
    let time = |seconds: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    // As early as the authority itself, so that a slow clock never sees a certificate that is not valid yet.
    (parameters.not_before, parameters.not_after) = (time(not_before), time(record.not_after));
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use shoal_plane::{Cluster, Observed, Policy, Role};

    use super::*;
    use crate::cluster::authorities::tests::authorities;

    const BUILD: i64 = 1_763_856_000;
    const DAY: i64 = 86_400;

    struct Node {
        state: tempfile::TempDir,
        authorities: Authorities,
        wanted: Vec<Certificate>,
    }

    fn node() -> Node {
        let (state, authorities) = (tempfile::tempdir().unwrap(), authorities());
        let wanted = wanted(&authorities.cluster, [10, 0, 0, 5]);
        Node { state, authorities, wanted }
    }

    fn wanted(cluster: &Cluster, address: [u8; 4]) -> Vec<Certificate> {
        let observed = Observed {
            role: Role::ControlPlane,
            node: "shoal-1".into(),
            ordinal: 0,
            addresses: vec![address.into()],
            name_servers: Vec::new(),
        };
        shoal_plane::plan(&Policy::default(), cluster, &observed).certificates
    }

    impl Node {
        fn ensure(&self, now: i64) -> BTreeMap<String, String> {
            ensure(self.state.path(), &self.authorities, &self.wanted, now).unwrap()
        }
    }

    #[test]
    fn certificates_are_kept_until_they_are_old() {
        let node = node();
        let first = node.ensure(BUILD);
        assert_eq!(first.len(), node.wanted.len());
        assert_eq!(node.ensure(BUILD + 100 * DAY), first);
        let later = node.ensure(BUILD + 200 * DAY);
        assert!(first.iter().all(|(name, fingerprint)| later[name] != *fingerprint));
    }

    #[test]
    fn another_address_takes_only_new_certificates_that_name_it() {
        let mut node = node();
        let first = node.ensure(BUILD);
        node.wanted = wanted(&node.authorities.cluster, [10, 0, 0, 6]);
        let second = node.ensure(BUILD);
        let changed: Vec<&String> = first.keys().filter(|name| first[*name] != second[*name]).collect();
        assert_eq!(changed, ["kube-apiserver", "kubelet-server"]);
    }

    #[test]
    fn what_is_torn_is_issued_anew() {
        let node = node();
        let first = node.ensure(BUILD);
        for file in ["admin.key", "kubelet.crt", "kube-proxy.json"] {
            let path = node.state.path().join(file);
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        }
        let second = node.ensure(BUILD);
        let changed: Vec<&String> = first.keys().filter(|name| first[*name] != second[*name]).collect();
        assert_eq!(changed, ["admin", "kube-proxy", "kubelet"]);
    }
}
