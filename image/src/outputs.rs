//! What a build leaves in the output directory.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use shoal_cache::Digest;
use shoal_contract::Arch;
use shoal_recipe::model::Format;

use crate::build::{Artifacts, Build};
use crate::events::Event;
use crate::manifest::{Manifest, OutputEntry};
use crate::step::{Built, Key, digest_of_file};
use crate::steps::disk::{DISK_FILE, QCOW2_FILE, UKI_FILE};
use crate::steps::initrd::INITRD_FILE;
use crate::steps::iso::ISO_FILE;
use crate::steps::kernel_step::KERNEL_FILE;

mod gather;

pub(crate) use gather::OUT_ADVICE;
pub use gather::SUMS_FILE;
use gather::{Pending, write_files};

/// Forms that people download, and that are therefore also written compressed.
const COMPRESSED: [Format; 3] = [Format::Img, Format::Iso, Format::Qcow2];
/// zstd's window, as a power of two: large enough to find repetitions across a whole UKI, small enough for any `zstd -d`.
const WINDOW_LOG: u32 = 27;

/// Writes all forms of `artifacts` into `out`; returns the names written.
///
/// # Errors
/// If `out` cannot be written; it is then as it was.
pub fn write(build: &Build<'_>, all: &[Artifacts], formats: &[Format], out: &Path) -> Result<Vec<PathBuf>> {
    let pending = pending(build, all, formats)?;
    let written = write_files(&pending, out)?;
    for (file, target) in pending.iter().zip(&written) {
        let bytes = std::fs::metadata(target)?.len();
        build.reporter.report(Event::Output { path: target.display().to_string(), bytes, sha256: file.digest.to_string() });
    }
    Ok(written)
}

/// All files for the output directory.
fn pending(build: &Build<'_>, all: &[Artifacts], formats: &[Format]) -> Result<Vec<Pending>> {
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
    Ok(pending)
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
