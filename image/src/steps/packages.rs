//! Debian packages unpacked into a file tree.

use anyhow::{Context, Result};
use globset::{Glob, GlobSet, GlobSetBuilder};
use shoal_contract::Arch;
use shoal_debian::deb::{Deb, Kind};
use shoal_format::tree::{NodeKind, Tree};
use shoal_recipe::model::{Package, Recipe};

use crate::build::Build;
use crate::step::{Built, Key};
use crate::steps::trees::write_tree;

/// What no appliance needs of a package. Copyright files stay: the licences ask for it.
const LEFT_OUT: &[&str] = &[
    "usr/share/man/**",
    "usr/share/info/**",
    "usr/share/locale/**",
    "usr/share/lintian/**",
    "usr/share/bug/**",
    "usr/share/doc-base/**",
    "usr/share/bash-completion/**",
    "usr/share/zsh/**",
    "usr/share/fish/**",
    "usr/share/menu/**",
    "usr/share/gcc/**",
    "usr/share/initramfs-tools/**",
    // Character sets for iconv(3), which nothing here calls, and libraries to link against.
    "usr/lib/*/gconv/**",
    "usr/lib/*/*.a",
    "usr/lib/systemd/**",
    "usr/lib/udev/**",
    "etc/init.d/**",
    "etc/default/**",
    "etc/cron.*/**",
    "etc/logrotate.d/**",
    "var/**",
];

/// Documentation other than copyright files.
const DOCUMENTATION: &str = "usr/share/doc/**";
const COPYRIGHT: &str = "usr/share/doc/*/copyright";

/// A package's file tree, whole.
///
/// # Errors
/// If the package cannot be read or holds something no image can hold (a device node).
pub fn unpack(build: &Build<'_>, reference: &str) -> Result<Tree> {
    let path = build.sources.deb(reference)?;
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut tree = Tree::with_merged_usr();
    let deb = Deb::open(&bytes[..]).with_context(|| format!("{reference} is not a Debian package"))?;
    deb.visit(|entry| -> Result<()> {
        let name = format!("/{}", entry.path);
        match entry.kind {
            Kind::Directory => {
                // Packages disagree about modes of shared directories; the first one decides, as with dpkg.
                if tree.get(&name).is_none() {
                    tree.insert_dir(&name, entry.mode)?;
                }
            }
            Kind::File => {
                let mut contents = Vec::new();
                entry.content.read_to_end(&mut contents)?;
                tree.insert_file(&name, entry.mode, contents)?;
            }
            Kind::Symlink(target) => tree.insert_symlink(&name, target)?,
            Kind::HardLink(other) => {
                let contents = tree.read(&format!("/{other}"))?.clone();
                tree.insert_file(&name, entry.mode, contents)?;
            }
        }
        Ok(())
    })
    .with_context(|| format!("{reference} cannot be unpacked"))?;
    Ok(tree)
}

/// All packages of the root file system of `arch` as one tree.
///
/// # Errors
/// If a package cannot be unpacked, or an `include` pattern matches nothing.
pub fn root_packages(build: &Build<'_>, arch: Arch) -> Result<Built> {
    let name = format!("packages.{arch}");
    let group = build.sources.group(&format!("root.{arch}"))?;
    let mut key = Key::new("packages", 3);
    for reference in &group {
        key = key.with("package", build.sources.locked(reference)?.sha256.as_bytes());
    }
    for package in &build.recipe.packages {
        key = key.with_value("include", &package.include).with_value("exclude", &package.exclude);
    }
    build.step(&name, key, |dir| {
        let mut whole = Tree::with_merged_usr();
        for reference in &group {
            let mut tree = unpack(build, reference)?;
            let locked = build.sources.locked(reference)?;
            filter(&mut tree, policy(build.recipe, &locked.name, arch)).with_context(|| format!("package {reference}"))?;
            whole.merge(&tree).with_context(|| format!("package {reference} contradicts another one"))?;
        }
        write_tree(dir, &whole)
    })
}

