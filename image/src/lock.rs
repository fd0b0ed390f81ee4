//! `shoal lock`: resolves a recipe's sources against their archives and pins each by SHA-256.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use shoal_cache::Digest;
use shoal_contract::Arch;
use shoal_debian::closure::{Follow, Root, closure};
use shoal_debian::packages::{Index, Package as IndexPackage};
use shoal_fetch::ArchiveSource;
use shoal_recipe::Lock;
use shoal_recipe::lock::{LockedArchive, LockedGo, LockedGroup, LockedPackage};
use shoal_recipe::model::{Content, Depends, Recipe, WhenGone};
use shoal_teardown::Unfinished;
use shoal_tools::go::{GoSettings, GoToolchain};

use crate::project::Project;
use crate::sources::{Access, Sources, reference_of};
use crate::space::explain;

/// Architecture of the tools: the build machine's.
const TOOL_ARCH: &str = "amd64";

/// Largest download that a recipe may name, in bytes. It is held in memory while its hash is not known.
const MAX_DOWNLOAD: u64 = 1 << 30;

/// Writes the lock of `project`.
///
/// # Errors
/// If an archive cannot be had or verified, a package does not exist, or (with `check`) the lock would change.
pub fn run(access: &Access<'_>, project: &Project, update: bool, check: bool) -> Result<()> {
    let path = project.lock_path();
    let old = match std::fs::read_to_string(&path) {
        Ok(text) => Some(Lock::parse(&text).with_context(|| format!("{} is malformed; delete it and run this again", path.display()))?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let old_packages = old.as_ref().filter(|_| !update);
    let mut lock = match old_packages.filter(|old| old.stale_reason(&project.recipe).is_none()) {
        // All that the archives could say is locked, and another answer is nobody's wish without --update.
        Some(old) => Lock {
            format: Lock::FORMAT,
            sources: old.sources.clone(),
            archives: old.archives.clone(),
            packages: old.packages.clone(),
            groups: old.groups.clone(),
            ..Lock::default()
        },
        None => resolve(access, project, old_packages)?,
    };
    lock_files(access, project, &mut lock)?;
    lock_go(access, project, &mut lock)?;
    let text = lock.to_toml();
    if check {
        let same = old.is_some_and(|old| old.to_toml() == text);
        anyhow::ensure!(same, "{} does not fit the recipe; run `shoal lock {}`", path.display(), project.recipe_path.display());
        return Ok(());
    }
    write_atomically(&path, &text).map_err(|error| explain(error, &path, Some(text.len() as u64), "free some, and run this again"))?;
    access.reporter.note(format!("wrote {}: {} packages, {} Go modules", path.display(), lock.packages.len(), lock.go.len()));
    Ok(())
}

/// Refuses a build whose local files, `Cargo.lock` among them, are not those of the lock.
///
/// # Errors
/// If a local file is missing, or has another hash than the lock says.
pub fn check_local_files(project: &Project, lock: &Lock) -> Result<()> {
    let cargo = project.workspace.join("Cargo.lock");
    if lock.cargo.as_ref() != Some(&crate::step::digest_of_file(&cargo)?.to_string()) {
        bail!(
            "{} is not the one of the lock; if you changed a dependency, run `shoal lock {}`, which keeps all other pins",
            cargo.display(),
            project.recipe_path.display()
        );
    }
    for (name, expected) in lock.files.iter().filter(|(name, _)| !name.contains("://")) {
        let path = project.recipes.join(name);
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}, which the recipe names", path.display()))?;
        let found = Digest::of(&bytes).to_string();
        if found != *expected {
            bail!(
                "{} has the hash {found}, and the lock says {expected}; if you changed it, run `shoal lock {}`",
                path.display(),
                project.recipe_path.display()
            );
        }
    }
    for (dir, locked) in &lock.go {
        for (file, expected) in [("go.mod", &locked.go_mod), ("go.sum", &locked.go_sum)] {
            let path = project.recipes.join(dir).join(file);
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}, which the recipe names", path.display()))?;
            if Digest::of(&bytes).to_string() != *expected {
                bail!(
                    "{} is not the one of the lock; if you changed it, run `shoal lock {}`",
                    path.display(),
                    project.recipe_path.display()
                );
            }
        }
    }
    Ok(())
}

