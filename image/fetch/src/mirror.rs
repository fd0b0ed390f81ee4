//! Mirrors of Debian archives, from this machine's own apt sources.
//!
//! A mirror is known by the last segment of its URI, its *origin*: `debian`, `debian-security`. Whatever suite the machine itself takes from it,
//! the mirror has all suites of the origin, so a machine with bookworm finds trixie. Sources are read as sources.list(5) describes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use shoal_debian::deb822;

/// Where apt's sources are.
const APT_DIRECTORY: &str = "/etc/apt";

/// Mirrors by origin, best first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    by_origin: BTreeMap<String, Vec<String>>,
}

/// Why there is no mirror.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// A file of the machine's configuration cannot be read.
    #[error("cannot read {}; make it readable, or name mirrors with `--mirror NAME=URI`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A mirror that was named is no URI.
    #[error("`{uri}` is no mirror for `{origin}`; write `--mirror {origin}=http://HOST/PATH`")]
    NoUri {
        /// The origin it was named for.
        origin: String,
        /// What was named.
        uri: String,
    },
    /// No source of this machine is of this origin.
    #[error(
        "no mirror of the archive `{origin}` is known: no enabled source in /etc/apt/sources.list or /etc/apt/sources.list.d has a URI that ends in \
         `/{origin}`; add one there, or name one with `--mirror {origin}=URI`"
    )]
    Unknown {
        /// The origin.
        origin: String,
    },
}

impl Mirrors {
    /// Mirrors of this machine, replaced for each origin in `named` by the URI given there.
    ///
    /// # Errors
    /// When apt's sources exist but cannot be read, or a mirror that was named is no URI.
    pub fn of_host(named: &BTreeMap<String, String>) -> Result<Self, MirrorError> {
        Self::of_directory(Path::new(APT_DIRECTORY), named)
    }

    /// The same for a directory in the place of `/etc/apt`.
    ///
    /// # Errors
    /// As [`Mirrors::of_host`].
    pub fn of_directory(apt: &Path, named: &BTreeMap<String, String>) -> Result<Self, MirrorError> {
        let mut uris = Vec::new();
        for path in source_files(apt)? {
            let text = read(&path)?;
            let found =
                if path.extension().is_some_and(|extension| extension == "sources") { deb822_uris(&text) } else { one_line_uris(&text) };
            for uri in found {
                // Debian's cloud images name a file with mirrors: apt-transport-mirror(1).
                match uri.strip_prefix("mirror+file:") {
                    Some(list) => uris.extend(listed_uris(&read(&local_path(list))?)),
                    None => uris.push(uri),
                }
            }
        }
        Self::from_uris(uris, named)
    }

    /// Mirrors among URIs; those that are neither `http` nor `https` are left out.
    ///
    /// # Errors
    /// When a mirror that was named is no URI.
    pub fn from_uris(uris: impl IntoIterator<Item = String>, named: &BTreeMap<String, String>) -> Result<Self, MirrorError> {
        let mut by_origin: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for uri in uris {
            let uri = uri.trim_end_matches('/');
            let Some(origin) = origin(uri) else { continue };
            let known = by_origin.entry(origin.to_owned()).or_default();
            if !known.iter().any(|known| known == uri) {
                known.push(uri.to_owned());
            }
        }
        for (origin, uri) in named {
            let trimmed = uri.trim_end_matches('/');
            if !is_http(trimmed) {
                return Err(MirrorError::NoUri { origin: origin.clone(), uri: uri.clone() });
            }
            by_origin.insert(origin.clone(), vec![trimmed.to_owned()]);
        }
        Ok(Self { by_origin })
    }

    /// URIs of a path below the mirrors of an origin, best mirror first; never empty.
    ///
    /// # Errors
    /// When there is no mirror.
    pub fn urls(&self, origin: &str, path: &str) -> Result<Vec<String>, MirrorError> {
        let mirrors = self.by_origin.get(origin).ok_or_else(|| MirrorError::Unknown { origin: origin.to_owned() })?;
        Ok(mirrors.iter().map(|mirror| format!("{mirror}/{path}")).collect())
    }
}

