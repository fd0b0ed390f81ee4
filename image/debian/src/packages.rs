//! Package indices (`Packages`): which packages an archive has.
//!
//! An index of Debian's main archive is 60 MB of text per architecture. It is kept as it came, and scanned once for what is looked up: names,
//! architectures, and what is provided. Everything else is read from the text when a package is asked for.

use std::collections::HashMap;

use debversion::Version;

use crate::deb822::Paragraph;
use crate::relation::{self, RelationError};

/// Packages of an archive: one or more `Packages` files.
#[derive(Debug, Default)]
pub struct Index {
    texts: Vec<String>,
    stanzas: Vec<Stanza>,
    by_name: HashMap<Box<str>, Vec<PackageId>>,
    by_provided: HashMap<Box<str>, Vec<PackageId>>,
}

/// Where the text of a package is.
#[derive(Debug, Clone, Copy)]
struct Stanza {
    text: usize,
    start: usize,
    end: usize,
}

/// A package of an [`Index`].
pub(crate) type PackageId = usize;

/// A binary package, as an index describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package<'a> {
    /// Name.
    pub name: &'a str,
    /// Version.
    pub version: &'a str,
    /// Architecture: `amd64`, `arm64`, `all`.
    pub architecture: &'a str,
    /// `Multi-Arch`.
    pub multi_arch: MultiArch,
    /// `Priority`.
    pub priority: Priority,
    /// `Essential: yes`: every Debian system has it, so nothing depends on it by name.
    pub essential: bool,
    /// `Pre-Depends`; empty when there is none.
    pub pre_depends: &'a str,
    /// `Depends`; empty when there is none.
    pub depends: &'a str,
    /// `Provides`; empty when there is none.
    pub provides: &'a str,
    /// Name of the source package, without its version.
    pub source: &'a str,
    /// Path below the mirror's root.
    pub filename: &'a str,
    /// Size of the `.deb` in bytes.
    pub size: u64,
    /// SHA-256 of the `.deb`: 64 hexadecimal digits, lower case.
    pub sha256: &'a str,
}

/// Whether a package serves packages of other architectures. See Debian's multiarch specification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MultiArch {
    /// It serves only its own architecture.
    #[default]
    No,
    /// It can be installed for several architectures, each serving its own.
    Same,
    /// It serves all architectures.
    Foreign,
    /// It serves all architectures where the dependency says `:any`.
    Allowed,
}

/// How much a system needs a package. Of two packages that provide the same, the closure takes the one that is needed more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// `required`
    Required,
    /// `important`
    Important,
    /// `standard`
    Standard,
    /// `optional`, `extra`, or not said.
    #[default]
    Optional,
}

/// Why an index cannot be used. Nothing of the file was added.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file is no UTF-8 text.
    #[error("the package index is not UTF-8 text; it is not what the archive should serve, so try another mirror")]
    NotText(#[source] std::string::FromUtf8Error),
    /// A field that every package has is missing or malformed.
    #[error("package `{package}` has no usable `{field}` in the package index; report it to the archive, or try another mirror")]
    Field {
        /// The package, or `?`.
        package: String,
        /// The field.
        field: &'static str,
    },
    /// `Provides` cannot be read.
    #[error("package `{package}` has an unreadable `Provides` in the package index")]
    Provides {
        /// The package.
        package: String,
        /// What is wrong.
        source: RelationError,
    },
}

impl Index {
    /// An index without packages.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the packages of one `Packages` file, unpacked. Packages that are already there (indices of every architecture list the packages
    /// for all architectures) are not added again.
    ///
    /// # Errors
    /// When the file is no text, or a package lacks what the rest of this crate relies on.
    pub fn add(&mut self, packages: Vec<u8>) -> Result<(), IndexError> {
        let text = String::from_utf8(packages).map_err(IndexError::NotText)?;
        let number = self.texts.len();
        let mut found = Vec::new();
        let mut start = 0;
        while start < text.len() {
            let end = text[start..].find("\n\n").map_or(text.len(), |at| start + at + 1);
            let stanza = &text[start..end];
            if !stanza.trim().is_empty() {
                let package = Package::parse(stanza)?;
                let provided = provided_names(&package)?;
                if !self.has(&package) {
                    found.push((Stanza { text: number, start, end }, package.name.into(), provided));
                }
            }
            start = end + 1;
        }
        for (stanza, name, provided) in found {
            let id = self.stanzas.len();
            self.stanzas.push(stanza);
            self.by_name.entry(name).or_default().push(id);
            for name in provided {
                self.by_provided.entry(name).or_default().push(id);
            }
        }
        self.texts.push(text);
        Ok(())
    }

