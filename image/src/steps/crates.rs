//! Workspace crates, static, compiled by the pinned Rust toolchain.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use shoal_contract::Arch;
use shoal_format::tree::Tree;
use shoal_tools::rust::Crates;

use crate::build::Build;
use crate::step::{Built, Key, digest_of_file, files_below};
use crate::steps::trees::write_tree;

/// Cargo profile of what goes into images.
const PROFILE: &str = "image";
/// Directory of the step that holds the binaries for the initramfs.
const INITRAMFS_DIR: &str = "initramfs";

/// Compiles the recipe's crates for `arch`: the root's as a tree, the initramfs' beside it.
///
/// # Errors
/// If the compiler fails; what it said is in the error.
pub fn crates(build: &Build<'_>, arch: Arch) -> Result<Built> {
    let recipe = build.recipe;
    let workspace = &build.project.workspace;
    let packages: BTreeSet<&str> = recipe.crates.iter().map(|binary| binary.package.as_str()).collect();
    let mut key = Key::new("crates", 1)
        .with("arch", arch.name().as_bytes())
        .with("rust", build.tools.digest("rust")?.as_bytes())
        .with("cc", build.tools.digest("cc")?.as_bytes())
        .with_value("binaries", &recipe.crates);
    for path in sources(workspace, &packages)? {
        let digest = digest_of_file(&workspace.join(&path))?;
        key = key.with("path", path.as_os_str().as_encoded_bytes()).with("source", digest.to_string().as_bytes());
    }
    build.step(&format!("crates.{arch}"), key, |dir| {
        // One for all architectures: macros and build scripts are compiled for the build machine, and only once.
        let target = build.scratch("crates")?;
        let toolchain = build.tools.rust()?;
        toolchain.fetch(workspace, &[arch], build.offline, &mut |_| ())?;
        let binaries: Vec<(&str, &str)> = recipe.crates.iter().map(|binary| (binary.package.as_str(), binary.binary.as_str())).collect();
        let request = Crates { workspace, binaries: &binaries, arch, profile: PROFILE, target_dir: &target };
        let paths = toolchain.build(&request, &mut |_| ())?;
        let mut tree = Tree::with_merged_usr();
        for (binary, path) in recipe.crates.iter().zip(paths) {
            let bytes = std::fs::read(&path)
                .with_context(|| format!("package {} has no binary `{}`; correct the recipe", binary.package, binary.binary))?;
            if binary.initramfs {
                let place = dir.join(INITRAMFS_DIR).join(binary.path.trim_start_matches('/'));
                std::fs::create_dir_all(place.parent().unwrap_or(dir))?;
                std::fs::write(place, bytes)?;
            } else {
                tree.insert_file(&binary.path, 0o755, bytes)?;
            }
        }
        write_tree(dir, &tree)
    })
}

/// Path and bytes of the binaries for the initramfs.
///
/// # Errors
/// If the cache is damaged.
pub fn initramfs_binaries(build: &Build<'_>, crates: &Built) -> Result<Vec<(String, Vec<u8>)>> {
    let binaries = build.recipe.crates.iter().filter(|binary| binary.initramfs);
    binaries.map(|binary| Ok((binary.path.clone(), crates.read(&format!("{INITRAMFS_DIR}{}", binary.path))?))).collect()
}

/// Directories of a crate that its compilation reads: `proto` is what a build script makes code of.
const SOURCES: [&str; 2] = ["src", "proto"];

/// Paths, relative to the workspace, of all files that the build of `packages` reads.
fn sources(workspace: &Path, packages: &BTreeSet<&str>) -> Result<Vec<PathBuf>> {
    let members = Members::read(workspace)?;
    let mut found: Vec<PathBuf> = ["Cargo.toml", "Cargo.lock"].map(PathBuf::from).to_vec();
    let patches = patches(&manifest(&workspace.join("Cargo.toml"))?);
    for dir in members.needed_by(packages)?.into_iter().chain(patches) {
        found.push(dir.join("Cargo.toml"));
        found.extend(Some(dir.join("build.rs")).filter(|script| workspace.join(script).is_file()));
        for source in SOURCES.map(|name| dir.join(name)).into_iter().filter(|source| workspace.join(source).is_dir()) {
            found.extend(files_below(&workspace.join(&source))?.into_iter().map(|path| source.join(path)));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Directories of crates that take the place of others. Who needs them is not in the members' manifests, so everything is taken to.
fn patches(root: &toml::Table) -> Vec<PathBuf> {
    let registries = root.get("patch").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values);
    let patched = registries.filter_map(toml::Value::as_table).flat_map(toml::Table::values);
    patched.filter_map(|patch| Some(PathBuf::from(patch.get("path")?.as_str()?))).collect()
}

/// The workspace's members by package name, as its manifests say.
struct Members(Vec<Member>);

struct Member {
    name: String,
    dir: PathBuf,
    dependencies: Vec<String>,
}

impl Members {
    fn read(workspace: &Path) -> Result<Self> {
        let root = manifest(&workspace.join("Cargo.toml"))?;
        let members = root["workspace"]["members"].as_array().context("the workspace's Cargo.toml lists no members")?;
        let read = |member: &toml::Value| {
            let dir = PathBuf::from(member.as_str().context("a workspace member is not a string")?);
            let table = manifest(&workspace.join(&dir).join("Cargo.toml"))?;
            let name = table["package"]["name"].as_str().context("a package has no name")?.to_owned();
            let dependencies = ["dependencies", "build-dependencies"]
                .iter()
                .filter_map(|section| table.get(*section).and_then(toml::Value::as_table))
                .flat_map(|table| table.keys().cloned())
                .collect();
            Ok(Member { name, dir, dependencies })
        };
        Ok(Self(members.iter().map(read).collect::<Result<_>>()?))
    }

    fn needed_by(&self, packages: &BTreeSet<&str>) -> Result<BTreeSet<PathBuf>> {
        let mut dirs = BTreeSet::new();
        let mut open: Vec<String> = packages.iter().map(ToString::to_string).collect();
        for name in packages {
            let known = self.0.iter().any(|member| member.name == *name);
            anyhow::ensure!(known, "the workspace has no package `{name}`; correct the recipe");
        }
        while let Some(name) = open.pop() {
            let Some(member) = self.0.iter().find(|member| member.name == name) else { continue };
            if dirs.insert(member.dir.clone()) {
                open.extend(member.dependencies.iter().cloned());
            }
        }
        Ok(dirs)
    }
}

fn manifest(path: &Path) -> Result<toml::Table> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{} is not valid TOML", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }

    #[test]
    fn init_is_built_from_its_core_and_the_contract_and_not_from_the_builder() {
        let sources = sources(&workspace(), &BTreeSet::from(["shoal-init"])).unwrap();
        let has = |dir: &str| sources.iter().any(|path| path.starts_with(dir));
        assert!(has("init/core") && has("init/contract") && !has("image"));
    }

    #[test]
    fn what_a_build_script_reads_is_part_of_the_key() {
        let sources = sources(&workspace(), &BTreeSet::from(["shoal-standalone"])).unwrap();
        for path in ["agent/etcd/build.rs", "agent/etcd/proto/kv.proto", "agent/store/src/lib.rs", "agent/cluster/histogram/src/lib.rs"] {
            assert!(sources.contains(&PathBuf::from(path)), "{path}");
        }
    }

    #[test]
    fn a_package_that_does_not_exist_is_named() {
        assert!(sources(&workspace(), &BTreeSet::from(["shoal-inti"])).unwrap_err().to_string().contains("shoal-inti"));
    }
}