/// Files with sources, in the order in which apt reads them.
fn source_files(apt: &Path) -> Result<Vec<PathBuf>, MirrorError> {
    let mut files = Vec::new();
    let main = apt.join("sources.list");
    if main.exists() {
        files.push(main);
    }
    let parts = apt.join("sources.list.d");
    let entries = match fs::read_dir(&parts) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(source) => return Err(MirrorError::Read { path: parts, source }),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| MirrorError::Read { path: parts.clone(), source })?.path();
        if path.extension().is_some_and(|extension| extension == "list" || extension == "sources") {
            found.push(path);
        }
    }
    found.sort();
    files.extend(found);
    Ok(files)
}

fn read(path: &Path) -> Result<String, MirrorError> {
    let bytes = fs::read(path).map_err(|source| MirrorError::Read { path: path.to_owned(), source })?;
    // Comments may be in any encoding; URIs are ASCII.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Path of `/etc/x` and of `///etc/x`.
fn local_path(written: &str) -> PathBuf {
    PathBuf::from(format!("/{}", written.trim_start_matches('/')))
}

/// URIs of binary packages in a `.list` file: lines of `deb [options] URI suite component...`.
fn one_line_uris(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            let rest = line.trim_start().strip_prefix("deb")?;
            let rest = rest.strip_prefix(|letter: char| letter.is_whitespace() || letter == '[').map(|_| rest.trim_start())?;
            let rest = match rest.strip_prefix('[') {
                Some(options) => options.split_once(']')?.1,
                None => rest,
            };
            rest.split_whitespace().next().map(ToOwned::to_owned)
        })
        .collect()
}

/// URIs of binary packages in a `.sources` file.
fn deb822_uris(text: &str) -> Vec<String> {
    let words = |value: &str| -> Vec<String> {
        value.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(str::split_whitespace).map(ToOwned::to_owned).collect()
    };
    deb822::paragraphs(text)
        .filter(|source| {
            !source.field("Enabled").is_some_and(|enabled| ["no", "false", "without", "off", "disable", "0"].contains(&enabled))
        })
        .filter(|source| source.field("Types").is_some_and(|types| words(types).iter().any(|word| word == "deb")))
        .flat_map(|source| source.field("URIs").map(words).unwrap_or_default())
        .collect()
}

/// URIs in a list of mirrors: one at the beginning of each line.
fn listed_uris(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_whitespace().next()).map(ToOwned::to_owned).collect()
}

fn is_http(uri: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| uri.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')))
}

