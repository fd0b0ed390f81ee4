//! Package URLs (package-url/purl-spec): one name for a package of any kind.

use std::fmt::Write;

/// A Debian package: `pkg:deb/debian/crun@1.21-1?arch=amd64&distro=trixie`.
#[must_use]
pub fn debian(name: &str, version: &str, architecture: &str, suite: &str) -> String {
    let (name, version) = (encode(name), encode(version));
    format!("pkg:deb/debian/{name}@{version}?arch={}&distro={}", encode(architecture), encode(suite))
}

/// A crate: `pkg:cargo/zbus@6.0.0`.
#[must_use]
pub fn cargo(name: &str, version: &str) -> String {
    format!("pkg:cargo/{}@{}", encode(name), encode(version))
}

/// A Go module: `pkg:golang/k8s.io/kubernetes@v1.34.2`. The path keeps its slashes, and is in lower case as the specification asks.
#[must_use]
pub fn golang(path: &str, version: &str) -> String {
    let path: Vec<String> = path.to_ascii_lowercase().split('/').map(encode).collect();
    format!("pkg:golang/{}@{}", path.join("/"), encode(version))
}

/// Anything else, by where it was downloaded from: `pkg:generic/firmware@1?download_url=…`.
#[must_use]
pub fn generic(name: &str, version: &str, url: &str) -> String {
    format!("pkg:generic/{}@{}?download_url={}", encode(name), encode(version), encode(url))
}

/// Percent-encodes all but letters, digits, `.`, `-`, `_`, `~` and the colon.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes everything");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_package_has_its_form() {
        assert_eq!(
            debian("libstdc++6", "1:14.2.0-19+b1~x", "amd64", "trixie"),
            "pkg:deb/debian/libstdc%2B%2B6@1:14.2.0-19%2Bb1~x?arch=amd64&distro=trixie"
        );
        assert_eq!(cargo("zbus", "6.0.0"), "pkg:cargo/zbus@6.0.0");
        assert_eq!(
            golang("github.com/Microsoft/hcsshim", "v0.12+incompatible"),
            "pkg:golang/github.com/microsoft/hcsshim@v0.12%2Bincompatible"
        );
        assert_eq!(generic("a", "1", "https://x.example/a?b"), "pkg:generic/a@1?download_url=https:%2F%2Fx.example%2Fa%3Fb");
    }
}
