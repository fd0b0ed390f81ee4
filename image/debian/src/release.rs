//! `InRelease`: what an archive has, signed. See the repository format page of Debian's wiki ("DebianRepository/Format").

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime};
use pgp::composed::CleartextSignedMessage;

use crate::deb822::Paragraph;
use crate::keyring::{Keyring, Refusal};
use crate::packages::is_sha256;

/// A release whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `Suite`, e.g. `stable`.
    pub suite: String,
    /// `Codename`, e.g. `trixie`.
    pub codename: String,
    /// `Date`, as written.
    pub date: String,
    /// `Valid-Until`, as written.
    pub valid_until: Option<String>,
    /// Whether files can be fetched by their digest ([`Release::by_hash`]), so that an archive that changes meanwhile does no harm.
    pub acquire_by_hash: bool,
    /// Fingerprint of the pinned key whose signature counted: upper-case hexadecimal digits.
    pub signed_by: String,
    /// Files below the directory of the release, by path.
    pub files: BTreeMap<String, ReleaseFile>,
}

/// A file that a release vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseFile {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256: 64 hexadecimal digits, lower case.
    pub sha256: String,
}

/// How old a release may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It comes from a mirror at this time (seconds since 1970), so `Valid-Until` must lie ahead: an old release with known holes, served
    /// again, is refused.
    At(i64),
    /// Its digest is pinned by a lock: that it is old is what is wanted.
    Pinned,
}

/// Why a release is not accepted. Nothing of it may be used.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// A keyring cannot be read.
    #[error("keyring {} of the archive has no usable OpenPGP public key; write the archive's keys to it, binary or ASCII-armoured", number + 1)]
    Keyring {
        /// Place in the list that was given, from 0.
        number: usize,
        /// What is wrong; none: there is no public key in it.
        source: Option<pgp::errors::Error>,
    },
    /// It is no cleartext-signed message.
    #[error(
        "the release is not signed: it is no OpenPGP cleartext message; a proxy or a captive portal may have answered, so try another mirror"
    )]
    NotSigned(#[source] pgp::errors::Error),
    /// It is a cleartext-signed message without a signature.
    #[error("the release is not signed: there is no signature in it; try another mirror")]
    NoSignature,
    /// No signature is by a pinned key.
    #[error("the release is signed by {}, and none of these keys is pinned; check the fingerprint with the archive's publisher, then add the key to the recipe's `keys`", .issuers.join(", "))]
    UnknownKey {
        /// Fingerprints or key ids of the signatures' issuers.
        issuers: Vec<String>,
    },
    /// A signature by a pinned key does not fit the text.
    #[error("the release was changed after key {key} signed it; do not use it, try another mirror")]
    BadSignature {
        /// Fingerprint.
        key: String,
    },
    /// The only signatures by pinned keys use a hash that can be forged.
    #[error("key {key} signed the release with {hash}, which can be forged; SHA-256 or better is needed")]
    WeakHash {
        /// Fingerprint.
        key: String,
        /// The hash.
        hash: String,
    },
    /// The only signatures by pinned keys were made when the key was not valid.
    #[error("key {key} {why} when it signed the release; replace the recipe's keys by the archive's newer ones")]
    InvalidKey {
        /// Fingerprint.
        key: String,
        /// What was wrong with the key.
        why: &'static str,
    },
    /// It is another suite's release.
    #[error("the release is of suite `{suite}` (`{codename}`), not of `{expected}`; the mirror is out of order, try another one")]
    WrongSuite {
        /// What was asked for.
        expected: String,
        /// Its suite.
        suite: String,
        /// Its code name.
        codename: String,
    },
    /// It is too old.
    #[error("the release was valid until {valid_until}; the mirror is out of date (try another one), or this machine's clock is wrong")]
    Expired {
        /// `Valid-Until`, as written.
        valid_until: String,
    },
    /// A signed field is missing or malformed.
    #[error("the release is signed but has no usable `{field}`; report it to the archive")]
    Malformed {
        /// The field.
        field: &'static str,
    },
}