    /// How many packages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stanzas.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stanzas.is_empty()
    }

    /// All packages of a name, in the order they were added: architectures and versions.
    pub fn named<'i>(&'i self, name: &str) -> impl Iterator<Item = Package<'i>> + use<'i> {
        self.ids_named(name).iter().map(|id| self.package(*id))
    }

    /// The newest version of a package for an architecture, which packages for all architectures (`all`) serve, too.
    #[must_use]
    pub fn newest(&self, name: &str, architecture: &str) -> Option<Package<'_>> {
        self.named(name)
            .filter(|package| package.architecture == architecture || package.architecture == "all")
            .max_by(|left, right| left.parsed_version().cmp(&right.parsed_version()))
    }

    /// One version of a package for an architecture, or for all architectures.
    #[must_use]
    pub fn exact(&self, name: &str, architecture: &str, version: &str) -> Option<Package<'_>> {
        self.named(name)
            .find(|package| package.version == version && (package.architecture == architecture || package.architecture == "all"))
    }

    pub(crate) fn ids_named(&self, name: &str) -> &[PackageId] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn ids_providing(&self, name: &str) -> &[PackageId] {
        self.by_provided.get(name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn package(&self, id: PackageId) -> Package<'_> {
        let Stanza { text, start, end } = self.stanzas[id];
        Package::parse(&self.texts[text][start..end]).expect("every stanza was parsed when it was added")
    }

    fn has(&self, package: &Package<'_>) -> bool {
        self.named(package.name)
            .any(|known| (known.architecture, known.version, known.sha256) == (package.architecture, package.version, package.sha256))
    }
}

impl<'a> Package<'a> {
    /// Reads a stanza. Archives write field names as policy does, so their case is not ignored: this runs 70 000 times per index.
    fn parse(stanza: &'a str) -> Result<Self, IndexError> {
        let mut package = Self {
            name: "",
            version: "",
            architecture: "",
            multi_arch: MultiArch::No,
            priority: Priority::Optional,
            essential: false,
            pre_depends: "",
            depends: "",
            provides: "",
            source: "",
            filename: "",
            size: 0,
            sha256: "",
        };
        let mut size = None;
        for (field, value) in Paragraph::new(stanza).fields() {
            match field {
                "Package" => package.name = value,
                "Version" => package.version = value,
                "Architecture" => package.architecture = value,
                "Multi-Arch" => package.multi_arch = MultiArch::parse(value),
                "Priority" => package.priority = Priority::parse(value),
                "Essential" => package.essential = value == "yes",
                "Pre-Depends" => package.pre_depends = value,
                "Depends" => package.depends = value,
                "Provides" => package.provides = value,
                "Source" => package.source = value.split_whitespace().next().unwrap_or(""),
                "Filename" => package.filename = value,
                "Size" => size = value.parse().ok(),
                "SHA256" => package.sha256 = value,
                _ => {}
            }
        }
        let name = package.name;
        let missing = |field| IndexError::Field { package: if name.is_empty() { "?".to_owned() } else { name.to_owned() }, field };
        if !is_name(name) {
            return Err(missing("Package"));
        }
        if Version::parse_lenient(package.version).is_err() {
            return Err(missing("Version"));
        }
        if !is_name(package.architecture) {
            return Err(missing("Architecture"));
        }
        if package.filename.is_empty() || package.filename.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(missing("Filename"));
        }
        if !is_sha256(package.sha256) {
            return Err(missing("SHA256"));
        }
        package.size = size.ok_or_else(|| missing("Size"))?;
        if package.source.is_empty() {
            // Left out when it is the name of the package: policy 5.6.1.
            package.source = name;
        }
        Ok(package)
    }

    /// The version, ready to be compared.
    #[must_use]
    pub fn parsed_version(&self) -> Version {
        Version::parse_lenient(self.version).expect("the version was checked when the package was parsed")
    }
}

/// Names that a package provides.
fn provided_names(package: &Package<'_>) -> Result<Vec<Box<str>>, IndexError> {
    let groups = relation::groups(package.provides).map_err(|source| IndexError::Provides { package: package.name.to_owned(), source })?;
    Ok(groups.into_iter().flatten().map(|relation| relation.name.into()).collect())
}

/// Whether a text can be the name of a package or an architecture. It ends up in paths.
fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

/// Whether a text is a SHA-256 as archives write it.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl MultiArch {
    fn parse(value: &str) -> Self {
        match value {
            "same" => Self::Same,
            "foreign" => Self::Foreign,
            "allowed" => Self::Allowed,
            _ => Self::No,
        }
    }
}

