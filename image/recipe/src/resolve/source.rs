//! Archives, packages and tools: what comes from Debian.

use std::collections::BTreeMap;

use crate::model::{Archive, Depends, Package, Tool, WhenGone};
use crate::problem::{Problem, Report};
use crate::read::{self, Fields};
use crate::scalar;
use crate::tree::{Node, Value};

use super::{Context, architectures, named};

/// Suites and components: words of letters, digits and a few signs, which become path segments on the mirror.
fn word(text: &str) -> Result<String, Problem> {
    let valid =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte)) && !text.contains("..");
    if valid && !text.starts_with('/') && !text.ends_with('/') {
        return Ok(text.to_owned());
    }
    let advice = "write it as in /etc/apt/sources.list, such as \"trixie\" or \"main\"".to_owned();
    Err(Problem::BadValue { text: text.to_owned(), expected: "a name of an archive, suite or component".to_owned(), advice })
}

fn words(report: &Report, node: &Node) -> Option<String> {
    read::parsed(word)(report, node)
}

pub(super) fn archives(fields: &mut Fields<'_, '_>, context: &Context) -> BTreeMap<String, Archive> {
    let archives = named(fields, "archives", |name, mut fields, _| {
        let archive = Archive {
            origin: fields.required("origin", "\"debian\"", read::parsed(word)),
            suite: fields.required("suite", "\"trixie\"", read::parsed(word)),
            components: fields.or("components", vec!["main".to_owned()], read::filled_list(words)),
            keys: fields.required("keys", "[\"keys/archive.asc\"]", read::filled_list(context.beside())),
            when_gone: fields.or("when-gone", WhenGone::Fail, read::choice(&[("fail", WhenGone::Fail), ("newest", WhenGone::Newest)])),
        };
        fields.close();
        (name.to_owned(), archive)
    });
    archives.into_iter().collect()
}

pub(super) fn package_name(report: &Report, node: &Node) -> Option<String> {
    read::parsed(|text| scalar::package_name(text, false))(report, node)
}

pub(super) fn foreign_package_name(report: &Report, node: &Node) -> Option<String> {
    read::parsed(|text| scalar::package_name(text, true))(report, node)
}

fn glob(report: &Report, node: &Node) -> Option<String> {
    read::parsed(scalar::glob)(report, node)
}

/// `packages`: a text is a package with all it depends on; a table says more.
pub(super) fn packages(fields: &mut Fields<'_, '_>, context: &Context) -> Vec<Package> {
    let mut packages: Vec<(Package, &Node)> = Vec::new();
    let report = fields.report();
    let Some(entry) = fields.entry("packages") else { return Vec::new() };
    let Value::List(nodes) = &entry.node.value else {
        let found = entry.node.value.kind();
        report.add(&entry.node.place, Problem::WrongType { expected: "a list of packages", found, example: "`packages = [\"crun\"]`" });
        return Vec::new();
    };
    for node in nodes {
        let Some(package) = package(report, node, context) else { continue };
        if let Some((_, other)) =
            packages.iter().find(|(other, _)| other.name == package.name && other.arch.iter().any(|arch| package.arch.contains(arch)))
        {
            report.add(&node.place, Problem::Twice { kind: "package", name: package.name, other: other.place.to_string() });
        } else {
            packages.push((package, node));
        }
    }
    packages.into_iter().map(|(package, _)| package).collect()
}

fn package(report: &Report, node: &Node, context: &Context) -> Option<Package> {
    let empty = crate::tree::Table::new();
    let (table, name) = match &node.value {
        Value::Text(_) => (&empty, package_name(report, node)?),
        Value::Table(table) => (table, String::new()),
        value => {
            let example = "`\"crun\"` or `{ name = \"crun\", depends = false }`";
            report.add(&node.place, Problem::WrongType { expected: "a package", found: value.kind(), example });
            return None;
        }
    };
    let mut fields = Fields::new(report, table, "this package".to_owned(), node.place.clone());
    let name = if table.is_empty() && !name.is_empty() { name } else { fields.required("name", "\"crun\"", package_name) };
    let package = Package {
        name,
        archive: context.archive(&mut fields),
        arch: architectures(&mut fields),
        depends: depends(&mut fields),
        include: fields.or("include", Vec::new(), read::list(glob)),
        exclude: fields.or("exclude", Vec::new(), read::list(glob)),
    };
    fields.close();
    Some(package)
}

/// `depends` (true if left out) and `except`.
fn depends(fields: &mut Fields<'_, '_>) -> Depends {
    let except = fields.optional("except", read::list(package_name));
    if fields.or("depends", true, read::boolean) {
        return Depends::Closure { except: except.unwrap_or_default() };
    }
    if except.is_some()
        && let Some(entry) = fields.entry("except")
    {
        let advice = "`depends = false` takes no other package; take one of the two out".to_owned();
        fields.report().add(&entry.key, Problem::BadValue { text: "except".to_owned(), expected: "of use here".to_owned(), advice });
    }
    Depends::None
}

pub(super) fn tools(fields: &mut Fields<'_, '_>, context: &Context) -> BTreeMap<String, Tool> {
    let tools = named(fields, "tools", |name, mut fields, _| {
        let tool = Tool {
            archive: context.archive(&mut fields),
            packages: fields.required("packages", "[\"erofs-utils\"]", read::filled_list(foreign_package_name)),
            except: fields.or("except", Vec::new(), read::list(foreign_package_name)),
        };
        fields.close();
        (name.to_owned(), tool)
    });
    tools.into_iter().collect()
}