/// Last segment of the path of a URI that ends without a slash.
fn origin(uri: &str) -> Option<&str> {
    if !is_http(uri) {
        return None;
    }
    let (_, path) = uri.split_once("://")?.1.split_once('/')?;
    path.rsplit('/').next().filter(|origin| !origin.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(origin, uri)| ((*origin).to_owned(), (*uri).to_owned())).collect()
    }

    /// Mirrors of a made-up machine with these files below its `/etc/apt`.
    fn machine(files: &[(&str, &str)], named: &BTreeMap<String, String>) -> Result<Mirrors, MirrorError> {
        let apt = tempfile::tempdir().expect("temporary directory");
        fs::create_dir(apt.path().join("sources.list.d")).expect("directory");
        for (name, text) in files {
            fs::write(apt.path().join(name), text.replace("APT", apt.path().to_str().expect("text"))).expect("file");
        }
        Mirrors::of_directory(apt.path(), named)
    }

    #[test]
    fn one_line_sources_are_read_with_their_options() {
        let text = "# deb http://commented.test/debian sid main\n\
                    deb http://one.test/debian/ bookworm main\n\
                    \tdeb\t[arch=amd64 signed-by=/usr/share/keyrings/x.gpg]  https://two.test/pub/debian bookworm main # why\n\
                    deb [ trusted=yes ] http://three.test/debian-security bookworm-security main\n\
                    deb-src http://source.test/debian bookworm main\n\
                    debug http://no.test/debian x\n\
                    deb cdrom:[Debian 13]/ trixie main\n";
        let mirrors = machine(&[("sources.list", text)], &named(&[])).expect("sources");
        assert_eq!(mirrors.urls("debian", "dists").expect("mirror"), ["http://one.test/debian/dists", "https://two.test/pub/debian/dists"]);
        assert_eq!(mirrors.urls("debian-security", "x").expect("mirror"), ["http://three.test/debian-security/x"]);
    }

    #[test]
    fn deb822_sources_are_read_unless_disabled() {
        let text = "Types: deb deb-src\nURIs: http://one.test/debian\n# between\n http://two.test/debian\nSuites: trixie\n\n\
                    Enabled: no\nTypes: deb\nURIs: http://off.test/debian\n\n\
                    Types: deb-src\nURIs: http://source.test/debian\n";
        let mirrors = machine(&[("sources.list.d/debian.sources", text)], &named(&[])).expect("sources");
        assert_eq!(mirrors.urls("debian", "").expect("mirror"), ["http://one.test/debian/", "http://two.test/debian/"]);
    }

    #[test]
    fn files_are_read_in_order_and_each_mirror_once() {
        let files = [
            ("sources.list.d/b.list", "deb http://b.test/debian sid main\ndeb http://a.test/debian sid main"),
            ("sources.list.d/a.sources", "Types: deb\nURIs: http://a.test/debian/\n"),
            ("sources.list.d/c.list.save", "deb http://saved.test/debian sid main"),
        ];
        let mirrors = machine(&files, &named(&[])).expect("sources");
        assert_eq!(mirrors.urls("debian", "x").expect("mirror"), ["http://a.test/debian/x", "http://b.test/debian/x"]);
    }

    #[test]
    fn a_file_with_mirrors_is_followed() {
        let files = [
            ("sources.list.d/cloud.sources", "Types: deb\nURIs: mirror+file://APT/mirrors.list\nSuites: bookworm\n"),
            ("mirrors.list", "# comment\nhttp://one.test/debian\tpriority:1\nhttps://two.test/debian\n"),
        ];
        let mirrors = machine(&files, &named(&[])).expect("sources");
        assert_eq!(mirrors.urls("debian", "x").expect("mirror"), ["http://one.test/debian/x", "https://two.test/debian/x"]);
    }

    #[test]
    fn a_named_mirror_replaces_the_machines_own() {
        let list = [("sources.list", "deb http://one.test/debian sid main\ndeb http://one.test/debian-security sid main")];
        let mirrors = machine(&list, &named(&[("debian", "http://other.test/pool/")])).expect("sources");
        assert_eq!(mirrors.urls("debian", "x").expect("mirror"), ["http://other.test/pool/x"]);
        assert_eq!(mirrors.urls("debian-security", "x").expect("mirror"), ["http://one.test/debian-security/x"]);
    }

    #[test]
    fn a_named_mirror_that_is_no_uri_is_refused() {
        let error = machine(&[], &named(&[("debian", "mirror.test")])).expect_err("no scheme");
        assert!(error.to_string().contains("--mirror debian=http"), "{error}");
    }

    #[test]
    fn a_machine_without_a_mirror_is_told_what_to_edit() {
        let error = machine(&[("sources.list", "deb http://one.test/ubuntu noble main")], &named(&[]))
            .expect("sources")
            .urls("debian", "x")
            .expect_err("none");
        let text = error.to_string();
        assert!(text.contains("/etc/apt/sources.list") && text.contains("--mirror debian=URI"), "{text}");
    }
}
