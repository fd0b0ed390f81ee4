//! The kernel of a Debian package, and the modules and firmware that the recipe picks from it.
//!
//! The packages carry no `modules.dep` (depmod runs in their postinst), so [`select`] computes what the image needs from the modules' own `.modinfo`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use anyhow::{Context, Result, bail};
use globset::GlobBuilder;
use shoal_contract::MODULE_INDEX_NAME;
use shoal_contract::modules::{Index, Module, fold};
use shoal_format::modinfo::ModuleInfo;
use shoal_format::tree::{NodeKind, Tree};
use shoal_recipe::model::Kernel;

/// A kernel package, unpacked in memory.
pub struct KernelPackage {
    /// `uname -r` of it.
    pub release: String,
    /// The kernel image, as the package has it (a PE file: the EFI stub).
    pub vmlinuz: Vec<u8>,
    /// Modules by folded name: path below `/usr/lib/modules/<release>/`, and the compressed file.
    modules: BTreeMap<String, (String, Vec<u8>)>,
    /// Folded names of what is built in.
    builtin: BTreeSet<String>,
}

/// What an image takes from a kernel package.
pub struct Selection {
    /// Index of all modules taken.
    pub index: Index,
    /// Names (folded) of the early ones with all they need.
    pub early: BTreeSet<String>,
    /// Firmware files that the modules name, below `/usr/lib/firmware/`.
    pub firmware: BTreeSet<String>,
}

impl KernelPackage {
    /// Finds kernel and modules in an unpacked `linux-image` package. Both of Debian's layouts are understood: the kernel in `/boot`, or (from 7.x on)
    /// below `/usr/lib/modules/<release>/`.
    ///
    /// # Errors
    /// If there is no kernel in it, or more than one.
    pub fn from_tree(tree: &Tree) -> Result<Self> {
        let mut releases = BTreeSet::new();
        let mut modules = BTreeMap::new();
        let mut builtin = BTreeSet::new();
        for (path, node) in tree.iter() {
            let NodeKind::File(bytes) = &node.kind else { continue };
            let Some(inside) = path.strip_prefix("/usr/lib/modules/").or_else(|| path.strip_prefix("/lib/modules/")) else { continue };
            let Some((release, rest)) = inside.split_once('/') else { continue };
            releases.insert(release.to_owned());
            if rest == "modules.builtin" {
                let text = String::from_utf8_lossy(bytes);
                builtin.extend(text.lines().filter_map(module_name));
            } else if let Some(name) = module_name(rest) {
                modules.insert(name, (rest.to_owned(), bytes.to_vec()));
            }
        }
        let mut releases = releases.into_iter();
        let (Some(release), None) = (releases.next(), releases.next()) else {
            bail!("the kernel package holds modules of no release, or of several");
        };
        let places = [format!("/boot/vmlinuz-{release}"), format!("/usr/lib/modules/{release}/vmlinuz")];
        let Some(vmlinuz) = places.iter().find_map(|place| tree.read(place).ok()) else {
            bail!("the kernel package holds no kernel; looked for {}", places.join(" and "));
        };
        Ok(Self { vmlinuz: vmlinuz.to_vec(), release, modules, builtin })
    }

    /// The module files of `names` as a tree, with the index of just them.
    ///
    /// # Errors
    /// If a name is not in the package.
    pub fn tree_of(&self, index: &Index, names: &BTreeSet<String>) -> Result<Tree> {
        let mut tree = Tree::with_merged_usr();
        let base = format!("/usr/lib/modules/{}", self.release);
        let mut part = Index { builtin: index.builtin.clone(), ..Index::default() };
        for name in names {
            let (path, bytes) = self.modules.get(name).with_context(|| format!("module {name} is not in the kernel package"))?;
            tree.insert_file(&format!("{base}/{path}"), 0o644, bytes.clone())?;
            if let Some(module) = index.modules.get(name) {
                part.modules.insert(name.clone(), module.clone());
            }
        }
        tree.insert_file(&format!("{base}/{MODULE_INDEX_NAME}"), 0o644, part.to_text().into_bytes())?;
        Ok(tree)
    }
}

/// Picks the recipe's modules and all they need.
///
/// # Errors
/// If a name or pattern of the recipe matches nothing and does not end in `?`, or a module cannot be read.
pub fn select(package: &KernelPackage, kernel: &Kernel) -> Result<Selection> {
    let mut picker = Picker { package, index: Index { builtin: package.builtin.clone(), ..Index::default() }, firmware: BTreeSet::new() };
    let mut early = BTreeSet::new();
    for name in &kernel.early_modules {
        for found in picker.matching(name)? {
            picker.take(&found, &mut early)?;
        }
    }
    let mut all = early.clone();
    for name in kernel.always_modules.iter().chain(&kernel.modules) {
        for found in picker.matching(name)? {
            picker.take(&found, &mut all)?;
        }
    }
    Ok(Selection { index: picker.index, early, firmware: picker.firmware })
}

