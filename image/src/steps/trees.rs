//! File trees between steps: written as `tree.tar` into one step's directory, read back by the next.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use shoal_format::epoch::Epoch;
use shoal_format::tree::Tree;

use crate::step::Built;

/// Name of the file that holds a step's tree.
pub const TREE_FILE: &str = "tree.tar";

/// Writes `tree` into the directory of a running step.
///
/// # Errors
/// If the cache cannot be written.
pub fn write_tree(dir: &Path, tree: &Tree) -> Result<()> {
    let path = dir.join(TREE_FILE);
    let file = std::fs::File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut writer = std::io::BufWriter::new(file);
    shoal_format::tar::write(tree, Epoch::from_seconds(0), &mut writer).with_context(|| format!("cannot write {}", path.display()))?;
    std::io::Write::flush(&mut writer).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads the tree that a step left, into `tree`; it may not contradict what is there.
///
/// # Errors
/// If the cache is damaged, or two steps give the same path as different kinds of things.
pub fn read_tree_into(tree: &mut Tree, built: &Built) -> Result<()> {
    let path = built.path(TREE_FILE);
    let file = std::fs::File::open(&path).with_context(|| format!("cannot open {} of the cache", path.display()))?;
    let mut archive = tar::Archive::new(std::io::BufReader::new(file));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = format!("/{}", entry.path()?.to_string_lossy().trim_matches('/'));
        let mode = entry.header().mode()?;
        match entry.header().entry_type() {
            tar::EntryType::Directory => tree.insert_dir(&name, mode)?,
            tar::EntryType::Symlink => {
                let target = entry.link_name()?.map(|target| target.to_string_lossy().into_owned()).unwrap_or_default();
                tree.insert_symlink(&name, &target)?;
            }
            tar::EntryType::Regular => {
                let mut bytes = Vec::with_capacity(usize::try_from(entry.size()).unwrap_or(0));
                entry.read_to_end(&mut bytes)?;
                tree.insert_file(&name, mode, bytes)?;
            }
            other => bail!("{} holds an entry of kind {other:?}, which no step writes", path.display()),
        }
    }
    Ok(())
}

/// The tree that a step left.
///
/// # Errors
/// If the cache is damaged.
pub fn read_tree(built: &Built) -> Result<Tree> {
    let mut tree = Tree::new();
    read_tree_into(&mut tree, built)?;
    Ok(tree)
}
