//! `shoal.modules`: what depmod(8) would have written, in one file.
//!
//! Debian's kernel packages carry no `modules.dep` (depmod runs in their postinst), so the builder computes this index from the
//! modules' `.modinfo` sections. Line oriented, so that PID 1 reads it in milliseconds:
//!
//! ```text
//! module crc32c_generic kernel/crypto/crc32c_generic.ko.xz
//! alias crc32c
//! module libcrc32c kernel/lib/libcrc32c.ko.xz
//! pre crc32c
//! module virtio_net kernel/drivers/net/virtio_net.ko.xz
//! depends net_failover
//! alias virtio:d00000001v*
//! builtin loop
//! ```
//!
//! `depends` names modules, in the order of `.modinfo`; `pre` and `post` (softdep) name modules or aliases. All lines behind a `module` line belong to it. Names have
//! `-` folded to `_`. `builtin` lines name what is part of the kernel itself.

use std::collections::{BTreeMap, BTreeSet};

/// All modules of one kernel release that an image carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// By folded name.
    pub modules: BTreeMap<String, Module>,
    /// Folded names of what is built into the kernel.
    pub builtin: BTreeSet<String>,
}

/// One module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Module {
    /// Path below `/usr/lib/modules/<release>/`.
    pub path: String,
    /// Modules that must be loaded first.
    pub depends: Vec<String>,
    /// Modules or aliases to load first where they exist.
    pub pre: Vec<String>,
    /// Modules or aliases to load afterwards where they exist.
    pub post: Vec<String>,
    /// Patterns of devices it drives (fnmatch(3) without flags), and other names.
    pub aliases: Vec<String>,
}

/// A line of the index that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("shoal.modules line {line}: {reason}")]
pub struct IndexError {
    /// Number of the line, from 1.
    pub line: usize,
    /// Why.
    pub reason: &'static str,
}

/// Folds a module's name: the kernel takes `-` and `_` for the same.
#[must_use]
pub fn fold(name: &str) -> String {
    name.replace('-', "_")
}

impl Index {
    /// Reads an index.
    ///
    /// # Errors
    /// [`IndexError`] at the first line that is not of the form above.
    pub fn parse(text: &str) -> Result<Self, IndexError> {
        let mut index = Self::default();
        let mut current: Option<String> = None;
        for (number, line) in text.lines().enumerate() {
            let fail = |reason| IndexError { line: number + 1, reason };
            let (word, rest) = line.split_once(' ').ok_or(fail("no value"))?;
            match word {
                "builtin" => {
                    index.builtin.insert(rest.to_owned());
                }
                "module" => {
                    let (name, path) = rest.split_once(' ').ok_or(fail("a module needs a name and a path"))?;
                    index.modules.insert(name.to_owned(), Module { path: path.to_owned(), ..Module::default() });
                    current = Some(name.to_owned());
                }
                _ => {
                    let module = current.as_ref().and_then(|name| index.modules.get_mut(name)).ok_or(fail("stands before any module"))?;
                    let list = match word {
                        "depends" => &mut module.depends,
                        "pre" => &mut module.pre,
                        "post" => &mut module.post,
                        "alias" => &mut module.aliases,
                        _ => return Err(fail("unknown word")),
                    };
                    list.push(rest.to_owned());
                }
            }
        }
        Ok(index)
    }

    /// Writes an index; the same value always gives the same bytes.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |word: &str, rest: &str| {
            text.push_str(word);
            text.push(' ');
            text.push_str(rest);
            text.push('\n');
        };
        for (name, module) in &self.modules {
            line("module", &format!("{name} {}", module.path));
            for (word, list) in [("depends", &module.depends), ("pre", &module.pre), ("post", &module.post), ("alias", &module.aliases)] {
                for entry in list {
                    line(word, entry);
                }
            }
        }
        for name in &self.builtin {
            line("builtin", name);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let text = "module a kernel/a.ko.xz\ndepends b\npre crc32c\nalias pci:v*\nmodule b kernel/b.ko.xz\nbuiltin loop\n";
        let index = Index::parse(text).unwrap();
        assert_eq!(index.modules["a"].depends, ["b"]);
        assert_eq!(index.to_text(), text);
    }

    #[test]
    fn a_line_before_any_module_is_refused_with_its_number() {
        assert_eq!(Index::parse("builtin x\nalias y\n").unwrap_err().line, 2);
    }
}
