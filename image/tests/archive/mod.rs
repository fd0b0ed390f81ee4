//! A made-up Debian archive: a handful of packages that are no packages, with indices, signed by a key of its own.

#![allow(dead_code, reason = "every test program compiles it, and uses a part")]

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
};
use pgp::types::Password;
use rand::SeedableRng;
use rand::rngs::StdRng;
use shoal_cache::Digest;

/// Where the archive lies on its server.
pub(crate) const ROOT: &str = "/debian";
/// What is in it, for both architectures.
const PACKAGES: [&str; 3] = ["crun", "linux-image", "systemd-boot-efi"];
/// Bytes of a package: enough to be cut in the middle.
const DEB_BYTES: usize = 4096;
/// Release of the kernel in [`kernel`].
const KERNEL_RELEASE: &str = "6.1.0-made-up";

/// What is wrong with the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    /// Nothing.
    Good,
    /// It has no signature around it.
    Unsigned,
    /// It was changed after it was signed.
    Changed,
    /// Another key has signed it.
    Foreign,
    /// It was valid until a day that is long gone.
    Expired,
}

/// The public key of the archive, in ASCII armour.
pub(crate) fn public_key() -> Vec<u8> {
    SignedPublicKey::from(key(7)).to_armored_bytes(ArmorOptions::default()).expect("it fits into memory")
}

/// Path of a package's file on the server.
pub(crate) fn deb_path(name: &str, arch: &str) -> String {
    format!("{ROOT}/{}", pool_path(name, arch))
}

/// All files of the archive by path.
pub(crate) fn files(kind: Release) -> BTreeMap<String, Vec<u8>> {
    files_with(kind, "", &[])
}

/// The same, where the package `real` is this one for both architectures.
pub(crate) fn files_with(kind: Release, real: &str, package: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut indices = String::new();
    for arch in ["amd64", "arm64"] {
        let mut index = String::new();
        for name in PACKAGES {
            let deb = if name == real { package.to_vec() } else { deb(name, arch) };
            let (path, digest, size) = (pool_path(name, arch), Digest::of(&deb), deb.len());
            index +=
                &format!("Package: {name}\nVersion: 1.0-1\nArchitecture: {arch}\nFilename: {path}\nSize: {size}\nSHA256: {digest}\n\n");
            files.insert(deb_path(name, arch), deb);
        }
        let packed = gzip(index.as_bytes());
        let path = format!("main/binary-{arch}/Packages.gz");
        indices += &format!(" {} {} {path}\n", Digest::of(&packed), packed.len());
        files.insert(format!("{ROOT}/dists/trixie/{path}"), packed);
    }
    files.insert(format!("{ROOT}/dists/trixie/InRelease"), release(kind, &indices));
    files
}

fn release(kind: Release, indices: &str) -> Vec<u8> {
    let valid_until = if kind == Release::Expired { "Valid-Until: Wed, 1 Jan 2020 00:00:00 UTC\n" } else { "" };
    let text = format!("Suite: stable\nCodename: trixie\nDate: Wed, 25 Dec 2019 00:00:00 UTC\n{valid_until}SHA256:\n{indices}");
    let signed = |seed| {
        let message = CleartextSignedMessage::sign(StdRng::seed_from_u64(8), &text, &key(seed).primary_key, &Password::empty());
        message.expect("the key can sign").to_armored_string(ArmorOptions::default()).expect("it fits into memory")
    };
    match kind {
        Release::Good | Release::Expired => signed(7).into_bytes(),
        Release::Changed => signed(7).replace("25 Dec 2019", "26 Dec 2019").into_bytes(),
        Release::Foreign => signed(9).into_bytes(),
        Release::Unsigned => text.into_bytes(),
    }
}

/// A key; the seed decides which.
fn key(seed: u64) -> SignedSecretKey {
    let mut builder = SecretKeyParamsBuilder::default();
    builder.key_type(KeyType::Ed25519Legacy).can_certify(true).can_sign(true).can_encrypt(EncryptionCaps::None);
    builder.created_at(pgp::types::Timestamp::from_secs(KEY_MADE)).primary_user_id("Archive".to_owned());
    builder.build().expect("the parameters fit").generate(StdRng::seed_from_u64(seed)).expect("a key can be made")
}

/// When the keys were made: 2019-01-01, in seconds since 1970. Fixed, so that it is the same key each time it is made.
const KEY_MADE: u32 = 1_546_300_800;

fn pool_path(name: &str, arch: &str) -> String {
    format!("pool/{name}_1.0-1_{arch}.deb")
}

fn deb(name: &str, arch: &str) -> Vec<u8> {
    format!("{name} for {arch}; ").into_bytes().into_iter().cycle().take(DEB_BYTES).collect()
}

/// A package with a kernel of so many bytes, and no module; packed, it is much smaller than what is in it.
pub(crate) fn kernel(bytes: usize, packed: bool) -> Vec<u8> {
    let control = tarball(&[("control", b"Package: linux-image\nVersion: 1.0-1\nArchitecture: all\n")]);
    let (kernel, builtin) = (format!("boot/vmlinuz-{KERNEL_RELEASE}"), format!("usr/lib/modules/{KERNEL_RELEASE}/modules.builtin"));
    let data = tarball(&[(&kernel, &vec![b'k'; bytes]), (&builtin, b"")]);
    let mut package = ar::Builder::new(Vec::new());
    let data = if packed { ("data.tar.gz", gzip(&data)) } else { ("data.tar", data) };
    for (name, bytes) in [("debian-binary", b"2.0\n".to_vec()), ("control.tar", control), data] {
        package.append(&ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64), bytes.as_slice()).expect("it fits into memory");
    }
    package.into_inner().expect("it fits into memory")
}

fn tarball(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tarball = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        tarball.append_data(&mut header, format!("./{path}"), *bytes).expect("it fits into memory");
    }
    tarball.into_inner().expect("it fits into memory")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("it fits into memory")
}
