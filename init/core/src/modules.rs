//! Which modules to load, in which order: modprobe(8)'s decisions over [`Index`].
//!
//! A wish is a module's name, an alias (`crc32c`, `fs-ext4`) or a device's modalias (`pci:v00001AF4…`). `depends` of `.modinfo` names
//! modules; softdeps name modules *or aliases* (`libcrc32c` wants `crc32c` before it, which `crc32c_generic` provides; without it erofs
//! and ext4 fail with "Unknown symbol crc32c").

use std::collections::{BTreeMap, BTreeSet};

use shoal_contract::modules::{Index, fold};

use crate::pattern;

/// Depth at which a chain of dependencies is given up as a circle's child. The deepest real chain of Debian's kernel is below 10.
const DEPTH_LIMIT: usize = 64;

/// An index made ready for questions.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    index: Index,
    /// Folded patterns and the module that has them, by what stands before the first `:`, `*`, `?` or `[`. A modalias of one bus is
    /// never compared with the aliases of another.
    aliases: BTreeMap<String, Vec<(Vec<u8>, String)>>,
}

/// One module to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Folded name.
    pub name: String,
    /// Path below `/usr/lib/modules/<release>/`.
    pub path: String,
}

impl Catalogue {
    /// Prepares an index.
    #[must_use]
    pub fn new(index: Index) -> Self {
        let mut aliases: BTreeMap<String, Vec<(Vec<u8>, String)>> = BTreeMap::new();
        for (name, module) in &index.modules {
            for alias in &module.aliases {
                aliases.entry(fold(bus(alias))).or_default().push((fold_pattern(alias), name.clone()));
            }
        }
        Self { index, aliases }
    }

    /// The modules that fulfil a wish: the one of that name, else all that have a matching alias, in order of their names. Empty when
    /// nothing in the image does, which for a modalias is common and no error.
    #[must_use]
    pub fn resolve(&self, wish: &str) -> Vec<&str> {
        let name = fold(wish);
        if let Some((name, _)) = self.index.modules.get_key_value(&name) {
            return vec![name];
        }
        if self.index.builtin.contains(&name) {
            return Vec::new();
        }
        let text = fold_pattern(wish);
        // Patterns that begin with a wildcard are filed under the empty bus.
        let bus = fold(bus(wish));
        let candidates = [bus.as_str(), ""].into_iter().filter_map(|bus| self.aliases.get(bus)).flatten();
        let found: BTreeSet<&str> =
            candidates.filter(|(pattern, _)| pattern::matches(pattern, &text)).map(|(_, module)| module.as_str()).collect();
        found.into_iter().collect()
    }

    /// Whether a wish is something this image has: a module, an alias of one, or part of the kernel itself.
    #[must_use]
    pub fn knows(&self, wish: &str) -> bool {
        self.index.builtin.contains(&fold(wish)) || !self.resolve(wish).is_empty()
    }

    /// What to load for a wish, in order, without what is in `loaded` (folded names). Everything a module needs stands before it.
    #[must_use]
    pub fn plan(&self, wish: &str, loaded: &BTreeSet<String>) -> Vec<Load> {
        let mut plan = Plan { catalogue: self, loaded, seen: BTreeSet::new(), order: Vec::new() };
        for name in self.resolve(wish) {
            plan.visit(name, 0);
        }
        plan.order
    }
}

/// A walk through the dependencies, deepest first.
struct Plan<'a> {
    catalogue: &'a Catalogue,
    loaded: &'a BTreeSet<String>,
    seen: BTreeSet<String>,
    order: Vec<Load>,
}

impl Plan<'_> {
    fn visit(&mut self, name: &str, depth: usize) {
        if depth > DEPTH_LIMIT || self.loaded.contains(name) || !self.seen.insert(name.to_owned()) {
            return;
        }
        let Some(module) = self.catalogue.index.modules.get(name) else { return };
        for before in module.pre.iter().chain(&module.depends) {
            for needed in self.catalogue.resolve(before) {
                self.visit(needed, depth + 1);
            }
        }
        self.order.push(Load { name: name.to_owned(), path: module.path.clone() });
        for after in &module.post {
            for wanted in self.catalogue.resolve(after) {
                self.visit(wanted, depth + 1);
            }
        }
    }
}

/// What stands before the first `:` or wildcard.
fn bus(alias: &str) -> &str {
    let end = alias.find([':', '*', '?', '[', '\\']).unwrap_or(alias.len());
    // A name cut short by a wildcard is not a whole bus; such patterns must be tried for every wish.
    if alias[end..].is_empty() || alias[end..].starts_with(':') { &alias[..end] } else { "" }
}

