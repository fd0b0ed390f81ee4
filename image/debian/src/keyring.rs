//! Pinned OpenPGP keys, and the policy by which a cleartext signature of one of them counts.
//!
//! rPGP checks signatures; what it leaves to its callers is decided here: which keys count, that they are bound to their certificate, may
//! sign, were valid when they signed, and that the hash is a strong one. See RFC 9580, sections 5.2, 7 and 10.1.

use pgp::composed::{CleartextSignedMessage, PublicOrSecret, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureType};
use pgp::types::{KeyDetails, Tag};

/// Certificates of an archive.
#[derive(Debug)]
pub(crate) struct Keyring {
    certificates: Vec<SignedPublicKey>,
}

/// Why no signature counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No signature is by a pinned key; the issuers.
    UnknownKeys(Vec<String>),
    /// A pinned key signed something else.
    Mismatch(String),
    /// A pinned key signed with this hash.
    WeakHash(String, String),
    /// A pinned key was not valid when it signed.
    Invalid(String, &'static str),
}

impl Refusal {
    /// Of several refusals the most telling is reported: the one that came closest to counting.
    fn closeness(&self) -> u8 {
        match self {
            Self::UnknownKeys(_) => 0,
            Self::Mismatch(_) => 1,
            Self::WeakHash(..) => 2,
            Self::Invalid(..) => 3,
        }
    }
}

/// A key that may sign: the primary key of a certificate, or a subkey.
struct Signer<'k> {
    key: SigningKey<'k>,
    /// Seconds since 1970; none: it does not expire.
    expires: Option<i64>,
    created: i64,
    revoked: bool,
}

enum SigningKey<'k> {
    Primary(&'k PublicKey),
    Subkey(&'k PublicSubkey),
}

impl Keyring {
    /// Reads keyrings, each binary or ASCII-armoured.
    ///
    /// # Errors
    /// The number of the first keyring that cannot be read or has no public key, and why.
    pub(crate) fn parse(files: &[&[u8]]) -> Result<Self, (usize, Option<pgp::errors::Error>)> {
        let mut certificates = Vec::new();
        for (number, file) in files.iter().enumerate() {
            let before = certificates.len();
            let (keys, _) = PublicOrSecret::from_reader_many(*file).map_err(|error| (number, Some(error)))?;
            for key in keys {
                if let PublicOrSecret::Public(key) = key.map_err(|error| (number, Some(error)))? {
                    certificates.push(key);
                }
            }
            if certificates.len() == before {
                return Err((number, None));
            }
        }
        Ok(Self { certificates })
    }

    /// Fingerprint of a pinned key that signed the message, by this module's policy.
    pub(crate) fn signer(&self, message: &CleartextSignedMessage) -> Result<String, Refusal> {
        let text = message.signed_text();
        let signers: Vec<_> = self.certificates.iter().flat_map(signers).collect();
        let mut refusal = Refusal::UnknownKeys(message.signatures().iter().map(issuer).collect());
        for signature in message.signatures() {
            for signer in signers.iter().filter(|signer| signer.issued(signature)) {
                match signer.check(signature, text.as_bytes()) {
                    Ok(()) => return Ok(signer.fingerprint()),
                    Err(closer) if closer.closeness() >= refusal.closeness() => refusal = closer,
                    Err(_) => {}
                }
            }
        }
        Err(refusal)
    }
}

impl Signer<'_> {
    fn fingerprint(&self) -> String {
        match self.key {
            SigningKey::Primary(key) => hex(key.fingerprint().as_bytes()),
            SigningKey::Subkey(key) => hex(key.fingerprint().as_bytes()),
        }
    }

    fn issued(&self, signature: &Signature) -> bool {
        let (fingerprint, id) = match self.key {
            SigningKey::Primary(key) => (key.fingerprint(), key.legacy_key_id()),
            SigningKey::Subkey(key) => (key.fingerprint(), key.legacy_key_id()),
        };
        let fingerprints = signature.issuer_fingerprint();
        if fingerprints.is_empty() { signature.issuer_key_id().contains(&&id) } else { fingerprints.contains(&&fingerprint) }
    }

    /// Whether a signature of this key counts.
    fn check(&self, signature: &Signature, text: &[u8]) -> Result<(), Refusal> {
        let hash = signature.hash_alg();
        if !hash.is_some_and(is_strong) {
            let name = hash.map_or_else(|| "an unknown hash".to_owned(), |hash| hash.to_string());
            return Err(Refusal::WeakHash(self.fingerprint(), name));
        }
        let matches = matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary))
            && match self.key {
                SigningKey::Primary(key) => signature.verify(key, text).is_ok(),
                SigningKey::Subkey(key) => signature.verify(key, text).is_ok(),
            };
        if !matches {
            return Err(Refusal::Mismatch(self.fingerprint()));
        }
        let invalid = |why| Err(Refusal::Invalid(self.fingerprint(), why));
        let Some(signed) = signature.created().map(|time| i64::from(time.as_secs())) else {
            return invalid("may not sign without saying when");
        };
        if self.revoked {
            return invalid("was revoked");
        }
        if signed < self.created {
            return invalid("did not exist yet");
        }
        if self.expires.is_some_and(|expires| signed >= expires) {
            return invalid("had expired");
        }
        Ok(())
    }
}