fn policy<'recipe>(recipe: &'recipe Recipe, name: &str, arch: Arch) -> Option<&'recipe Package> {
    recipe.packages.iter().find(|package| package.name == name && package.arch.contains(&arch))
}

fn filter(tree: &mut Tree, package: Option<&Package>) -> Result<()> {
    let left_out = globs(LEFT_OUT)?;
    let documentation = globs(&[DOCUMENTATION])?;
    let copyright = globs(&[COPYRIGHT])?;
    let include = package.filter(|package| !package.include.is_empty());
    let wanted = include.map(|package| globs(&package.include)).transpose()?;
    let unwanted = package.map(|package| globs(&package.exclude)).transpose()?;
    let before = tree.len();
    tree.retain(|path, node| {
        let path = path.trim_start_matches('/');
        if copyright.is_match(path) {
            return true;
        }
        if unwanted.as_ref().is_some_and(|globs| globs.is_match(path)) {
            return false;
        }
        match &wanted {
            // Naming files means naming all of them; directories follow the files.
            Some(globs) => globs.is_match(path) && !matches!(node.kind, NodeKind::Directory),
            None => !left_out.is_match(path) && !documentation.is_match(path),
        }
    });
    if let (Some(package), Some(_)) = (include, &wanted) {
        for pattern in &package.include {
            let glob = globs(std::slice::from_ref(pattern))?;
            anyhow::ensure!(
                tree.iter().any(|(path, _)| glob.is_match(path.trim_start_matches('/'))),
                "`include` pattern `{pattern}` matches none of its {before} paths; correct it in the recipe"
            );
        }
    }
    Ok(())
}

fn globs<Pattern: AsRef<str>>(patterns: &[Pattern]) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let pattern = pattern.as_ref().trim_start_matches('/');
        set.add(Glob::new(pattern).with_context(|| format!("`{pattern}` is not a pattern"))?);
    }
    set.build().context("the patterns are too large")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::with_merged_usr();
        for path in ["/usr/bin/a", "/usr/bin/b", "/usr/share/man/man1/a.1", "/usr/share/doc/a/copyright", "/usr/share/doc/a/NEWS"] {
            tree.insert_file(path, 0o644, Vec::new()).unwrap();
        }
        tree
    }

    fn files(tree: &Tree) -> Vec<String> {
        tree.iter().filter(|(_, node)| matches!(node.kind, NodeKind::File(_))).map(|(path, _)| path.clone()).collect()
    }

    fn package(include: &[&str], exclude: &[&str]) -> Package {
        Package {
            name: "a".into(),
            archive: "trixie".into(),
            arch: vec![Arch::Amd64],
            depends: shoal_recipe::model::Depends::None,
            include: include.iter().map(ToString::to_string).collect(),
            exclude: exclude.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn documentation_goes_and_licences_stay() {
        let mut tree = tree();
        filter(&mut tree, None).unwrap();
        assert_eq!(files(&tree), ["/usr/bin/a", "/usr/bin/b", "/usr/share/doc/a/copyright"]);
    }

    #[test]
    fn include_and_exclude_are_obeyed() {
        let mut included = tree();
        filter(&mut included, Some(&package(&["usr/bin/a"], &[]))).unwrap();
        assert_eq!(files(&included), ["/usr/bin/a", "/usr/share/doc/a/copyright"]);
        let mut excluded = tree();
        filter(&mut excluded, Some(&package(&[], &["usr/bin/b"]))).unwrap();
        assert_eq!(files(&excluded), ["/usr/bin/a", "/usr/share/doc/a/copyright"]);
    }

    #[test]
    fn an_include_that_matches_nothing_is_an_error() {
        let error = filter(&mut tree(), Some(&package(&["usr/bin/zzz"], &[]))).unwrap_err();
        assert!(error.to_string().contains("usr/bin/zzz"));
    }
}
