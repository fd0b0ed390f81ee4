//! What a build leaves in the output directory.
//!
//! Everything is written into a hidden directory beside the results and renamed into place at the end, so that a build that fails or is interrupted leaves
//! the directory as it was. Of one that was killed, the hidden directory is left, and the next build removes it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use shoal_cache::Digest;
use shoal_contract::Arch;
use shoal_recipe::model::Format;
use shoal_teardown::TemporaryDirectory;

use crate::build::{Artifacts, Build};
use crate::events::Event;
use crate::manifest::{Manifest, OutputEntry};
use crate::step::{Built, Key, digest_of_file};
use crate::steps::disk::{DISK_FILE, QCOW2_FILE, UKI_FILE};
use crate::steps::initrd::INITRD_FILE;
use crate::steps::iso::ISO_FILE;
use crate::steps::kernel_step::KERNEL_FILE;

/// Name of the table of hashes, as sha256sum(1) reads it.
pub const SUMS_FILE: &str = "SHA256SUMS";
/// Forms that people download, and that are therefore also written compressed.
const COMPRESSED: [Format; 3] = [Format::Img, Format::Iso, Format::Qcow2];
/// zstd's window, as a power of two: large enough to find repetitions across a whole UKI, small enough for any `zstd -d`.
const WINDOW_LOG: u32 = 27;

/// Beginning of the name of the directory that files are gathered in.
const STAGING_PREFIX: &str = ".shoal-";

/// A file on its way to the output directory.
struct Pending {
    name: String,
    source: PathBuf,
    digest: Digest,
}

/// Writes all forms of `artifacts` into `out`; returns the names written.
///
/// # Errors
/// If `out` cannot be written; it is then as it was.
pub fn write(build: &Build<'_>, all: &[Artifacts], formats: &[Format], out: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot create the output directory {}", out.display()))?;
    let (staging, _lock) =
        stage(out).with_context(|| format!("cannot write into {}; choose another directory with --out", out.display()))?;
    let mut pending = Vec::new();
    for artifacts in all {
        let mut outputs = forms(build, artifacts, formats)?;
        let sbom = crate::sbom::write(build, artifacts)?;
        outputs.push(("sbom.cdx.json", Written::of(build, artifacts.arch, "sbom", &sbom)?));
        let entries: Vec<OutputEntry> = outputs
            .iter()
            .map(|(suffix, written)| OutputEntry {
                name: name(build, artifacts.arch, suffix),
                bytes: written.bytes,
                sha256: written.digest,
            })
            .collect();
        let manifest = Manifest::of(build, artifacts, entries)?;
        let text = serde_json::to_vec_pretty(&manifest).context("the manifest cannot be written")?;
        outputs.push(("manifest.json", Written::of(build, artifacts.arch, "manifest", &text)?));
        for (suffix, written) in outputs {
            pending.push(Pending { name: name(build, artifacts.arch, suffix), source: written.path, digest: written.digest });
        }
    }
    let mut sums: Vec<String> = pending.iter().map(|file| format!("{}  {}\n", file.digest, file.name)).collect();
    sums.sort_by(|one, other| one[64..].cmp(&other[64..]));
    for file in &pending {
        copy_sparse(&file.source, &staging.path().join(&file.name))
            .with_context(|| format!("cannot write {} (is there enough space?)", out.join(&file.name).display()))?;
    }
    std::fs::write(staging.path().join(SUMS_FILE), sums.concat())?;
    let names: Vec<&str> = pending.iter().map(|file| file.name.as_str()).chain([SUMS_FILE]).collect();
    let written: Vec<PathBuf> = names.iter().map(|name| out.join(name)).collect();
    staging.finish(|staging| {
        let mut files = names.iter().zip(&written);
        files.try_for_each(|(name, target)| {
            std::fs::rename(staging.join(name), target).with_context(|| format!("cannot write {}", target.display()))
        })
    })?;
    for (file, target) in pending.iter().zip(&written) {
        let bytes = std::fs::metadata(target)?.len();
        build.reporter.report(Event::Output { path: target.display().to_string(), bytes, sha256: file.digest.to_string() });
    }
    Ok(written)
}

/// A directory in `out` to gather files in, with the lock that says that somebody does. Removes those of builds that were killed.
///
/// There are file systems where a directory cannot be locked (NFS); there, what was left stays.
fn stage(out: &Path) -> std::io::Result<(TemporaryDirectory, Option<File>)> {
    let locked = |directory: &Path| File::open(directory).and_then(|directory| directory.lock().map(|()| directory)).ok();
    // Held until the new directory is locked, so that no other build takes it for one that was left.
    let gate = locked(out);
    if gate.is_some() {
        remove_left(out)?;
    }
    let staging = TemporaryDirectory::within(out, STAGING_PREFIX)?;
    let lock = locked(staging.path());
    Ok((staging, lock))
}