/// Folds `-` to `_` outside brackets, where `-` means a range (as kmod does).
fn fold_pattern(alias: &str) -> Vec<u8> {
    let mut inside = false;
    alias
        .bytes()
        .map(|byte| match byte {
            b'[' => {
                inside = true;
                byte
            }
            b']' => {
                inside = false;
                byte
            }
            b'-' if !inside => b'_',
            _ => byte,
        })
        .collect()
}

/// What the kernel asks of `/sbin/modprobe` (kernel/module/kmod.c: `modprobe -q -- NAME`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Say nothing when nothing is found.
    pub quiet: bool,
    /// Names and aliases to load.
    pub wishes: Vec<String>,
}

impl Request {
    /// Reads modprobe's arguments without the program's name. Options are accepted as single letters or long words; those that PID 1
    /// has no use for are passed over.
    #[must_use]
    pub fn parse(arguments: &[String]) -> Self {
        let mut request = Self { quiet: false, wishes: Vec::new() };
        let mut options = true;
        for argument in arguments {
            match argument.as_str() {
                "--" if options => options = false,
                "--quiet" if options => request.quiet = true,
                letters if options && letters.starts_with('-') && letters.len() > 1 => {
                    request.quiet |= !letters.starts_with("--") && letters.contains('q');
                }
                wish => request.wishes.push(wish.to_owned()),
            }
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "\
module crc32c_generic kernel/crypto/crc32c_generic.ko.xz
alias crc32c
alias crypto-crc32c
module crc32c_intel kernel/arch/x86/crypto/crc32c-intel.ko.xz
alias crc32c
module erofs kernel/fs/erofs/erofs.ko.xz
depends libcrc32c
alias fs-erofs
module libcrc32c kernel/lib/libcrc32c.ko.xz
pre crc32c
module net_failover kernel/drivers/net/net_failover.ko.xz
module virtio_net kernel/drivers/net/virtio_net.ko.xz
depends net-failover
post late
alias virtio:d00000001v*
module late kernel/late.ko.xz
module circle_a kernel/a.ko.xz
depends circle_b
module circle_b kernel/b.ko.xz
depends circle_a
builtin loop
";

    fn catalogue() -> Catalogue {
        Catalogue::new(Index::parse(INDEX).unwrap())
    }

    fn names(wish: &str, loaded: &[&str]) -> Vec<String> {
        let loaded = loaded.iter().map(|name| (*name).to_owned()).collect();
        catalogue().plan(wish, &loaded).into_iter().map(|load| load.name).collect()
    }

    #[test]
    fn what_a_module_needs_stands_before_it_and_softdeps_may_name_aliases() {
        assert_eq!(names("erofs", &[]), ["crc32c_generic", "crc32c_intel", "libcrc32c", "erofs"]);
    }

    #[test]
    fn what_is_loaded_is_left_out() {
        assert_eq!(names("erofs", &["libcrc32c"]), ["erofs"]);
        assert!(names("erofs", &["erofs"]).is_empty());
    }

    #[test]
    fn a_device_gets_its_driver_with_dashes_and_underscores_alike() {
        assert_eq!(names("virtio:d00000001v00001AF4", &[]), ["net_failover", "virtio_net", "late"]);
        assert_eq!(names("fs-erofs", &["libcrc32c"]), ["erofs"]);
        assert_eq!(names("fs_erofs", &["libcrc32c"]), ["erofs"]);
        assert_eq!(names("crypto_crc32c", &[]), ["crc32c_generic"]);
    }

    #[test]
    fn a_circle_ends() {
        assert_eq!(names("circle_a", &[]), ["circle_b", "circle_a"]);
    }

    #[test]
    fn built_in_and_unknown_wishes_load_nothing_but_only_the_unknown_is_unknown() {
        assert!(names("loop", &[]).is_empty() && catalogue().knows("loop"));
        assert!(names("pci:v0000", &[]).is_empty() && !catalogue().knows("pci:v0000"));
    }

    #[test]
    fn ranges_keep_their_dash() {
        assert_eq!(fold_pattern("a-b[0-9]c-d"), b"a_b[0-9]c_d");
        assert_eq!((bus("pci:v*"), bus("fs-erofs"), bus("acpi*:X"), bus("*x")), ("pci", "fs-erofs", "", ""));
    }

    #[test]
    fn the_kernels_way_of_calling_modprobe_is_understood() {
        let arguments = ["-q", "--", "net-pf-10"].map(str::to_owned);
        assert_eq!(Request::parse(&arguments), Request { quiet: true, wishes: vec!["net-pf-10".into()] });
    }
}
