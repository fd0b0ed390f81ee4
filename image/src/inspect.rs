//! `shoal inspect`: what an image is made of, from its manifest and from its own bytes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use indicatif::HumanBytes;

use crate::cli::InspectArgs;
use crate::manifest::Manifest;
use crate::step::digest_of_file;

/// `shoal inspect`.
///
/// # Errors
/// If there is no manifest beside the image, or the image is not the one that the manifest describes.
pub fn run(args: &InspectArgs) -> Result<()> {
    let found = find(&args.image)?;
    let text = if args.json {
        serde_json::to_string_pretty(&found)?
    } else if args.markdown {
        markdown(&found)
    } else {
        plain(&found)
    };
    print!("{text}");
    Ok(())
}

/// Reads the manifest beside `image` (or the only ones in a directory) and checks that it describes `image`.
fn find(image: &Path) -> Result<Vec<Manifest>> {
    if image.is_dir() {
        let mut manifests = Vec::new();
        for entry in std::fs::read_dir(image).with_context(|| format!("cannot list {}", image.display()))? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(".manifest.json") {
                manifests.push(read(&path)?);
            }
        }
        manifests.sort_by(|one, other| (&one.name, &one.arch).cmp(&(&other.name, &other.arch)));
        if manifests.is_empty() {
            bail!("{} holds no manifest; give the directory of a build", image.display());
        }
        return Ok(manifests);
    }
    let name = image.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let path = manifest_path(image, &name)?;
    let manifest = read(&path)?;
    let Some(entry) = manifest.outputs.iter().find(|entry| entry.name == name) else {
        bail!("{} does not describe {name}; it belongs to another build", path.display());
    };
    let digest = digest_of_file(image)?;
    if digest != entry.sha256 {
        bail!(
            "{name} is not what was built: its SHA-256 is {digest}, and {} says {}; it was changed or damaged since",
            path.display(),
            entry.sha256
        );
    }
    Ok(vec![manifest])
}

fn manifest_path(image: &Path, name: &str) -> Result<PathBuf> {
    let mut stem = name;
    loop {
        let candidate = image.with_file_name(format!("{stem}.manifest.json"));
        if candidate.is_file() {
            return Ok(candidate);
        }
        match stem.rfind(['.', '-']) {
            Some(end) => stem = &stem[..end],
            None => bail!("there is no manifest beside {}; keep the files of a build together", image.display()),
        }
    }
}

fn read(path: &Path) -> Result<Manifest> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not a manifest of this version of shoal", path.display()))
}

fn plain(manifests: &[Manifest]) -> String {
    let mut text = String::new();
    for manifest in manifests {
        let _ = writeln!(text, "{} {} for {}, id {}", manifest.name, manifest.version, manifest.arch, manifest.id);
        let _ = writeln!(text, "\nroot file system, before compression:");
        for (part, bytes) in &manifest.parts {
            let _ = writeln!(text, "  {:>12}  {part}", HumanBytes(*bytes).to_string());
        }
        let _ = writeln!(text, "  {:>12}  all of it, compressed (EROFS)", HumanBytes(manifest.root_bytes).to_string());
        let _ = writeln!(text, "\nsections of the UKI:");
        for section in &manifest.sections {
            let _ =
                writeln!(text, "  {:>12}  {} at byte {}", HumanBytes(section.file_length).to_string(), section.name, section.file_offset);
        }
        let _ = writeln!(text, "\nfiles:");
        for output in &manifest.outputs {
            let _ = writeln!(text, "  {:>12}  {}", HumanBytes(output.bytes).to_string(), output.name);
        }
        let _ =
            writeln!(text, "\n{} Debian packages inside, {} more in the tools that made it", manifest.packages.len(), manifest.tools.len());
        for sentence in &manifest.replaced {
            let _ = writeln!(text, "note: {sentence}");
        }
        text.push('\n');
    }
    text
}

fn markdown(manifests: &[Manifest]) -> String {
    let mut text = String::new();
    for manifest in manifests {
        let _ = writeln!(text, "### {} {} for {}\n", manifest.name, manifest.version, manifest.arch);
        let _ = writeln!(text, "| part of the root file system | bytes |\n|---|---:|");
        for (part, bytes) in &manifest.parts {
            let _ = writeln!(text, "| {part} | {bytes} |");
        }
        let _ = writeln!(text, "| **all of it as EROFS, compressed** | {} |", manifest.root_bytes);
        let _ = writeln!(text, "\n| file | bytes |\n|---|---:|");
        for output in &manifest.outputs {
            let _ = writeln!(text, "| {} | {} |", output.name, output.bytes);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_of_any_form_is_found_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = dir.path().join("shoal-0.1.0-amd64.manifest.json");
        std::fs::write(&manifest, "{}").unwrap();
        for name in ["shoal-0.1.0-amd64.img", "shoal-0.1.0-amd64.img.zst", "shoal-0.1.0-amd64-vmlinuz"] {
            assert_eq!(manifest_path(&dir.path().join(name), name).unwrap(), manifest);
        }
        assert!(manifest_path(&dir.path().join("other.img"), "other.img").is_err());
    }
}