/// Replaces what is gone by the newest versions of the suites that allow it; returns a sentence for each replacement.
///
/// # Errors
/// If an archive cannot be had or verified.
pub fn replace_gone(access: &Access<'_>, project: &Project, lock: &mut Lock, gone: &str) -> Result<Vec<String>> {
    let recipe = &project.recipe;
    let fresh = resolve(access, project, None)?;
    let version_of = |lock: &Lock, reference: &str| {
        lock.packages.iter().find(|package| reference_of(package) == reference).map(|package| package.version.clone())
    };
    let kept: BTreeSet<String> = lock
        .packages
        .iter()
        .filter(|package| recipe.archives.get(&package.archive).is_none_or(|archive| archive.when_gone == WhenGone::Fail))
        .map(reference_of)
        .collect();
    let mut packages = Vec::new();
    let mut sentences = Vec::new();
    for package in fresh.packages {
        let reference = reference_of(&package);
        let before = version_of(lock, &reference);
        if kept.contains(&reference) {
            packages.extend(lock.packages.iter().filter(|old| reference_of(old) == reference).cloned());
            continue;
        }
        match before {
            Some(version) if version == package.version => {}
            Some(version) => sentences.push(format!("{reference} {version} is gone from its archive; {} took its place", package.version)),
            None => sentences.push(format!("{reference} {} came in with the newer packages", package.version)),
        }
        packages.push(package);
    }
    if sentences.is_empty() {
        bail!("the archive says that it has {gone}, but does not serve it; try again later, or name another mirror with --mirror");
    }
    packages.sort();
    lock.packages = packages;
    lock.groups = fresh.groups;
    lock.archives = fresh.archives;
    Ok(sentences)
}

/// Resolves every group of the recipe. What `old` locks stays as it is.
fn resolve(access: &Access<'_>, project: &Project, old: Option<&Lock>) -> Result<Lock> {
    let recipe = &project.recipe;
    let mut indices = BTreeMap::new();
    let mut lock = Lock { format: Lock::FORMAT, sources: recipe.sources(), ..Lock::default() };
    for (name, archive) in &recipe.archives {
        let keys = archive
            .keys
            .iter()
            .map(|key| std::fs::read(project.recipes.join(key)).with_context(|| format!("cannot read the archive key {key}")))
            .collect::<Result<Vec<_>>>()?;
        let source = ArchiveSource {
            name,
            origin: &archive.origin,
            suite: &archive.suite,
            components: &archive.components,
            architectures: &Arch::ALL.map(Arch::name),
            keys: &keys.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        };
        let pinned = old.and_then(|old| old.archives.get(name)).map(|old| old.release.parse()).transpose()?;
        let fetched = access
            .downloader()
            .archive(&access.mirrors()?, &source, pinned.as_ref(), now(), access.reporter)
            .with_context(|| format!("the archive `{name}` cannot be used"))?;
        let date = fetched.release.date.to_string();
        lock.archives.insert(name.clone(), LockedArchive { release: fetched.release_digest.to_string(), date });
        indices.insert(name.clone(), fetched.index);
    }
    let mut resolver = Resolver { indices: &indices, old, packages: BTreeMap::new(), groups: BTreeMap::new() };
    resolver.recipe(recipe)?;
    lock.packages = resolver.packages.into_values().collect();
    lock.packages.sort();
    lock.groups = resolver.groups;
    Ok(lock)
}

struct Resolver<'lock> {
    indices: &'lock BTreeMap<String, Index>,
    old: Option<&'lock Lock>,
    packages: BTreeMap<String, LockedPackage>,
    groups: BTreeMap<String, LockedGroup>,
}

