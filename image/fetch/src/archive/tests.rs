use std::collections::BTreeMap;
use std::io::Write;

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
};
use pgp::ser::Serialize;
use pgp::types::Password;
use rand::SeedableRng;
use rand::rngs::StdRng;
use shoal_cache::Cache;

use super::*;
use crate::progress::Silent;
use crate::proxy::Proxies;
use crate::server::{Server, not_found, proper};

/// A made-up archive on a server, and a machine that has it as its mirror.
struct Fixture {
    directory: tempfile::TempDir,
    key: Vec<u8>,
    server: Server,
    mirrors: Mirrors,
}

/// What is wrong with the archive.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Nothing,
    /// The index by its digest is gone.
    NoByHash,
    /// The index is not the one that was signed.
    OtherIndex,
    /// The release ran out in 2020.
    Old,
}

fn packages() -> Vec<u8> {
    let stanza = "Package: crun\nVersion: 1.21-1\nArchitecture: amd64\nFilename: pool/main/c/crun/crun_1.21-1_amd64.deb\nSize: 3\nSHA256: ";
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(format!("{stanza}{}\n", Digest::of(b"deb")).as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

fn key() -> SignedSecretKey {
    let mut builder = SecretKeyParamsBuilder::default();
    builder
        .key_type(KeyType::Ed25519Legacy)
        .can_certify(true)
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None)
        .primary_user_id("Archive".to_owned());
    builder.build().expect("parameters").generate(StdRng::seed_from_u64(7)).expect("key")
}

fn fixture(fault: Fault) -> Fixture {
    let directory = tempfile::tempdir().expect("temporary directory");
    let packages = packages();
    let digest = Digest::of(&packages);
    let valid_until = if fault == Fault::Old { "Valid-Until: Wed, 1 Jan 2020 00:00:00 UTC\n" } else { "" };
    let text = format!(
        "Suite: stable\nCodename: trixie\nDate: Wed, 25 Dec 2019 00:00:00 UTC\n{valid_until}Acquire-By-Hash: yes\nSHA256:\n {digest} {} main/binary-amd64/Packages.gz\n",
        packages.len()
    );
    let key = key();
    let release = CleartextSignedMessage::sign(StdRng::seed_from_u64(8), &text, &key.primary_key, &Password::empty()).expect("signature");
    let release = release.to_armored_bytes(ArmorOptions::default()).expect("memory");
    let server = Server::new(move |asked| match asked.target.strip_prefix("/debian/dists/trixie/") {
        Some("InRelease") => proper(asked, &release),
        Some("main/binary-amd64/Packages.gz") if fault != Fault::OtherIndex => proper(asked, &packages),
        Some("main/binary-amd64/Packages.gz") => proper(asked, &vec![0; packages.len()]),
        Some(path) if path == format!("main/binary-amd64/by-hash/SHA256/{digest}") && fault == Fault::Nothing => proper(asked, &packages),
        _ => not_found(),
    });
    let mirrors = Mirrors::from_uris([server.url("/debian")], &BTreeMap::new()).expect("mirrors");
    Fixture { directory, key: SignedPublicKey::from(key).to_bytes().expect("memory"), server, mirrors }
}

/// 2026-11-23.
const NOW: i64 = 1_795_392_000;

impl Fixture {
    fn fetch(&self, component: &str, pinned: Option<&Digest>, offline: bool) -> Result<FetchedArchive, ArchiveError> {
        let cache = Cache::open(self.directory.path()).expect("cache");
        let source = ArchiveSource {
            name: "base",
            origin: "debian",
            suite: "trixie",
            components: &[component.to_owned()],
            architectures: &["amd64"],
            keys: &[&self.key],
        };
        let mirrors = if offline { Mirrors::default() } else { self.mirrors.clone() };
        Downloader::new(&cache, Proxies::default(), offline).with_pauses(Vec::new()).archive(&mirrors, &source, pinned, NOW, &Silent)
    }
}

#[test]
fn an_archive_is_fetched_by_hash() {
    let fixture = fixture(Fault::Nothing);
    let archive = fixture.fetch("main", None, false).expect("archive");
    assert_eq!(archive.index.newest("crun", "amd64").map(|package| package.version), Some("1.21-1"));
    assert!(fixture.server.asked().iter().all(|asked| !asked.target.ends_with("Packages.gz")));
}

#[test]
fn an_archive_without_the_index_by_hash_is_fetched_by_name() {
    assert_eq!(fixture(Fault::NoByHash).fetch("main", None, false).expect("archive").index.len(), 1);
}

#[test]
fn a_locked_release_is_used_offline_and_without_a_mirror() {
    let fixture = fixture(Fault::Nothing);
    let first = fixture.fetch("main", None, false).expect("archive");
    let asked = fixture.server.asked().len();
    let again = fixture.fetch("main", Some(&first.release_digest), true).expect("archive");
    assert_eq!((again.release_digest, again.release), (first.release_digest, first.release));
    assert_eq!(fixture.server.asked().len(), asked);
}

#[test]
fn a_locked_release_is_not_asked_for_again() {
    let fixture = fixture(Fault::Nothing);
    let first = fixture.fetch("main", None, false).expect("archive");
    let asked = fixture.server.asked().len();
    fixture.fetch("main", Some(&first.release_digest), false).expect("archive");
    assert_eq!(fixture.server.asked().len(), asked);
}

#[test]
fn a_locked_release_that_is_gone_gives_the_present_one_and_its_digest() {
    let fixture = fixture(Fault::Nothing);
    let gone = Digest::of(b"an older release");
    assert_ne!(fixture.fetch("main", Some(&gone), false).expect("archive").release_digest, gone);
}

#[test]
fn offline_names_the_release_that_is_missing() {
    let error = fixture(Fault::Nothing).fetch("main", Some(&Digest::of(b"never seen")), true).expect_err("it is not cached");
    assert!(matches!(error, ArchiveError::Fetch { source: FetchError::Offline { missing }, .. } if missing == ["base trixie InRelease"]));
}

#[test]
fn an_index_that_was_not_signed_is_refused() {
    let error = fixture(Fault::OtherIndex).fetch("main", None, false).expect_err("another index");
    assert!(matches!(error, ArchiveError::Fetch { source: FetchError::Download { .. }, .. }), "{error:?}");
}

#[test]
fn a_release_that_ran_out_is_refused_and_not_kept() {
    let fixture = fixture(Fault::Old);
    let error = fixture.fetch("main", None, false).expect_err("it ran out in 2020");
    assert!(matches!(error, ArchiveError::Release { source: ReleaseError::Expired { .. }, .. }), "{error:?}");
}

#[test]
fn a_component_that_is_not_there_is_named() {
    let error = fixture(Fault::Nothing).fetch("contrib", None, false).expect_err("there is only main");
    assert!(error.to_string().contains("`contrib` for amd64"), "{error}");
}
