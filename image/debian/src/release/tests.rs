use pgp::composed::{ArmorOptions, EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey, SubkeyParamsBuilder};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{Duration, KeyDetails, Password, Tag, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

const DAY: u32 = 24 * 60 * 60;
const TEXT: &str = "Suite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nValid-Until: Sat, 19 Sep 2026 07:55:41 UTC\n\
                    Acquire-By-Hash: yes\nSHA256:\n e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 12 main/binary-amd64/Packages.xz\n";

/// A moment at which [`TEXT`] is fresh, in seconds since 1970.
fn fresh() -> Freshness {
    Freshness::At(seconds("Sun, 13 Sep 2026 00:00:00 +0000").expect("date"))
}

/// A certificate made on 2026-09-01 that may sign; its primary key expires `lifetime` seconds later. The seed decides the key.
fn certificate(seed: u64, lifetime: Option<u32>) -> SignedSecretKey {
    certificate_of(KeyType::Ed25519Legacy, seed, lifetime)
}

fn certificate_of(kind: KeyType, seed: u64, lifetime: Option<u32>) -> SignedSecretKey {
    let created = Timestamp::from_secs(u32::try_from(seconds("Tue, 1 Sep 2026 00:00:00 GMT").expect("date")).expect("this century"));
    let subkey = SubkeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None)
        .created_at(created)
        .build()
        .expect("subkey");
    let mut builder = SecretKeyParamsBuilder::default();
    builder.key_type(kind).can_certify(true).can_sign(true).can_encrypt(EncryptionCaps::None);
    builder.created_at(created).primary_user_id("Archive".to_owned()).subkeys(vec![subkey]);
    let mut certificate = builder.build().expect("parameters").generate(StdRng::seed_from_u64(seed)).expect("key");
    if let Some(lifetime) = lifetime {
        let key = &certificate.primary_key;
        let mut config = SignatureConfig::from_key(StdRng::seed_from_u64(seed), key, SignatureType::CertPositive).expect("configuration");
        let mut flags = KeyFlags::default();
        flags.set_sign(true);
        config.hashed_subpackets = [
            SubpacketData::SignatureCreationTime(created),
            SubpacketData::IssuerFingerprint(key.fingerprint()),
            SubpacketData::KeyExpirationTime(Duration::from_secs(lifetime)),
            SubpacketData::KeyFlags(flags),
        ]
        .map(|data| Subpacket::regular(data).expect("subpacket"))
        .to_vec();
        let user = &mut certificate.details.users[0];
        let statement = config.sign_certification(key, key.public_key(), &Password::empty(), Tag::UserId, &user.id).expect("signature");
        user.signatures = vec![statement];
    }
    certificate
}

fn keyring(key: &SignedSecretKey) -> Vec<u8> {
    SignedPublicKey::from(key.clone()).to_bytes().expect("memory")
}

/// Which key of a certificate signs.
#[derive(Clone, Copy)]
enum By {
    Primary,
    Subkey,
}

fn sign(key: &SignedSecretKey, by: By, hash: HashAlgorithm, text: &str) -> Vec<u8> {
    let signed = Timestamp::from_secs(u32::try_from(seconds("Sat, 12 Sep 2026 08:00:00 GMT").expect("date")).expect("this century"));
    macro_rules! message {
        ($key:expr) => {{
            let mut config = SignatureConfig::from_key(StdRng::seed_from_u64(1), $key, SignatureType::Text).expect("configuration");
            config.hash_alg = hash;
            config.hashed_subpackets = vec![
                Subpacket::regular(SubpacketData::SignatureCreationTime(signed)).expect("subpacket"),
                Subpacket::regular(SubpacketData::IssuerFingerprint($key.fingerprint())).expect("subpacket"),
            ];
            CleartextSignedMessage::new(text, config, $key, &Password::empty()).expect("signature")
        }};
    }
    let message = match by {
        By::Primary => message!(&key.primary_key),
        By::Subkey => message!(&key.secret_subkeys[0].key),
    };
    message.to_armored_bytes(ArmorOptions::default()).expect("memory")
}

fn refused(in_release: &[u8], key: &SignedSecretKey) -> ReleaseError {
    verify(in_release, &[&keyring(key)], "trixie", fresh()).expect_err("it must be refused")
}