impl Priority {
    fn parse(value: &str) -> Self {
        match value {
            "required" => Self::Required,
            "important" => Self::Important,
            "standard" => Self::Standard,
            _ => Self::Optional,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A stanza with made-up file, size and digest, for this crate's tests. `more` are further lines, each ending in a line break.
    pub(crate) fn stanza(name: &str, version: &str, architecture: &str, more: &str) -> String {
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n{more}Filename: pool/main/{name}_{version}_{architecture}.deb\n\
             Size: 1000\nSHA256: {}\n\n",
            "0123456789abcdef".repeat(4)
        )
    }

    pub(crate) fn index(stanzas: &[String]) -> Index {
        let mut index = Index::new();
        index.add(stanzas.concat().into_bytes()).expect("index");
        index
    }

    #[test]
    fn every_field_that_is_used_later_is_read() {
        let text = "Package: login\nSource: util-linux (2.41-5)\nVersion: 1:4.16.0-2\nEssential: yes\nMulti-Arch: foreign\nPriority: required\n\
                    Architecture: arm64\nPre-Depends: libaudit1 (>= 1:2.2.1),\n libc6\nDepends: libpam0g\nProvides: who (= 2)\nDescription: long\n text\n\
                    Filename: pool/main/u/util-linux/login.deb\nSize: 82236\nSHA256: 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
        let index = index(&[text.to_owned()]);
        let package = index.newest("login", "arm64").expect("package");
        assert_eq!(
            package,
            Package {
                name: "login",
                version: "1:4.16.0-2",
                architecture: "arm64",
                multi_arch: MultiArch::Foreign,
                priority: Priority::Required,
                essential: true,
                pre_depends: "libaudit1 (>= 1:2.2.1),\n libc6",
                depends: "libpam0g",
                provides: "who (= 2)",
                source: "util-linux",
                filename: "pool/main/u/util-linux/login.deb",
                size: 82236,
                sha256: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            }
        );
    }

    #[test]
    fn newest_compares_versions_as_debian_does() {
        let index = index(&["1.10-1", "1.9-1", "1.10~rc1-1"].map(|version| stanza("tool", version, "amd64", "")));
        assert_eq!(index.newest("tool", "amd64").map(|package| package.version), Some("1.10-1"));
    }

    #[test]
    fn newest_takes_only_the_architecture_asked_for_and_all() {
        let index = index(&[stanza("tool", "2", "arm64", ""), stanza("tool", "1", "amd64", ""), stanza("data", "3", "all", "")]);
        assert_eq!(index.newest("tool", "amd64").map(|package| package.version), Some("1"));
        assert_eq!(index.newest("data", "amd64").map(|package| package.version), Some("3"));
        assert_eq!(index.newest("tool", "riscv64"), None);
    }

    #[test]
    fn packages_for_all_architectures_are_kept_once() {
        let mut index = index(&[stanza("data", "1", "all", ""), stanza("tool", "1", "amd64", "")]);
        index.add([stanza("data", "1", "all", ""), stanza("tool", "1", "arm64", "")].concat().into_bytes()).expect("index");
        assert_eq!(index.len(), 3);
        assert_eq!(index.named("tool").map(|package| package.architecture).collect::<Vec<_>>(), ["amd64", "arm64"]);
    }

    #[test]
    fn a_package_without_a_usable_field_is_refused_by_name() {
        let good = stanza("tool", "1", "amd64", "");
        for (field, broken) in [
            ("Version", good.replace("Version: 1", "Version: (1)")),
            ("Architecture", good.replace("Architecture: amd64", "Architecture: ../x")),
            ("Filename", good.replace("pool/main", "pool/../..")),
            ("Filename", good.replace("Filename: ", "Filename: /")),
            ("Size", good.replace("Size: 1000", "Size: -1")),
            ("SHA256", good.replace("SHA256: 01", "SHA256: 0")),
        ] {
            let error = Index::new().add(broken.into_bytes()).expect_err(field);
            assert!(error.to_string().contains("`tool`") && error.to_string().contains(field), "{error}");
        }
    }

    #[test]
    fn an_index_that_is_refused_adds_nothing() {
        let mut index = index(&[stanza("tool", "1", "amd64", "")]);
        index.add((stanza("more", "1", "amd64", "") + "Package: broken\n").into_bytes()).expect_err("no version");
        assert_eq!((index.len(), index.newest("more", "amd64")), (1, None));
    }
}