fn remove_left(out: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(out)? {
        let entry = entry?;
        let gathers = entry.file_type()?.is_dir() && entry.file_name().as_encoded_bytes().starts_with(STAGING_PREFIX.as_bytes());
        if gathers && File::open(entry.path())?.try_lock().is_ok() {
            shoal_teardown::remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Name of an output: `<recipe>-<version>-<arch>.<suffix>`; the kernel's two files carry their own names behind it.
#[must_use]
pub fn name(build: &Build<'_>, arch: Arch, suffix: &str) -> String {
    let separator = if matches!(suffix, "vmlinuz" | "initrd") { '-' } else { '.' };
    format!("{}-{}-{arch}{separator}{suffix}", build.recipe.name, build.recipe.version)
}

/// A finished form in the cache.
struct Written {
    path: PathBuf,
    bytes: u64,
    digest: Digest,
}

/// What is remembered about a form, so that a warm build need not hash it again.
#[derive(Serialize, Deserialize)]
struct Facts {
    bytes: u64,
    sha256: Digest,
}

impl Written {
    /// A small text that is made anew each time.
    fn of(build: &Build<'_>, arch: Arch, kind: &str, text: &[u8]) -> Result<Self> {
        let key = Key::new(kind, 1).with("text", text);
        let built = build
            .step(&format!("{kind}.{arch}"), key, |dir| std::fs::write(dir.join("text"), text).context("cannot write to the cache"))?;
        Ok(Self { path: built.path("text"), bytes: text.len() as u64, digest: Digest::of(text) })
    }

    /// A form that a step left.
    fn from_step(build: &Build<'_>, arch: Arch, built: &Built, file: &str) -> Result<Self> {
        let key = Key::new("facts", 1).with_built("built", built).with("file", file.as_bytes());
        let path = built.path(file);
        let facts = build.step(&format!("hash.{file}.{arch}"), key, |dir| {
            let facts = Facts { bytes: std::fs::metadata(&path)?.len(), sha256: digest_of_file(&path)? };
            std::fs::write(dir.join("facts"), serde_json::to_vec(&facts)?).context("cannot write to the cache")
        })?;
        let facts: Facts = serde_json::from_slice(&facts.read("facts")?)?;
        Ok(Self { path, bytes: facts.bytes, digest: facts.sha256 })
    }
}

fn forms(build: &Build<'_>, artifacts: &Artifacts, formats: &[Format]) -> Result<Vec<(&'static str, Written)>> {
    let arch = artifacts.arch;
    let mut sources: Vec<(Format, &'static str, &'static str, &Built, &str)> = Vec::new();
    for format in formats {
        match format {
            Format::Img => sources.extend(artifacts.disk.as_ref().map(|built| (*format, "img", "img.zst", built, DISK_FILE))),
            Format::Iso => sources.extend(artifacts.iso.as_ref().map(|built| (*format, "iso", "iso.zst", built, ISO_FILE))),
            Format::Qcow2 => sources.extend(artifacts.qcow2.as_ref().map(|built| (*format, "qcow2", "qcow2.zst", built, QCOW2_FILE))),
            Format::Efi => sources.push((*format, "efi", "", &artifacts.uki, UKI_FILE)),
            Format::Kernel => {
                sources.push((*format, "vmlinuz", "", &artifacts.kernel, KERNEL_FILE));
                sources.push((*format, "initrd", "", &artifacts.initrd, INITRD_FILE));
            }
        }
    }
    let mut written = Vec::new();
    for (format, plain, compressed, built, file) in sources {
        written.push((plain, Written::from_step(build, arch, built, file)?));
        if COMPRESSED.contains(&format) {
            let name = format!("{file}.zst");
            let squeezed = compress(build, arch, built, file, &name)?;
            written.push((compressed, Written::from_step(build, arch, &squeezed, &name)?));
        }
    }
    Ok(written)
}

/// The zstd form of a file. One thread: with several, zstd's output depends on their number.
fn compress(build: &Build<'_>, arch: Arch, built: &Built, file: &str, name: &str) -> Result<Built> {
    let level = build.recipe.outputs.zstd_level;
    let key = Key::new("compress", 1).with_built("built", built).with("file", file.as_bytes()).with("level", &level.to_le_bytes());
    build.step(&format!("compress.{file}.{arch}"), key, |dir| {
        let mut source = File::open(built.path(file))?;
        let target = BufWriter::new(File::create(dir.join(name))?);
        let mut encoder = zstd::Encoder::new(target, level)?;
        encoder.window_log(WINDOW_LOG)?;
        encoder.include_checksum(true)?;
        encoder.set_pledged_src_size(Some(source.metadata()?.len()))?;
        std::io::copy(&mut source, &mut encoder)?;
        encoder.finish()?.flush().context("cannot write to the cache")
    })
}

/// Copies a file, leaving holes where it is zero: a disk image is mostly nothing.
fn copy_sparse(source: &Path, target: &Path) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    const BLOCK: usize = 1 << 20;
    let mut from = File::open(source)?;
    let mut to = File::create(target)?;
    let length = from.metadata()?.len();
    to.set_len(length)?;
    let mut block = vec![0; BLOCK];
    let mut position = 0;
    while position < length {
        let wanted = usize::try_from((length - position).min(BLOCK as u64)).unwrap_or(BLOCK);
        from.read_exact(&mut block[..wanted])?;
        if block[..wanted].iter().any(|byte| *byte != 0) {
            to.seek(SeekFrom::Start(position))?;
            to.write_all(&block[..wanted])?;
        }
        position += wanted as u64;
    }
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_build_left_is_removed_and_what_a_running_one_gathers_is_not() {
        let out = tempfile::tempdir().unwrap();
        let left = out.path().join(".shoal-left");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("half"), "x").unwrap();
        let (running, _lock) = stage(out.path()).unwrap();
        let (second, _second_lock) = stage(out.path()).unwrap();
        assert!(!left.exists() && running.path().exists() && second.path().exists());
    }

    #[test]
    fn a_sparse_copy_has_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = vec![0; 3 << 20];
        bytes[0] = 1;
        bytes[(2 << 20) + 7] = 9;
        bytes.push(0);
        std::fs::write(dir.path().join("a"), &bytes).unwrap();
        copy_sparse(&dir.path().join("a"), &dir.path().join("b")).unwrap();
        assert!(std::fs::read(dir.path().join("b")).unwrap() == bytes);
    }
}