#[test]
fn a_release_signed_by_a_pinned_key_or_its_subkey_is_read() {
    let key = certificate(1, None);
    for by in [By::Primary, By::Subkey] {
        let release = verify(&sign(&key, by, HashAlgorithm::Sha256, TEXT), &[&keyring(&key)], "trixie", fresh()).expect("release");
        let file = &release.files["main/binary-amd64/Packages.xz"];
        assert_eq!((release.suite.as_str(), release.codename.as_str(), release.acquire_by_hash, file.size), ("stable", "trixie", true, 12));
        assert_eq!(
            Release::by_hash("main/binary-amd64/Packages.xz", file),
            "main/binary-amd64/by-hash/SHA256/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}

#[test]
fn armoured_keyrings_and_several_keyrings_serve() {
    let key = certificate(1, None);
    let armoured = SignedPublicKey::from(key.clone()).to_armored_bytes(ArmorOptions::default()).expect("memory");
    let other = keyring(&certificate(2, None));
    let signed = sign(&key, By::Primary, HashAlgorithm::Sha512, TEXT);
    let release = verify(&signed, &[&other, &armoured], "stable", fresh()).expect("release");
    assert_eq!(release.signed_by, key.primary_key.fingerprint().to_string().to_uppercase());
}

#[test]
fn a_changed_release_is_refused() {
    let key = certificate(1, None);
    let signed = String::from_utf8(sign(&key, By::Primary, HashAlgorithm::Sha256, TEXT)).expect("text");
    let error = refused(signed.replace(" 12 main", " 13 main").as_bytes(), &key);
    assert!(matches!(&error, ReleaseError::BadSignature { .. }), "{error}");
}

#[test]
fn text_around_the_signed_text_is_not_read() {
    let key = certificate(1, None);
    let mut around = b"Codename: sid\n".to_vec();
    around.extend(sign(&key, By::Primary, HashAlgorithm::Sha256, TEXT));
    // Refused or not, what is outside the signature must not be what is read.
    if let Ok(release) = verify(&around, &[&keyring(&key)], "trixie", fresh()) {
        assert_eq!(release.codename, "trixie");
    }
}

#[test]
fn an_unknown_key_is_named() {
    let stranger = certificate(2, None);
    let error = refused(&sign(&stranger, By::Subkey, HashAlgorithm::Sha256, TEXT), &certificate(1, None));
    let fingerprint = stranger.secret_subkeys[0].key.fingerprint().to_string().to_uppercase();
    assert!(matches!(&error, ReleaseError::UnknownKey { issuers } if *issuers == [fingerprint]), "{error}");
}

#[test]
fn a_weak_hash_is_refused_by_name() {
    // rPGP itself refuses to make weak signatures with elliptic curves.
    let key = certificate_of(KeyType::Rsa(2048), 1, None);
    let error = refused(&sign(&key, By::Primary, HashAlgorithm::Sha1, TEXT), &key);
    assert!(matches!(&error, ReleaseError::WeakHash { hash, .. } if hash == "SHA1"), "{error}");
}

#[test]
fn a_key_that_had_expired_when_it_signed_is_refused() {
    let key = certificate(1, Some(5 * DAY));
    for by in [By::Primary, By::Subkey] {
        let error = refused(&sign(&key, by, HashAlgorithm::Sha256, TEXT), &key);
        assert!(matches!(&error, ReleaseError::InvalidKey { why: "had expired", .. }), "{error}");
    }
}

#[test]
fn a_key_that_expires_after_it_signed_serves() {
    let key = certificate(1, Some(12 * DAY));
    let now = Freshness::At(seconds("Fri, 18 Sep 2026 00:00:00 UTC").expect("date"));
    assert!(verify(&sign(&key, By::Primary, HashAlgorithm::Sha256, TEXT), &[&keyring(&key)], "trixie", now).is_ok());
}

#[test]
fn an_expired_release_is_refused_unless_a_lock_pins_it() {
    let key = certificate(1, None);
    let signed = sign(&key, By::Primary, HashAlgorithm::Sha256, TEXT);
    let late = Freshness::At(seconds("Sat, 19 Sep 2026 07:55:42 UTC").expect("date"));
    let error = verify(&signed, &[&keyring(&key)], "trixie", late).expect_err("it is too old");
    assert!(error.to_string().contains("Sat, 19 Sep 2026 07:55:41 UTC"), "{error}");
    assert!(verify(&signed, &[&keyring(&key)], "trixie", Freshness::Pinned).is_ok());
}

#[test]
fn a_release_of_another_suite_is_refused() {
    let key = certificate(1, None);
    let error = verify(&sign(&key, By::Primary, HashAlgorithm::Sha256, TEXT), &[&keyring(&key)], "sid", fresh()).expect_err("not sid");
    assert!(matches!(&error, ReleaseError::WrongSuite { codename, .. } if codename == "trixie"), "{error}");
}

#[test]
fn what_is_not_signed_is_refused() {
    let key = certificate(1, None);
    for unsigned in [TEXT.as_bytes(), b"", b"<html>Please log in</html>"] {
        let error = refused(unsigned, &key);
        assert!(matches!(&error, ReleaseError::NotSigned(_)), "{error}");
    }
}

#[test]
fn a_keyring_without_keys_is_an_error_that_says_which() {
    let key = certificate(1, None);
    let signed = sign(&key, By::Primary, HashAlgorithm::Sha256, TEXT);
    let error = verify(&signed, &[&keyring(&key), b"nothing"], "trixie", fresh()).expect_err("the second one is broken");
    assert!(matches!(&error, ReleaseError::Keyring { number: 1, .. }), "{error}");
}

#[test]
fn a_malformed_field_is_named() {
    let key = certificate(1, None);
    for (field, text) in [
        ("Date", TEXT.replace("Date: Sat", "Date: some")),
        ("SHA256", TEXT.replace("e3b0", "")),
        ("Codename", TEXT.replace("Codename", "Name")),
        ("Valid-Until", TEXT.replace("Valid-Until: Sat", "Valid-Until: never")),
    ] {
        let error = refused(&sign(&key, By::Primary, HashAlgorithm::Sha256, &text), &key);
        assert!(matches!(&error, ReleaseError::Malformed { field: found } if *found == field), "{error}");
    }
}
