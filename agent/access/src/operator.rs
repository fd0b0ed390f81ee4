//! The operator's key as the authority of people's certificates.
//!
//! A box has the operator's public key alone, and kube-apiserver wants the authorities of its clients as certificates. So the box writes one down around the
//! key: a trust anchor, of which only name and key count (RFC 5280 §6.1.1 (d), RFC 5914). It is self-issued with a signature of zeros, which nobody verifies
//! and nobody could make. It follows from the key alone, so every box has the same.
//!
//! Certificates are valid from 1970: a box whose clock was reset is no reason to keep its owner out, and a certificate that is not there yet needs no date to
//! say so. They end by the box's clock.

use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SignatureAlgorithm, SigningKey, date_time_ymd,
};
use shoal_plane::certificates::{OWNER, OWNERS};
use shoal_trust::key::{OperatorKey, OperatorSecret, PUBLIC_KEY_BYTES, SIGNATURE_BYTES};
use shoal_trust::operator_certificate;

/// Name of the authority. It says nothing of whose it is: kube-apiserver tells it to everybody who connects.
const NAME: &str = "shoal operator";
/// "Has no well-defined expiration" (RFC 5280 §4.1.2.5) is the last second of this year.
const LAST_YEAR: i32 = 9999;

/// The trust anchor that stands for the operator with this key.
///
/// # Errors
/// If rcgen cannot write it.
pub fn authority(operator: &OperatorKey) -> Result<Certificate, rcgen::Error> {
    parameters().self_signed(&Anchor(operator.to_bytes()))
}

/// A certificate, for a client with this key, that is valid until so many seconds after 1970. Its user is [`OWNER`], of the group [`OWNERS`].
///
/// # Errors
/// If rcgen cannot write it.
pub fn issue(operator: &OperatorSecret, client: &KeyPair, until: u64) -> Result<Certificate, rcgen::Error> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::OrganizationName, OWNERS);
    parameters.distinguished_name.push(DnType::CommonName, OWNER);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    parameters.use_authority_key_identifier_extension = true;
    parameters.not_before = date_time_ymd(1970, 1, 1);
    parameters.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(until);
    parameters.signed_by(client, &Issuer::new(self::parameters(), Signer { secret: operator, public: operator.public().to_bytes() }))
}

fn parameters() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, NAME);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    parameters.not_before = date_time_ymd(1970, 1, 1);
    parameters.not_after = date_time_ymd(LAST_YEAR, 12, 31) + Duration::from_secs(24 * 60 * 60 - 1);
    parameters
}

/// A key that is known, and whose owner is not here.
struct Anchor([u8; PUBLIC_KEY_BYTES]);

impl PublicKeyData for Anchor {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl SigningKey for Anchor {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(vec![0; SIGNATURE_BYTES])
    }
}

/// The operator, as rcgen wants a signer.
struct Signer<'a> {
    secret: &'a OperatorSecret,
    public: [u8; PUBLIC_KEY_BYTES],
}

impl PublicKeyData for Signer<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl SigningKey for Signer<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        operator_certificate::sign(self.secret, message).map(Vec::from).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}
