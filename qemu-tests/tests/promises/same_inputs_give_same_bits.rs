//! The same lock gives the same bits for every output: in another directory, with an empty cache, another time zone, locale, umask and
//! none of the host's programs.
//!
//! The other build takes its sources from the first one's cache, so it needs no network. It is of the recipe `least`, which compiles PID 1, and neither the
//! agent nor Kubernetes; `SHOAL_MATRIX=full` takes the whole test image for both architectures.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use qemu_tests::{full_matrix, images};
use shoal::outputs::SUMS_FILE;

/// What lies in a checkout and is no source.
const NOT_SOURCES: [&str; 2] = ["target", ".git"];
/// What belongs to a cache's sources; the rest of it are results.
const OBJECTS: &str = "objects";

/// Copies a directory, with hard links where `link` is set and they can be made.
fn copy(from: &Path, to: &Path, link: bool) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if NOT_SOURCES.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target, link)?;
        } else if !link || fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// A build in a process of its own.
fn build(workspace: &Path, recipe: &str, cache: &Path, out: &Path, umask: &str, change: impl FnOnce(&mut Command)) -> Result<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rebuild"));
    let path = workspace.join("recipes").join(format!("{recipe}.toml"));
    command.arg(path).args([cache, out]).arg(umask);
    command.args(if full_matrix() { &["amd64", "arm64"][..] } else { &["amd64"] });
    change(&mut command);
    let status = command.status().context("cannot run the build")?;
    ensure!(status.success(), "the build in {} failed", workspace.display());
    Ok(fs::read_to_string(out.join(SUMS_FILE))?)
}

fn same_bits() -> Result<()> {
    let recipe = if full_matrix() { images::RECIPE } else { images::LEAST_RECIPE };
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the package lies in no workspace")?;
    let place = tempfile::tempdir()?;
    let at = |name: &str| place.path().join(name);
    let cache = images::cache_directory()?;
    let first = build(here, recipe, &cache, &at("out"), "022", |_| ())?;

    let workspace = at("a checkout elsewhere");
    copy(here, &workspace, false)?;
    copy(&cache.join(OBJECTS), &at("cache").join(OBJECTS), true)?;
    let second = build(&workspace, recipe, &at("cache"), &at("other out"), "077", |command| {
        command.env("TZ", "Pacific/Kiritimati").env("LC_ALL", "tr_TR.UTF-8").env("PATH", at("no programs"));
    })?;
    ensure!(!first.is_empty(), "nothing was built");
    ensure!(first == second, "the outputs differ:\n{first}\nand\n{second}");
    Ok(())
}

#[test]
fn wherever_and_however_they_are_built() {
    if let Err(error) = same_bits() {
        panic!("{error:?}");
    }
}
