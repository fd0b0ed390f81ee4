//! Container images that the build writes itself, with no registry.

use anyhow::{Context, Result};
use shoal_contract::Arch;
use shoal_format::oci::{self, ContainerImage};
use shoal_format::tree::Tree;

use crate::build::Build;
use crate::step::{Built, Key};
use crate::steps::programs::Programs;
use crate::steps::root::file_content;

/// Name of the archive in the step's directory.
const ARCHIVE_FILE: &str = "image.tar";

/// A finished image.
pub struct ImageArchive {
    /// Its reference.
    pub reference: String,
    /// Where it goes in the root.
    pub path: String,
    /// The step that made it.
    pub built: Built,
    /// Name of the archive in that step's directory.
    pub file: String,
}

/// Writes all container images of the recipe for `arch`.
///
/// # Errors
/// If a file of an image cannot be had.
pub fn images(build: &Build<'_>, arch: Arch, programs: &Programs) -> Result<Vec<ImageArchive>> {
    let recipe = build.recipe;
    let mut archives = Vec::new();
    for image in recipe.images.iter().filter(|image| image.arch.contains(&arch)) {
        let mut tree = Tree::new();
        for file in image.files.iter().filter(|file| file.arch.contains(&arch)) {
            let bytes = file_content(build, arch, programs, &file.content)
                .with_context(|| format!("file {} of container image {}", file.path, image.reference))?;
            tree.insert_file(&file.path, file.mode, bytes)?;
        }
        for link in &image.links {
            tree.insert_symlink(&link.path, &link.target)?;
        }
        let parts = ContainerImage {
            reference: &image.reference,
            architecture: arch.name(),
            root: &tree,
            entrypoint: &image.entrypoint,
            command: &image.cmd,
            environment: &image.env,
            user: &image.user,
            epoch: build.epoch()?,
        };
        let mut bytes = Vec::new();
        oci::write(&parts, &mut bytes).with_context(|| format!("container image {}", image.reference))?;
        // The archive itself is the key: assembling it costs less than describing its inputs would.
        let key = Key::new("image", 1).with("archive", shoal_cache::Digest::of(&bytes).as_bytes());
        let short = image.path.rsplit('/').next().unwrap_or("image").trim_end_matches(".tar");
        let built = build.step(&format!("image.{short}.{arch}"), key, |dir| {
            std::fs::write(dir.join(ARCHIVE_FILE), &bytes).context("cannot write to the cache")
        })?;
        archives.push(ImageArchive { reference: image.reference.clone(), path: image.path.clone(), built, file: ARCHIVE_FILE.to_owned() });
    }
    Ok(archives)
}
