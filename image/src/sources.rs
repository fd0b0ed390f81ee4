//! What a lock pins, fetched into the cache and verified.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use shoal_cache::{Cache, Digest};
use shoal_contract::Arch;
use shoal_fetch::{DownloadError, Downloader, FetchError, Mirrors, Proxies, RequestError, Wanted};
use shoal_recipe::Lock;
use shoal_recipe::lock::{LockedGo, LockedPackage};
use shoal_recipe::model::{Recipe, WhenGone};

use crate::events::Reporter;
use crate::project::Project;

/// The sources of a build, all of them in the cache.
#[derive(Debug)]
pub struct Sources {
    lock: Lock,
    packages: BTreeMap<String, (LockedPackage, PathBuf)>,
    files: BTreeMap<String, PathBuf>,
    /// Sentences about packages that a newer version took the place of.
    pub replaced: Vec<String>,
}

/// How to reach the outside.
#[derive(Debug)]
pub struct Access<'access> {
    /// The cache.
    pub cache: &'access Cache,
    /// Where events go.
    pub reporter: &'access Reporter,
    /// Mirrors given on the command line.
    pub mirrors: &'access [(String, String)],
    /// Use nothing but the cache.
    pub offline: bool,
}

impl<'access> Access<'access> {
    /// The downloader.
    #[must_use]
    pub fn downloader(&self) -> Downloader<'access> {
        Downloader::new(self.cache, Proxies::of_host(), self.offline)
    }

    /// The mirrors: the host's, or those given on the command line.
    ///
    /// # Errors
    /// If apt's settings cannot be read.
    pub fn mirrors(&self) -> Result<Mirrors> {
        Ok(Mirrors::of_host(&self.mirrors.iter().cloned().collect())?)
    }
}

impl Sources {
    /// Fetches what the groups `groups` of `lock` and the recipe's downloads need.
    ///
    /// # Errors
    /// If something is gone or has another hash; the error names it and the command to run.
    pub fn fetch(access: &Access<'_>, project: &Project, mut lock: Lock, groups: &BTreeSet<String>) -> Result<Self> {
        let recipe = &project.recipe;
        let downloader = access.downloader();
        let mut replaced = Vec::new();
        if let Err(error) = downloader.fetch(&wanted(access, recipe, &lock, groups)?, access.reporter) {
            let Some(gone) = gone(&error).map(str::to_owned) else {
                return Err(anyhow::Error::from(error).context("not all sources could be fetched"));
            };
            if !may_replace(recipe, &lock, &gone) {
                let path = project.recipe_path.display();
                return Err(anyhow::Error::from(error)
                    .context(format!("the archive no longer has {gone}; run `shoal lock {path} --update` to lock what it has now")));
            }
            replaced = crate::lock::replace_gone(access, project, &mut lock, &gone)?;
            for sentence in &replaced {
                access.reporter.note(sentence.clone());
            }
            let again = wanted(access, recipe, &lock, groups)?;
            downloader.fetch(&again, access.reporter).context("not all sources could be fetched")?;
        }
        let names = names_of(&lock, groups)?;
        let mut packages = BTreeMap::new();
        for locked in lock.packages.iter().filter(|package| names.contains(&reference_of(package))) {
            let digest: Digest = locked.sha256.parse().with_context(|| format!("the lock's hash of {} is malformed", locked.name))?;
            let path = access.cache.object(&digest).with_context(|| format!("{} left the cache while the build began", locked.name))?;
            packages.insert(reference_of(locked), (locked.clone(), path));
        }
        let mut files = BTreeMap::new();
        for (url, hash) in lock.files.iter().filter(|(url, _)| url.contains("://")) {
            let digest: Digest = hash.parse().with_context(|| format!("the lock's hash of {url} is malformed"))?;
            if let Some(path) = access.cache.object(&digest) {
                files.insert(url.clone(), path);
            }
        }
        Ok(Self { lock, packages, files, replaced })
    }

    /// References of a group's packages, in unpacking order.
    ///
    /// # Errors
    /// If the lock has no such group.
    pub fn group(&self, name: &str) -> Result<Vec<String>> {
        Ok(group_of(&self.lock, name)?.packages.clone())
    }

    /// The locked package of a reference.
    ///
    /// # Errors
    /// If it was not fetched for this build.
    pub fn locked(&self, reference: &str) -> Result<&LockedPackage> {
        self.packages.get(reference).map(|(locked, _)| locked).with_context(|| format!("{reference} was not fetched for this build"))
    }

    /// The file of a reference.
    ///
    /// # Errors
    /// If it was not fetched for this build.
    pub fn deb(&self, reference: &str) -> Result<PathBuf> {
        self.packages.get(reference).map(|(_, path)| path.clone()).with_context(|| format!("{reference} was not fetched for this build"))
    }