struct Picker<'package> {
    package: &'package KernelPackage,
    index: Index,
    firmware: BTreeSet<String>,
}

impl Picker<'_> {
    /// Folded names of the modules that an entry of the recipe means.
    fn matching(&self, entry: &str) -> Result<Vec<String>> {
        let (pattern, optional) = entry.strip_suffix('?').map_or((entry, false), |pattern| (pattern, true));
        let found: Vec<String> = if pattern.contains(['*', '/']) {
            let glob = GlobBuilder::new(&format!("kernel/{pattern}.ko*"))
                .literal_separator(true)
                .build()
                .with_context(|| format!("`{entry}` is not a pattern"))?
                .compile_matcher();
            self.package.modules.iter().filter(|(_, (path, _))| glob.is_match(path)).map(|(name, _)| name.clone()).collect()
        } else {
            let name = fold(pattern);
            if self.package.builtin.contains(&name) {
                return Ok(Vec::new());
            }
            self.package.modules.contains_key(&name).then_some(name).into_iter().collect()
        };
        if found.is_empty() && !optional {
            bail!(
                "the kernel {} has no module `{entry}`; correct its name in the recipe, or write `{entry}?` if it may be missing",
                self.package.release
            );
        }
        Ok(found)
    }

    /// Takes a module and all it needs into `set` and the index.
    fn take(&mut self, name: &str, set: &mut BTreeSet<String>) -> Result<()> {
        let mut open = vec![name.to_owned()];
        while let Some(name) = open.pop() {
            if !set.insert(name.clone()) {
                continue;
            }
            if !self.index.modules.contains_key(&name) {
                let (path, compressed) = &self.package.modules[&name];
                let info = read_modinfo(path, compressed)?;
                self.firmware.extend(info.firmware.iter().cloned());
                self.index.modules.insert(
                    name.clone(),
                    Module {
                        path: path.clone(),
                        depends: info.depends.iter().map(|name| fold(name)).collect(),
                        pre: info.soft_before.iter().map(|name| fold(name)).collect(),
                        post: info.soft_after.iter().map(|name| fold(name)).collect(),
                        aliases: info.aliases,
                    },
                );
            }
            let module = &self.index.modules[&name];
            for needed in &module.depends {
                if self.package.modules.contains_key(needed) {
                    open.push(needed.clone());
                } else if !self.package.builtin.contains(needed) {
                    bail!("module {name} needs {needed}, which the kernel package does not have");
                }
            }
            // Soft dependencies may name aliases (`crc32c`); those that are modules by name come along, the others are the recipe's to list.
            open.extend(module.pre.iter().chain(&module.post).filter(|needed| self.package.modules.contains_key(*needed)).cloned());
        }
        Ok(())
    }
}

fn read_modinfo(path: &str, file: &[u8]) -> Result<ModuleInfo> {
    let mut raw = Vec::new();
    if path.ends_with(".xz") {
        lzma_rust2::XzReader::new(file, true).read_to_end(&mut raw).with_context(|| format!("module {path} is not valid xz"))?;
    } else if path.ends_with(".zst") {
        zstd::Decoder::new(file)?.read_to_end(&mut raw).with_context(|| format!("module {path} is not valid zstd"))?;
    } else {
        raw.extend_from_slice(file);
    }
    ModuleInfo::parse(&raw).with_context(|| format!("module {path} cannot be used"))
}

/// Folded name of the module in the file `path`: `kernel/fs/erofs/erofs.ko.xz` is `erofs`.
fn module_name(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let stem = file.strip_suffix(".ko").or_else(|| file.strip_suffix(".ko.xz")).or_else(|| file.strip_suffix(".ko.zst"))?;
    Some(fold(stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_modules_are_folded_and_free_of_suffixes() {
        assert_eq!(module_name("kernel/a/usb-storage.ko.xz").as_deref(), Some("usb_storage"));
        assert_eq!(module_name("kernel/a/loop.ko").as_deref(), Some("loop"));
        assert_eq!(module_name("modules.order"), None);
    }

    #[test]
    fn a_package_without_a_kernel_is_refused() {
        let mut tree = Tree::new();
        tree.insert_file("/usr/lib/modules/6.1/kernel/a.ko", 0o644, Vec::new()).unwrap();
        assert!(KernelPackage::from_tree(&tree).is_err_and(|error| error.to_string().contains("/boot/vmlinuz-6.1")));
    }
}