/// Keys of a certificate that may sign, with what the certificate's own signatures say about them.
fn signers(certificate: &SignedPublicKey) -> Vec<Signer<'_>> {
    let primary = &certificate.primary_key;
    let Some(statement) = newest(self_signatures(certificate)) else {
        return Vec::new();
    };
    let revoked = certificate.details.revocation_signatures.iter().any(|signature| signature.verify_key(primary).is_ok());
    let created = i64::from(primary.created_at().as_secs());
    let expires = expiry(created, statement);
    let mut signers = Vec::new();
    // A certificate without flags restricts nothing: RFC 9580, 5.2.3.29.
    if statement.key_flags().sign() || statement.key_flags() == pgp::packet::KeyFlags::default() {
        signers.push(Signer { key: SigningKey::Primary(primary), expires, created, revoked });
    }
    for subkey in &certificate.public_subkeys {
        let Some(binding) = newest(bindings(subkey, primary)) else {
            continue;
        };
        let revoked = revoked
            || subkey.signatures.iter().any(|signature| {
                signature.typ() == Some(SignatureType::SubkeyRevocation) && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
            });
        let created = i64::from(subkey.key.created_at().as_secs());
        let expires = [expires, expiry(created, binding)].into_iter().flatten().min();
        signers.push(Signer { key: SigningKey::Subkey(&subkey.key), expires, created, revoked });
    }
    signers
}

/// Statements that a primary key makes about itself: direct key signatures and certifications of its user names.
fn self_signatures(certificate: &SignedPublicKey) -> impl Iterator<Item = &Signature> {
    let primary = &certificate.primary_key;
    let direct = certificate.details.direct_signatures.iter().filter(|signature| signature.verify_key(primary).is_ok());
    let certifications = certificate.details.users.iter().flat_map(move |user| {
        user.signatures
            .iter()
            .filter(|signature| signature.is_certification())
            .filter(move |signature| signature.verify_certification(primary, Tag::UserId, &user.id).is_ok())
    });
    direct.chain(certifications)
}

/// Valid bindings of a subkey that may sign: made by the primary key, and confirmed by the subkey.
fn bindings<'k>(subkey: &'k SignedPublicSubKey, primary: &'k PublicKey) -> impl Iterator<Item = &'k Signature> {
    subkey.signatures.iter().filter(move |signature| {
        signature.typ() == Some(SignatureType::SubkeyBinding)
            && signature.key_flags().sign()
            && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
            && signature.embedded_signature().is_some_and(|back| back.verify_primary_key_binding(&subkey.key, primary).is_ok())
    })
}

/// The newest of several signatures with strong hashes: it supersedes the others.
fn newest<'k>(signatures: impl Iterator<Item = &'k Signature>) -> Option<&'k Signature> {
    signatures.filter(|signature| signature.hash_alg().is_some_and(is_strong)).max_by_key(|signature| signature.created())
}

fn expiry(created: i64, statement: &Signature) -> Option<i64> {
    // Zero is "never": RFC 9580, 5.2.3.13.
    statement.key_expiration_time().map(|time| i64::from(time.as_secs())).filter(|seconds| *seconds != 0).map(|seconds| created + seconds)
}

/// Hashes that collisions are not known for. MD5, SHA-1 and RIPEMD-160 are broken or too short, SHA-224 is not used by any archive.
fn is_strong(hash: HashAlgorithm) -> bool {
    matches!(
        hash,
        HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512 | HashAlgorithm::Sha3_256 | HashAlgorithm::Sha3_512
    )
}

/// Who a signature says it is by.
fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|fingerprint| hex(fingerprint.as_bytes()));
    let id = || signature.issuer_key_id().first().map(|id| hex(id.as_ref()));
    fingerprint.or_else(id).unwrap_or_else(|| "a key without a name".to_owned())
}

/// Upper case, as OpenPGP tools print fingerprints.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
