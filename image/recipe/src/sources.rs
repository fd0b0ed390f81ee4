//! The part of a recipe that its lock depends on.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha2::{Digest, Sha256};
use shoal_contract::boot::Arch;

use crate::model::{Content, Depends, File, Recipe};

/// Everything that decides *which* bytes are fetched, and nothing that decides what is done with them: a changed service, file text or
/// `include` must not make a lock stale, since its hashes would stay the same.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Sources<'a> {
    archives: BTreeMap<&'a str, ArchiveSource<'a>>,
    packages: Vec<PackageSource<'a>>,
    tools: BTreeMap<&'a str, ToolSource<'a>>,
    kernel: KernelSource<'a>,
    loaders: [&'a str; 3],
    go: BTreeSet<&'a str>,
    crates: bool,
    files: BTreeSet<FileSource<'a>>,
}

#[derive(Serialize)]
struct ArchiveSource<'a> {
    origin: &'a str,
    suite: &'a str,
    components: &'a [String],
    keys: &'a [String],
}

#[derive(Serialize)]
struct PackageSource<'a> {
    name: &'a str,
    archive: &'a str,
    arch: &'a [Arch],
    depends: &'a Depends,
}

#[derive(Serialize)]
struct ToolSource<'a> {
    archive: &'a str,
    packages: &'a [String],
    except: &'a [String],
}

#[derive(Serialize)]
struct KernelSource<'a> {
    archive: &'a str,
    package: &'a BTreeMap<Arch, String>,
    firmware: &'a [String],
}

/// Content of a file that comes from outside the recipe.
#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
enum FileSource<'a> {
    Source(&'a str),
    Url { address: &'a str, arch: &'a [Arch] },
    Debian { archive: &'a str, package: &'a str, arch: &'a [Arch] },
}

impl<'a> FileSource<'a> {
    fn of(file: &'a File) -> Option<Self> {
        match &file.content {
            Content::Source(path) => Some(Self::Source(path)),
            Content::Url(address) => Some(Self::Url { address, arch: &file.arch }),
            Content::Debian { archive, package, .. } => Some(Self::Debian { archive, package, arch: &file.arch }),
            Content::Text(_) | Content::Go(_) | Content::C(_) => None,
        }
    }
}

impl Recipe {
    /// SHA-256, in hexadecimal digits, of what the lock depends on.
    ///
    /// # Panics
    /// Never: the sources are texts, lists and tables of them.
    #[must_use]
    pub fn sources(&self) -> String {
        let sources = Sources {
            archives: self
                .archives
                .iter()
                .map(|(name, archive)| {
                    let source = ArchiveSource {
                        origin: &archive.origin,
                        suite: &archive.suite,
                        components: &archive.components,
                        keys: &archive.keys,
                    };
                    (name.as_str(), source)
                })
                .collect(),
            packages: self
                .packages
                .iter()
                .map(|package| PackageSource {
                    name: &package.name,
                    archive: &package.archive,
                    arch: &package.arch,
                    depends: &package.depends,
                })
                .collect(),
            tools: self
                .tools
                .iter()
                .map(|(name, tool)| (name.as_str(), ToolSource { archive: &tool.archive, packages: &tool.packages, except: &tool.except }))
                .collect(),
            kernel: KernelSource { archive: &self.kernel.archive, package: &self.kernel.package, firmware: &self.kernel.firmware },
            loaders: [&self.loaders.archive, &self.loaders.uefi, &self.loaders.bios],
            go: self.go_modules(),
            crates: !self.crates.is_empty(),
            files: self.all_files().filter_map(FileSource::of).collect(),
        };
        let text = toml::to_string(&sources).expect("sources have no value that TOML cannot express");
        Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Directories of the Go modules that its programs, Go and C, come from.
    #[must_use]
    pub fn go_modules(&self) -> BTreeSet<&str> {
        self.go.iter().map(|program| program.module.as_str()).chain(self.c.iter().map(|program| program.module.as_str())).collect()
    }

    /// Its files and those of its images.
    pub fn all_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().chain(self.images.iter().flat_map(|image| &image.files))
    }

    /// The architectures it can be built for: those it has a kernel for.
    pub fn architectures(&self) -> impl Iterator<Item = Arch> {
        self.kernel.package.keys().copied()
    }
}