impl Resolver<'_> {
    fn recipe(&mut self, recipe: &Recipe) -> Result<()> {
        for arch in Arch::ALL {
            let name = arch.name();
            let mut roots: BTreeMap<&str, Vec<Root>> = BTreeMap::new();
            for package in recipe.packages.iter().filter(|package| package.arch.contains(&arch)) {
                let follow = match &package.depends {
                    Depends::Closure { except } => Follow::Depends { except: except.iter().cloned().collect() },
                    Depends::None => Follow::Nothing,
                };
                let root = Root { name: package.name.clone(), architecture: name.to_owned(), follow };
                roots.entry(&package.archive).or_default().push(root);
            }
            self.group(&format!("root.{name}"), name, roots)?;
            self.kernel(recipe, arch)?;
            let alone = |package: &String| Root { name: package.clone(), architecture: name.to_owned(), follow: Follow::Nothing };
            let firmware = recipe.kernel.firmware.iter().map(alone).collect();
            self.group(&format!("firmware.{name}"), name, BTreeMap::from([(recipe.kernel.archive.as_str(), firmware)]))?;
            let loader = vec![alone(&recipe.loaders.uefi)];
            self.group(&format!("loaders.{name}"), name, BTreeMap::from([(recipe.loaders.archive.as_str(), loader)]))?;
            let mut content: BTreeMap<&str, Vec<Root>> = BTreeMap::new();
            for file in recipe.all_files().filter(|file| file.arch.contains(&arch)) {
                if let Content::Debian { archive, package, .. } = &file.content {
                    let root = Root { name: package.clone(), architecture: name.to_owned(), follow: Follow::Nothing };
                    content.entry(archive).or_default().push(root);
                }
            }
            self.group(&format!("content.{name}"), name, content)?;
        }
        for (name, tool) in &recipe.tools {
            let except: BTreeSet<String> = tool.except.iter().cloned().collect();
            let root = |entry: &String| {
                let (package, arch) = entry.split_once(':').unwrap_or((entry, TOOL_ARCH));
                // A package for another architecture is there for its files; what it depends on could not run here.
                let follow = if arch == TOOL_ARCH { Follow::Depends { except: except.clone() } } else { Follow::Nothing };
                Root { name: package.to_owned(), architecture: arch.to_owned(), follow }
            };
            let roots = BTreeMap::from([(tool.archive.as_str(), tool.packages.iter().map(root).collect())]);
            self.group(&format!("tool.{name}"), TOOL_ARCH, roots)?;
        }
        Ok(())
    }

    /// The package with the kernel: the one of its name that the meta package depends on.
    fn kernel(&mut self, recipe: &Recipe, arch: Arch) -> Result<()> {
        let kernel = &recipe.kernel;
        let meta = kernel.package.get(&arch).with_context(|| format!("the recipe names no kernel package for {arch}"))?;
        let index = self.index(&kernel.archive)?;
        let found = index.newest(meta, arch.name()).with_context(|| format!("the archive has no package {meta} for {arch}"))?;
        let real = found
            .depends
            .split([',', '|', ' '])
            .map(str::trim)
            .find(|name| name.starts_with("linux-image-") || name.starts_with("linux-binary-"))
            .unwrap_or(meta)
            .to_owned();
        let root = Root { name: real, architecture: arch.name().to_owned(), follow: Follow::Nothing };
        self.group(&format!("kernel.{arch}"), arch.name(), BTreeMap::from([(kernel.archive.as_str(), vec![root])]))
    }

    fn index(&self, archive: &str) -> Result<&Index> {
        self.indices.get(archive).with_context(|| format!("the recipe has no archive `{archive}`"))
    }

    fn group(&mut self, name: &str, native: &str, roots: BTreeMap<&str, Vec<Root>>) -> Result<()> {
        let mut members = Vec::new();
        for (archive, roots) in roots {
            let chosen = {
                let index = self.index(archive)?;
                let chosen = closure(index, native, &roots).with_context(|| format!("the packages of {name} cannot be resolved"))?;
                chosen.iter().map(|package| locked(archive, package)).collect::<Vec<_>>()
            };
            for package in chosen {
                let reference = reference_of(&package);
                let kept = self.old.and_then(|old| old.packages.iter().find(|old| reference_of(old) == reference));
                self.packages.insert(reference.clone(), kept.cloned().unwrap_or(package));
                members.push(reference);
            }
        }
        self.groups.insert(name.to_owned(), LockedGroup { packages: members });
        Ok(())
    }
}

