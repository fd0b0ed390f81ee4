//! What is inside an image: Debian packages, crates and Go modules, as CycloneDX.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use shoal_contract::Arch;
use shoal_format::purl;
use shoal_format::sbom::{Bill, Component, ComponentType};

use crate::build::{Artifacts, Build};
use crate::steps::programs::go_modules;

/// References of the Debian packages that an image of `arch` holds.
///
/// # Errors
/// If the lock lacks a group.
pub fn image_packages(build: &Build<'_>, arch: Arch) -> Result<BTreeSet<String>> {
    let mut inside = BTreeSet::new();
    for group in ["root", "kernel", "firmware", "loaders", "content"] {
        inside.extend(build.sources.group(&format!("{group}.{arch}"))?);
    }
    Ok(inside)
}

/// The SBOM of `artifacts`.
///
/// # Errors
/// If the cache or the workspace's Cargo.lock cannot be read.
pub fn write(build: &Build<'_>, artifacts: &Artifacts) -> Result<Vec<u8>> {
    let mut components = Vec::new();
    let mut packages = image_packages(build, artifacts.arch)?;
    if artifacts.arch == Arch::Amd64 {
        // GRUB's code goes into the image, though its package is a tool of the build.
        packages.extend(build.sources.group("tool.grub")?.into_iter().filter(|reference| reference.contains("/grub-pc-bin:")));
    }
    for reference in packages {
        let locked = build.sources.locked(&reference)?;
        let suite = build.recipe.archives.get(&locked.archive).map_or("", |archive| archive.suite.as_str());
        components.push(Component {
            component_type: ComponentType::Application,
            name: locked.name.clone(),
            version: locked.version.clone(),
            purl: Some(purl::debian(&locked.name, &locked.version, &locked.arch, suite)),
            sha256: Some(locked.sha256.clone()),
            license: None,
            supplier: Some("Debian".to_owned()),
        });
    }
    let lock_path = build.project.workspace.join("Cargo.lock");
    let text = std::fs::read_to_string(&lock_path).with_context(|| format!("cannot read {}", lock_path.display()))?;
    let roots: BTreeSet<&str> = build.recipe.crates.iter().map(|binary| binary.package.as_str()).collect();
    for package in crates_below(&text, &roots)? {
        components.push(Component {
            component_type: ComponentType::Library,
            purl: Some(purl::cargo(&package.name, &package.version)),
            name: package.name,
            version: package.version,
            sha256: package.checksum,
            license: None,
            supplier: None,
        });
    }
    for (path, version, _) in go_modules(&artifacts.programs)? {
        components.push(Component {
            component_type: ComponentType::Library,
            purl: Some(purl::golang(&path, &version)),
            name: path,
            version,
            // Go's `h1:` sums are hashes of lists of hashes, not of one file; CycloneDX has no field for them.
            sha256: None,
            license: None,
            supplier: None,
        });
    }
    let subject = Component {
        component_type: ComponentType::OperatingSystem,
        name: build.recipe.name.clone(),
        version: build.recipe.version.clone(),
        purl: None,
        sha256: None,
        license: None,
        supplier: None,
    };
    let bill = Bill { subject, components, tool_version: env!("CARGO_PKG_VERSION").to_owned(), epoch: build.epoch()? };
    Ok(bill.to_json().into_bytes())
}

/// A package of a Cargo.lock.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LockedCrate {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// What `roots` depend on, transitively, by a Cargo.lock.
fn crates_below(lock: &str, roots: &BTreeSet<&str>) -> Result<Vec<LockedCrate>> {
    let table: toml::Table = lock.parse().context("Cargo.lock is not valid TOML")?;
    let packages = table.get("package").and_then(toml::Value::as_array).context("Cargo.lock has no packages")?;
    let text = |value: &toml::Value, key: &str| value.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let mut by_name: BTreeMap<String, Vec<&toml::Value>> = BTreeMap::new();
    for package in packages {
        by_name.entry(text(package, "name").unwrap_or_default()).or_default().push(package);
    }
    let mut open: Vec<String> = roots.iter().map(ToString::to_string).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    while let Some(reference) = open.pop() {
        if !seen.insert(reference.clone()) {
            continue;
        }
        // A reference is `name`, or `name version` where there are several versions.
        let (name, version) = reference.split_once(' ').map_or((reference.as_str(), None), |(name, version)| (name, Some(version)));
        for package in by_name.get(name).into_iter().flatten() {
            let here = text(package, "version").unwrap_or_default();
            if version.is_some_and(|version| version.split(' ').next() != Some(here.as_str())) {
                continue;
            }
            let dependencies = package.get("dependencies").and_then(toml::Value::as_array);
            open.extend(dependencies.into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned)));
            found.push(LockedCrate { name: name.to_owned(), version: here, checksum: text(package, "checksum") });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\"b 2.0.0\"]\n[[package]]\nname = \"b\"\nversion = \"1.0.0\"\n[[package]]\nname = \"b\"\nversion = \"2.0.0\"\nchecksum = \"ff\"\n[[package]]\nname = \"c\"\nversion = \"1.0.0\"\n";

    #[test]
    fn only_what_the_image_holds_is_listed_and_in_the_right_version() {
        let mut found = crates_below(LOCK, &BTreeSet::from(["a"])).unwrap();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        let names: Vec<_> = found.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
        assert_eq!(names, ["a 1.0.0", "b 2.0.0"]);
    }
}