    /// The reference of `package` of `archive` in `group`.
    ///
    /// # Errors
    /// If the group has no such package.
    pub fn reference(&self, group: &str, archive: &str, package: &str) -> Result<String> {
        let prefix = format!("{archive}/{package}:");
        let found = self.group(group)?.into_iter().find(|reference| reference.starts_with(&prefix));
        found.with_context(|| format!("the lock's group {group} has no package {package}"))
    }

    /// The file of a download.
    ///
    /// # Errors
    /// If the lock does not pin it.
    pub fn download(&self, url: &str) -> Result<PathBuf> {
        self.files.get(url).cloned().with_context(|| format!("the lock does not pin {url}"))
    }

    /// What pins the Go module in `dir`.
    ///
    /// # Errors
    /// If the lock has no such module.
    pub fn go(&self, dir: &str) -> Result<LockedGo> {
        self.lock.go.get(dir).cloned().with_context(|| format!("the lock does not pin the Go module {dir}"))
    }

    /// All packages fetched for this build, by reference.
    pub fn packages(&self) -> impl Iterator<Item = (&str, &LockedPackage)> {
        self.packages.iter().map(|(reference, (locked, _))| (reference.as_str(), locked))
    }

    /// The lock, with replacements.
    #[must_use]
    pub const fn lock(&self) -> &Lock {
        &self.lock
    }
}

/// `archive/name:arch`.
#[must_use]
pub fn reference_of(package: &LockedPackage) -> String {
    format!("{}/{}:{}", package.archive, package.name, package.arch)
}

/// Groups that a build for `arch` needs of the recipe's tools and packages.
#[must_use]
pub fn groups_for(recipe: &Recipe, archs: &[Arch], tools: &[&str]) -> BTreeSet<String> {
    let mut groups: BTreeSet<String> =
        tools.iter().filter(|tool| recipe.tools.contains_key(**tool)).map(|tool| format!("tool.{tool}")).collect();
    for arch in archs {
        groups.extend(["root", "kernel", "firmware", "loaders", "content"].map(|kind| format!("{kind}.{arch}")));
    }
    groups
}

fn group_of<'lock>(lock: &'lock Lock, name: &str) -> Result<&'lock shoal_recipe::lock::LockedGroup> {
    lock.groups.get(name).with_context(|| format!("the lock has no group {name}; run `shoal lock`"))
}

fn names_of(lock: &Lock, groups: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for group in groups {
        names.extend(group_of(lock, group)?.packages.iter().cloned());
    }
    Ok(names)
}

fn wanted(access: &Access<'_>, recipe: &Recipe, lock: &Lock, groups: &BTreeSet<String>) -> Result<Vec<Wanted>> {
    let names = names_of(lock, groups)?;
    let mirrors = access.mirrors()?;
    let mut all = Vec::new();
    for package in lock.packages.iter().filter(|package| names.contains(&reference_of(package))) {
        let archive = recipe.archives.get(&package.archive).with_context(|| {
            format!("the lock names the archive `{}`, which the recipe does not have; run `shoal lock`", package.archive)
        })?;
        let sha256 = package.sha256.parse().with_context(|| format!("the lock's hash of {} is malformed", package.name))?;
        // What is in the cache needs no mirror: a build without network works on a machine that has none set up.
        let urls = if access.cache.object(&sha256).is_some() || access.offline {
            Vec::new()
        } else {
            mirrors.urls(&archive.origin, &package.path)?
        };
        all.push(Wanted { urls, sha256, size: Some(package.size), label: label_of(package) });
    }
    for (url, hash) in lock.files.iter().filter(|(url, _)| url.contains("://")) {
        all.push(Wanted {
            urls: vec![url.clone()],
            sha256: hash.parse().with_context(|| format!("the lock's hash of {url} is malformed"))?,
            size: None,
            label: url.clone(),
        });
    }
    Ok(all)
}

/// The label of the source that the archive no longer has, if that is what went wrong.
fn gone(error: &FetchError) -> Option<&str> {
    match error {
        FetchError::Download { label, source } => match &**source {
            DownloadError::Request { source: RequestError::Status(404 | 410), .. } => Some(label),
            _ => None,
        },
        _ => None,
    }
}

fn label_of(package: &LockedPackage) -> String {
    format!("{} {}", reference_of(package), package.version)
}

fn may_replace(recipe: &Recipe, lock: &Lock, gone: &str) -> bool {
    let package = lock.packages.iter().find(|package| label_of(package) == gone);
    let archive = package.and_then(|package| recipe.archives.get(&package.archive));
    archive.is_some_and(|archive| archive.when_gone == WhenGone::Newest)
}

/// Refuses a recipe whose lock does not cover `archs`; the message says what to do.
///
/// # Errors
/// If a group is missing.
pub fn check_groups(lock: &Lock, groups: &BTreeSet<String>) -> Result<()> {
    let missing: Vec<&str> = groups.iter().filter(|group| !lock.groups.contains_key(*group)).map(String::as_str).collect();
    if !missing.is_empty() {
        bail!("the lock has no {}; run `shoal lock`", missing.join(", "));
    }
    Ok(())
}
