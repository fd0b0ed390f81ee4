//! Certificates: what belongs together, and where they are needed.

use std::path::PathBuf;

use super::SettingsError;
use crate::url::MemberUrl;

/// Files in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Whose certificates the other side must have; `None` if it need not have one.
    pub(crate) authorities: Option<PathBuf>,
}

/// Files in PEM, for connections between members: all of them show a certificate to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerTlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) authority: PathBuf,
}

/// The files that three flags and a switch name, if they name any.
pub(super) fn tls(
    prefix: &'static str,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    authorities: Option<PathBuf>,
    required: bool,
) -> Result<Option<TlsFiles>, SettingsError> {
    if required && authorities.is_none() {
        return Err(SettingsError::NoAuthority { prefix });
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key, authorities })),
        (None, None) => Ok(None),
        _ => Err(SettingsError::HalfCertificate { prefix }),
    }
}

/// Unlike etcd, which then believes whatever authorities the system has: a member of this cluster is nobody that they know.
pub(super) fn between_members(files: TlsFiles) -> Result<PeerTlsFiles, SettingsError> {
    let TlsFiles { certificate, key, authorities } = files;
    let authority = authorities.ok_or(SettingsError::NoPeerAuthority)?;
    Ok(PeerTlsFiles { certificate, key, authority })
}

/// Whether there is a certificate if some URL has https.
pub(super) fn require_certificate(
    urls: &[MemberUrl],
    tls: Option<&TlsFiles>,
    flag: &'static str,
    prefix: &'static str,
) -> Result<(), SettingsError> {
    if tls.is_none() && urls.iter().any(|url| url.tls) { Err(SettingsError::NoCertificate { flag, prefix }) } else { Ok(()) }
}
