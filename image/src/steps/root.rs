//! The root file system: everything a box runs, as one EROFS image.
//!
//! Compressing it takes longer than all that follows, so it holds, and its key names, only what lies in it. What the recipe says beyond that lies in the
//! initramfs.

use anyhow::{Context, Result};
use shoal_contract::{Arch, RECIPE_PATH};
use shoal_format::tree::Tree;
use shoal_recipe::Recipe;
use shoal_recipe::model::{Content, File};
use shoal_tools::run::run;

use crate::build::Build;
use crate::step::{Built, Key};
use crate::steps::images::ImageArchive;
use crate::steps::packages::unpack;
use crate::steps::programs::Programs;
use crate::steps::trees::read_tree_into;

/// Name of the EROFS image in the step's directory.
pub const EROFS_FILE: &str = "system.erofs";
/// Name of the table of parts (JSON: name to bytes) in the step's directory.
pub const PARTS_FILE: &str = "parts.json";
/// Name of the file system, at most 15 bytes (EROFS' limit).
const VOLUME_NAME: &str = "shoal";

/// What the root is made of.
pub struct Parts<'part> {
    /// Debian packages.
    pub packages: &'part Built,
    /// Kernel modules and firmware.
    pub kernel: &'part Built,
    /// Workspace crates.
    pub crates: &'part Built,
    /// Go and C programs.
    pub programs: &'part Programs,
    /// Container images.
    pub images: &'part [ImageArchive],
}

/// Builds the root of `arch`.
///
/// # Errors
/// If two parts contradict each other, a file of the recipe is missing, or mkfs.erofs fails (its output is in the error).
pub fn root(build: &Build<'_>, arch: Arch, parts: &Parts<'_>) -> Result<Built> {
    let recipe = build.recipe;
    let files: Vec<&File> = recipe.files.iter().filter(|file| file.arch.contains(&arch)).collect();
    let places: Vec<_> = recipe.go.iter().map(|program| (&program.name, &program.path, &program.links)).collect();
    let outputs = &recipe.outputs;
    let mut key = Key::new("root", 4)
        .with("arch", arch.name().as_bytes())
        // The name of the file system, and the time of all that is in it.
        .with_value("recipe", &(&recipe.name, &recipe.version, recipe.epoch))
        .with_value("programs", &places)
        .with_value("directories", &recipe.directories)
        .with_value("links", &recipe.links)
        .with_value("compression", &(&outputs.erofs_compression, outputs.erofs_cluster))
        .with("erofs", build.tools.digest("erofs")?.as_bytes())
        .with_built("packages", parts.packages)
        .with_built("kernel", parts.kernel)
        .with_built("crates", parts.crates);
    for (name, built) in parts.programs.iter() {
        key = key.with("program", name.as_bytes()).with_built("built", built);
    }
    for image in parts.images {
        key = key.with_value("image", &(&image.path, &image.reference)).with_built("image", &image.built);
    }
    let mut contents = Vec::with_capacity(files.len());
    for file in &files {
        let bytes = file_content(build, arch, parts.programs, &file.content).with_context(|| format!("file {}", file.path))?;
        key = key.with_value("file", &(&file.path, file.mode)).with("file", shoal_cache::Digest::of(&bytes).as_bytes());
        contents.push(bytes);
    }
    build.step(&format!("root.{arch}"), key, |dir| {
        let mut tree = Tree::with_merged_usr();
        let mut table = SizeTable::default();
        read_tree_into(&mut tree, parts.packages)?;
        table.add("Debian packages", &tree);
        read_tree_into(&mut tree, parts.kernel)?;
        table.add("kernel modules and firmware", &tree);
        read_tree_into(&mut tree, parts.crates)?;
        table.add("crates", &tree);
        for program in &recipe.go {
            let Some(path) = &program.path else { continue };
            let bytes = parts.programs.read(&program.name)?;
            tree.insert_file(path, 0o755, bytes)?;
            for link in &program.links {
                tree.insert_symlink(link, path)?;
            }
            table.add(&format!("Go program {}", program.name), &tree);
        }
        for image in parts.images {
            tree.insert_file(&image.path, 0o644, image.built.read(&image.file)?)?;
            table.add(&format!("container image {}", image.reference), &tree);
        }
        for directory in &recipe.directories {
            tree.insert_dir(&directory.path, directory.mode)?;
        }
        for (file, bytes) in files.iter().zip(&contents) {
            tree.insert_file(&file.path, file.mode, bytes.clone())?;
        }
        for link in &recipe.links {
            tree.insert_symlink(&link.path, &link.target)?;
        }
        tree.insert_symlink(Recipe::EXPANDED_PATH, RECIPE_PATH)?;
        table.add("files of the recipe", &tree);

        let tar_path = dir.join("root.tar");
        let mut writer = std::io::BufWriter::new(std::fs::File::create(&tar_path)?);
        shoal_format::tar::write(&tree, build.epoch()?, &mut writer)?;
        std::io::Write::flush(&mut writer)?;
        drop(writer);
        make_erofs(build, dir, &tar_path)?;
        std::fs::remove_file(&tar_path)?;
        std::fs::write(dir.join(PARTS_FILE), serde_json::to_vec_pretty(&table.parts)?)?;
        Ok(())
    })
}

/// Runs mkfs.erofs from the tool root. Its environment is empty: with the same `-T` its bytes differ by whether SOURCE_DATE_EPOCH is set.
fn make_erofs(build: &Build<'_>, dir: &std::path::Path, tar: &std::path::Path) -> Result<()> {
    let outputs = &build.recipe.outputs;
    let id = uuid::Uuid::new_v5(&crate::build::NAMESPACE, format!("erofs {} {}", build.recipe.name, build.recipe.version).as_bytes());
    let mut command = build.tools.root("erofs")?.command("mkfs.erofs")?;
    command.arg("--tar=f").arg(format!("-T{}", build.recipe.epoch)).arg("--all-root").args(["-U", &id.to_string()]);
    command.args(["-L", VOLUME_NAME, "-x-1", "--quiet"]);
    if outputs.erofs_compression != "none" {
        command.arg(format!("-z{}", outputs.erofs_compression)).arg(format!("-C{}", outputs.erofs_cluster));
    }
    run(command.arg(dir.join(EROFS_FILE)).arg(tar), &mut |_| ()).map(drop).context("the root file system cannot be made")
}

/// Bytes of a file of the recipe.
///
/// # Errors
/// If its source cannot be read.
pub fn file_content(build: &Build<'_>, arch: Arch, programs: &Programs, content: &Content) -> Result<Vec<u8>> {
    Ok(match content {
        Content::Text(text) => text.clone().into_bytes(),
        Content::Source(path) => {
            let path = build.project.recipes.join(path);
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?
        }
        Content::Url(url) => {
            let path = build.sources.download(&url.replace("{arch}", arch.name()))?;
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?
        }
        Content::Go(name) | Content::C(name) => programs.read(name)?,
        Content::Debian { archive, package, path } => {
            let reference = build.sources.reference(&format!("content.{arch}"), archive, package)?;
            let tree = unpack(build, &reference)?;
            tree.read(path).with_context(|| format!("package {package} has no such file"))?.to_vec()
        }
    })
}

/// Bytes that each part added to the tree.
#[derive(Default)]
struct SizeTable {
    parts: Vec<(String, u64)>,
    before: u64,
}

impl SizeTable {
    fn add(&mut self, name: &str, tree: &Tree) {
        let now = tree.file_bytes();
        self.parts.push((name.to_owned(), now.saturating_sub(self.before)));
        self.before = now;
    }
}
