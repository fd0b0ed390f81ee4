//! `manifest.json`: every input's hash, the tools' versions, and where the sections of a UKI lie.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use shoal_cache::Digest;
use uuid::Uuid;

use crate::build::{Artifacts, Build};
use shoal_format::pe::Section;

use crate::steps::disk::SECTIONS_FILE;
use crate::steps::root::{EROFS_FILE, PARTS_FILE};

/// Version of the manifest's form.
const FORMAT: u32 = 1;

/// The manifest of the images of one architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// Version of this form: 1.
    pub format: u32,
    /// Recipe.
    pub name: String,
    /// Version of the recipe.
    pub version: String,
    /// Architecture.
    pub arch: String,
    /// The image's id: also the GPT disk GUID.
    pub id: Uuid,
    /// Build time, seconds since 1970.
    pub epoch: i64,
    /// Debian packages in the image: `archive/name:arch` to version and SHA-256.
    pub packages: BTreeMap<String, PackageEntry>,
    /// Debian packages of the tools that made it.
    pub tools: BTreeMap<String, PackageEntry>,
    /// Go modules: directory to toolchain and hashes of go.mod and go.sum.
    pub go: BTreeMap<String, BTreeMap<String, String>>,
    /// SHA-256 of the workspace's Cargo.lock.
    pub cargo_lock: Option<String>,
    /// Downloads and local files: SHA-256.
    pub files: BTreeMap<String, String>,
    /// Packages that a newer version took the place of, because the locked one is gone.
    pub replaced: Vec<String>,
    /// What the root file system is made of: part and bytes, uncompressed.
    pub parts: Vec<(String, u64)>,
    /// Size of the root file system image in bytes.
    pub root_bytes: u64,
    /// Sections of the UKI.
    pub sections: Vec<Section>,
    /// What was written.
    pub outputs: Vec<OutputEntry>,
}

/// A Debian package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageEntry {
    /// Version.
    pub version: String,
    /// SHA-256 of the .deb.
    pub sha256: String,
}

/// A file that a build wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputEntry {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

impl Manifest {
    /// The manifest of `artifacts`.
    ///
    /// # Errors
    /// If the cache is damaged.
    pub fn of(build: &Build<'_>, artifacts: &Artifacts, outputs: Vec<OutputEntry>) -> Result<Self> {
        let sources = build.sources;
        let lock = sources.lock();
        let mut packages = BTreeMap::new();
        let mut tools = BTreeMap::new();
        let inside = crate::sbom::image_packages(build, artifacts.arch)?;
        for (reference, locked) in sources.packages() {
            let entry = PackageEntry { version: locked.version.clone(), sha256: locked.sha256.clone() };
            if inside.contains(reference) {
                packages.insert(reference.to_owned(), entry);
            } else if crate::toolbox::BUILD_TOOLS
                .iter()
                .any(|tool| sources.group(&format!("tool.{tool}")).is_ok_and(|group| group.iter().any(|member| member == reference)))
            {
                tools.insert(reference.to_owned(), entry);
            }
        }
        let go = lock
            .go
            .iter()
            .map(|(dir, locked)| {
                let facts = [
                    ("toolchain", &locked.toolchain),
                    ("toolchain-sum", &locked.toolchain_sum),
                    ("go.mod", &locked.go_mod),
                    ("go.sum", &locked.go_sum),
                ];
                (dir.clone(), facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone())).collect())
            })
            .collect();
        Ok(Self {
            format: FORMAT,
            name: build.recipe.name.clone(),
            version: build.recipe.version.clone(),
            arch: artifacts.arch.name().to_owned(),
            id: artifacts.id,
            epoch: build.recipe.epoch,
            packages,
            tools,
            go,
            cargo_lock: lock.cargo.clone(),
            files: lock.files.clone(),
            replaced: sources.replaced.clone(),
            parts: serde_json::from_slice(&artifacts.root.read(PARTS_FILE)?).context("the cache's table of parts is damaged")?,
            root_bytes: std::fs::metadata(artifacts.root.path(EROFS_FILE))?.len(),
            sections: serde_json::from_slice(&artifacts.uki.read(SECTIONS_FILE)?).context("the cache's table of sections is damaged")?,
            outputs,
        })
    }
}
