//! Kernel, initramfs and boot loaders.

use std::collections::BTreeMap;

use shoal_contract::boot::Arch;

use crate::model::{Kernel, Loaders};
use crate::problem::{Problem, Report};
use crate::read::{self, Fields};
use crate::tree::Node;

use super::{Context, source};

/// x86's `COMMAND_LINE_SIZE` in bytes, with the closing zero; arm64's is the same. The kernel silently cuts what is longer.
const COMMAND_LINE_BYTES_MAX: usize = 2047;

fn cmdline(text: &str) -> Result<String, Problem> {
    if text.len() <= COMMAND_LINE_BYTES_MAX && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Ok(text.trim().to_owned());
    }
    let advice = format!("write printable ASCII on one line, at most {COMMAND_LINE_BYTES_MAX} bytes");
    Err(Problem::BadValue { text: text.to_owned(), expected: "a kernel command line".to_owned(), advice })
}

/// A module's name, or a glob of paths below `kernel/`; a `?` at the end: may be missing.
fn module(text: &str) -> Result<String, Problem> {
    let pattern = text.strip_suffix('?').unwrap_or(text);
    let segment =
        |segment: &str| !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_*+.,[]".contains(&byte));
    if pattern.split('/').all(segment) && !pattern.ends_with(".ko") && !pattern.starts_with("kernel/") {
        return Ok(text.to_owned());
    }
    let advice = "write a name without .ko, such as \"e1000e\", or a glob of paths below kernel/, such as \"drivers/net/usb/*\"".to_owned();
    Err(Problem::BadValue { text: text.to_owned(), expected: "a kernel module".to_owned(), advice })
}

fn modules(report: &Report, node: &Node) -> Option<String> {
    read::parsed(module)(report, node)
}

pub(super) fn kernel(fields: &mut Fields<'_, '_>, context: &Context) -> Kernel {
    let Some(mut fields) = section(fields, "kernel", "{ package = { amd64 = \"linux-image-amd64\" } }") else { return placeholder() };
    let archive = context.archive(&mut fields);
    let package = fields.required("package", "{ amd64 = \"linux-image-amd64\" }", packages);
    let cmdlines = fields.or("cmdline", Cmdlines::default(), cmdlines);
    let kernel = Kernel {
        archive,
        cmdline: package.keys().map(|arch| (*arch, cmdlines.of(*arch))).collect(),
        package,
        early_modules: fields.or("early-modules", Vec::new(), read::list(modules)),
        always_modules: fields.or("always-modules", Vec::new(), read::list(modules)),
        modules: fields.or("modules", Vec::new(), read::list(modules)),
        firmware: fields.or("firmware", Vec::new(), read::list(source::package_name)),
    };
    fields.close();
    kernel
}

fn placeholder() -> Kernel {
    Kernel {
        archive: String::new(),
        package: BTreeMap::new(),
        cmdline: BTreeMap::new(),
        early_modules: Vec::new(),
        always_modules: Vec::new(),
        modules: Vec::new(),
        firmware: Vec::new(),
    }
}

/// The fields of a section that every recipe needs.
fn section<'r, 't>(fields: &mut Fields<'r, 't>, key: &'static str, example: &'static str) -> Option<Fields<'r, 't>> {
    let report = fields.report();
    match fields.entry(key) {
        Some(entry) => Fields::of(report, entry, format!("`{key}`")),
        None => {
            fields.required(key, example, |_: &Report, _: &Node| None::<()>);
            None
        }
    }
}

fn packages(report: &Report, node: &Node) -> Option<BTreeMap<Arch, String>> {
    let table = read::table(report, node)?;
    let mut fields = Fields::new(report, table, "`kernel.package`".to_owned(), node.place.clone());
    let mut packages = BTreeMap::new();
    for arch in Arch::ALL {
        if let Some(name) = fields.optional(arch.name(), source::package_name) {
            packages.insert(arch, name);
        }
    }
    if table.is_empty() {
        fields.required("amd64", "\"linux-image-amd64\"", source::package_name);
    }
    fields.close();
    Some(packages)
}

/// `cmdline = { all = "...", amd64 = "..." }`.
#[derive(Default)]
struct Cmdlines {
    all: String,
    by_arch: BTreeMap<Arch, String>,
}

impl Cmdlines {
    /// What all architectures have, then what `arch` has.
    fn of(&self, arch: Arch) -> String {
        let own = self.by_arch.get(&arch).map_or("", String::as_str);
        format!("{} {own}", self.all).trim().to_owned()
    }
}

fn cmdlines(report: &Report, node: &Node) -> Option<Cmdlines> {
    let table = read::table(report, node)?;
    let mut fields = Fields::new(report, table, "`kernel.cmdline`".to_owned(), node.place.clone());
    let mut lines = Cmdlines { all: fields.or("all", String::new(), read::parsed(cmdline)), by_arch: BTreeMap::new() };
    for arch in Arch::ALL {
        if let Some(line) = fields.optional(arch.name(), read::parsed(cmdline)) {
            lines.by_arch.insert(arch, line);
        }
    }
    fields.close();
    Some(lines)
}

pub(super) fn loaders(fields: &mut Fields<'_, '_>, context: &Context) -> Loaders {
    let Some(mut fields) = section(fields, "loaders", "{ uefi = \"systemd-boot-efi\", bios = \"grub-pc-bin\" }") else {
        return Loaders { archive: String::new(), uefi: String::new(), bios: String::new(), grub_modules: Vec::new() };
    };
    let loaders = Loaders {
        archive: context.archive(&mut fields),
        uefi: fields.required("uefi", "\"systemd-boot-efi\"", source::package_name),
        bios: fields.required("bios", "\"grub-pc-bin\"", source::package_name),
        grub_modules: fields.or("grub-modules", Vec::new(), read::list(modules)),
    };
    fields.close();
    loaders
}