fn locked(archive: &str, package: &IndexPackage<'_>) -> LockedPackage {
    LockedPackage {
        archive: archive.to_owned(),
        name: package.name.to_owned(),
        arch: package.architecture.to_owned(),
        version: package.version.to_owned(),
        path: package.filename.to_owned(),
        size: package.size,
        sha256: package.sha256.to_owned(),
        source: package.source.to_owned(),
    }
}

/// Pins local files by their hash, and downloads by fetching them once.
fn lock_files(access: &Access<'_>, project: &Project, lock: &mut Lock) -> Result<()> {
    let recipe = &project.recipe;
    let cargo = project.workspace.join("Cargo.lock");
    lock.cargo = Some(crate::step::digest_of_file(&cargo)?.to_string());
    for file in recipe.all_files() {
        match &file.content {
            Content::Source(path) => {
                let full = project.recipes.join(path);
                let bytes = std::fs::read(&full).with_context(|| format!("cannot read {}, which the recipe names", full.display()))?;
                lock.files.insert(path.clone(), Digest::of(&bytes).to_string());
            }
            Content::Url(url) => {
                for arch in &file.arch {
                    let url = url.replace("{arch}", arch.name());
                    let bytes = access.downloader().fetch_unpinned(&url, std::slice::from_ref(&url), MAX_DOWNLOAD)?;
                    let (digest, _) = access.cache.insert_bytes(&bytes)?;
                    lock.files.insert(url, digest.to_string());
                }
            }
            Content::Text(_) | Content::Go(_) | Content::C(_) | Content::Debian { .. } => {}
        }
    }
    Ok(())
}

/// Pins Go modules: the toolchain that `go.mod` asks for, and the hashes of `go.mod` and `go.sum`.
fn lock_go(access: &Access<'_>, project: &Project, lock: &mut Lock) -> Result<()> {
    let recipe = &project.recipe;
    let modules = recipe.go_modules();
    if modules.is_empty() {
        return Ok(());
    }
    let groups = BTreeSet::from(["tool.go".to_owned()]);
    let sources = Sources::fetch(access, project, lock.clone(), &groups)?;
    let client = crate::toolbox::unpack(access.cache, &sources, "go")?;
    let settings = if access.offline { GoSettings::offline() } else { GoSettings::of_host(&client)? };
    for dir in modules {
        let base = project.recipes.join(dir);
        let go_mod = std::fs::read(base.join("go.mod")).with_context(|| format!("cannot read {}", base.join("go.mod").display()))?;
        let go_sum = std::fs::read(base.join("go.sum")).with_context(|| format!("cannot read {}", base.join("go.sum").display()))?;
        let text = String::from_utf8_lossy(&go_mod);
        let toolchain = text
            .lines()
            .find_map(|line| line.strip_prefix("toolchain "))
            .with_context(|| format!("{dir}/go.mod has no `toolchain` line; write one, such as `toolchain go1.26.8`"))?
            .trim()
            .to_owned();
        let opened = GoToolchain::fetch(access.cache, &client, &settings, &toolchain, None, &mut |_| ())
            .with_context(|| format!("the Go toolchain {toolchain} cannot be had"))?;
        let locked = LockedGo {
            toolchain,
            toolchain_sum: opened.sum().to_owned(),
            go_mod: Digest::of(&go_mod).to_string(),
            go_sum: Digest::of(&go_sum).to_string(),
        };
        lock.go.insert(dir.to_owned(), locked);
    }
    Ok(())
}

fn write_atomically(path: &Path, text: &str) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).with_context(|| format!("cannot write into {}", dir.display()))?;
    let unfinished = Unfinished::whole(file.path());
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    // Temporary files are their owner's alone; a lock is as readable as the recipe beside it.
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.as_file().sync_all()?;
    unfinished.finish(|| file.persist(path)).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

/// Seconds since 1970.
fn now() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}
