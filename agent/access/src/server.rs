//! Whether a server that was never seen before is the API of a cluster of the fleet, by the certificates that it shows.
//!
//! It shows its own, which has the [voucher](crate::voucher), and its authority's. The voucher says that the fleet stands behind the authority, and the
//! authority's signature that it stands behind the server's certificate. That the server has its key is TLS's to verify.

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error as TlsError, RootCertStore};
use shoal_trust::fleet::Generation;
use shoal_trust::schedule::FleetKeys;
use thiserror::Error;

use crate::voucher;

/// A name that every kube-apiserver's certificate has: kube-apiserver's Service is called so.
pub const COMMON_NAME: &str = "kubernetes";

/// A server of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The certificate of the cluster's authority, in DER: what to trust from now on.
    pub authority: CertificateDer<'static>,
    /// The name to verify the server's certificate by, where it does not have the address that was asked for.
    pub name: Option<&'static str>,
}

/// Why a server is none of the fleet, as far as that can be known. Nothing that it says is to be believed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ServerError {
    /// No voucher at all.
    #[error("it shows no fleet's voucher: its box was never stamped and belongs to nobody, or it is no box of Shoal")]
    NoVoucher,
    /// One that is not this fleet's.
    #[error("it shows a voucher that is not of this fleet: it belongs to another fleet, or is not what it says")]
    OtherFleet,
    /// One of another join secret. Not proven.
    #[error("it says that it was stamped with join secret {theirs}, and the fleet file has {ours}")]
    OtherGeneration {
        /// What it says.
        theirs: Generation,
        /// What the fleet file has.
        ours: Generation,
    },
    /// The voucher is right, and the server's certificate not one of that authority: it was copied.
    #[error("it shows the voucher of a cluster of this fleet, and its certificate is not one of that cluster: somebody is in between")]
    Copied(#[source] TlsError),
    /// Its certificate is not valid now.
    #[error("it is of this fleet, and its certificate is not valid now: compare the box's clock with that of this machine")]
    Expired(#[source] TlsError),
    /// Something else is wrong with its certificate.
    #[error("its certificate cannot be verified")]
    Certificate(#[source] TlsError),
}

/// Verifies what a server has shown: its own certificate first. `address` is where it was reached.
///
/// # Errors
/// [`ServerError`].
pub fn verify(keys: &FleetKeys, chain: &[CertificateDer<'_>], address: &ServerName<'_>, now: UnixTime) -> Result<Vouched, ServerError> {
    let (own, others) = chain.split_first().ok_or(ServerError::NoVoucher)?;
    let certificate = ParsedCertificate::try_from(own).map_err(ServerError::Certificate)?;
    let is_vouched_for = |other: &&CertificateDer<'_>| {
        ServerName::try_from(voucher::name(keys, other)).is_ok_and(|name| verify_server_name(&certificate, &name).is_ok())
    };
    let Some(authority) = others.iter().find(is_vouched_for) else {
        return Err(match voucher::claimed(own) {
            None => ServerError::NoVoucher,
            Some(theirs) if theirs != keys.generation() => ServerError::OtherGeneration { theirs, ours: keys.generation() },
            Some(_) => ServerError::OtherFleet,
        });
    };
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(ServerError::Certificate)?;
    let algorithms = ring::default_provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&certificate, &roots, &[], now, algorithms).map_err(|error| match &error {
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => ServerError::Copied(error),
        TlsError::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => ServerError::Expired(error),
        _ => ServerError::Certificate(error),
    })?;
    let name = if verify_server_name(&certificate, address).is_ok() {
        None
    } else {
        let name = ServerName::try_from(COMMON_NAME).map_err(|_| ServerError::NoVoucher)?;
        verify_server_name(&certificate, &name).map_err(ServerError::Certificate)?;
        Some(COMMON_NAME)
    };
    Ok(Vouched { authority: authority.clone().into_owned(), name })
}