/// Verifies an `InRelease` file and reads what was signed, and only that.
///
/// `keys` are the pinned keyrings, binary or ASCII-armoured; one valid signature by one of their keys is enough. `suite` is the suite or code
/// name that was asked for.
///
/// # Errors
/// See [`ReleaseError`].
pub fn verify(in_release: &[u8], keys: &[&[u8]], suite: &str, freshness: Freshness) -> Result<Release, ReleaseError> {
    let keyring = Keyring::parse(keys).map_err(|(number, source)| ReleaseError::Keyring { number, source })?;
    let (message, _) = CleartextSignedMessage::from_armor(in_release).map_err(ReleaseError::NotSigned)?;
    if message.signatures().is_empty() {
        return Err(ReleaseError::NoSignature);
    }
    let signed_by = keyring.signer(&message).map_err(|refusal| match refusal {
        Refusal::UnknownKeys(issuers) => ReleaseError::UnknownKey { issuers },
        Refusal::Mismatch(key) => ReleaseError::BadSignature { key },
        Refusal::WeakHash(key, hash) => ReleaseError::WeakHash { key, hash },
        Refusal::Invalid(key, why) => ReleaseError::InvalidKey { key, why },
    })?;
    let release = parse(&message.signed_text().replace("\r\n", "\n"), signed_by)?;
    if release.suite != suite && release.codename != suite {
        return Err(ReleaseError::WrongSuite { expected: suite.to_owned(), suite: release.suite, codename: release.codename });
    }
    if let (Freshness::At(now), Some(valid_until)) = (freshness, &release.valid_until) {
        let end = seconds(valid_until).ok_or(ReleaseError::Malformed { field: "Valid-Until" })?;
        if now > end {
            return Err(ReleaseError::Expired { valid_until: valid_until.clone() });
        }
    }
    Ok(release)
}

impl Release {
    /// Path of a file below the directory of the release by its digest, as [`Release::acquire_by_hash`] allows.
    #[must_use]
    pub fn by_hash(path: &str, file: &ReleaseFile) -> String {
        let directory = path.rsplit_once('/').map_or(String::new(), |(directory, _)| format!("{directory}/"));
        format!("{directory}by-hash/SHA256/{}", file.sha256)
    }
}

/// Reads the signed text, lines ending in `\n`.
fn parse(text: &str, signed_by: String) -> Result<Release, ReleaseError> {
    let paragraph = Paragraph::new(text);
    let field = |name: &'static str| paragraph.field(name).filter(|value| !value.is_empty());
    let required = |name: &'static str| field(name).map(ToOwned::to_owned).ok_or(ReleaseError::Malformed { field: name });
    let date = required("Date")?;
    seconds(&date).ok_or(ReleaseError::Malformed { field: "Date" })?;
    Ok(Release {
        suite: field("Suite").unwrap_or_default().to_owned(),
        codename: required("Codename")?,
        date,
        valid_until: field("Valid-Until").map(ToOwned::to_owned),
        acquire_by_hash: field("Acquire-By-Hash") == Some("yes"),
        signed_by,
        files: files(&required("SHA256")?).ok_or(ReleaseError::Malformed { field: "SHA256" })?,
    })
}

/// Reads lines of `digest size path`.
fn files(value: &str) -> Option<BTreeMap<String, ReleaseFile>> {
    value
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let mut words = line.split_whitespace();
            let (sha256, size, path) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
            (words.next().is_none() && is_sha256(sha256)).then(|| (path.to_owned(), ReleaseFile { size, sha256: sha256.to_owned() }))
        })
        .collect()
}

/// Seconds since 1970 of a date as archives write it: `Sat, 12 Sep 2026 07:55:41 UTC`, or with an offset (`+0000`).
fn seconds(date: &str) -> Option<i64> {
    match date.strip_suffix(" UTC").or_else(|| date.strip_suffix(" GMT")) {
        Some(date) => NaiveDateTime::parse_from_str(date, "%a, %d %b %Y %H:%M:%S").ok().map(|date| date.and_utc().timestamp()),
        None => DateTime::parse_from_rfc2822(date).ok().map(|date| date.timestamp()),
    }
}

#[cfg(test)]
mod tests;
