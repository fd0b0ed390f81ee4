//! Programs that the build compiles: crates, Go programs, C programs.

use crate::model::{CProgram, CrateBinary, GoProgram};
use crate::problem::{Problem, Report};
use crate::read::{self, Fields};
use crate::scalar;
use crate::tree::{Node, Value};

use super::{Context, named};

/// What claims a path in the root.
const PROGRAM: &str = "file";

/// A Go package: `./cmd/x`, or an import path.
fn go_package(text: &str) -> Result<String, Problem> {
    let clean = text.strip_prefix("./").unwrap_or(text);
    if clean.split('/').all(|segment| !matches!(segment, "" | "." | "..")) && !text.contains(char::is_whitespace) && !text.starts_with('-')
    {
        return Ok(text.to_owned());
    }
    let advice = "write a directory of the module, such as \"./cmd/x\", or an import path that its go.mod requires".to_owned();
    Err(Problem::BadValue { text: text.to_owned(), expected: "a Go package".to_owned(), advice })
}

/// Workspace crates, by Cargo package.
pub(super) fn crates(fields: &mut Fields<'_, '_>, context: &Context) -> Vec<CrateBinary> {
    named(fields, "crates", |name, mut fields, place| {
        let package = fields.or("package", name.to_owned(), read::text);
        let binary = CrateBinary {
            binary: fields.or("binary", package.clone(), read::text),
            package,
            path: fields.required("path", "\"/usr/bin/x\"", read::parsed(scalar::absolute_path)),
            initramfs: fields.or("initramfs", false, read::boolean),
        };
        fields.close();
        if !binary.initramfs && !binary.path.is_empty() {
            context.root.claim(PROGRAM, &binary.path, place);
        }
        binary
    })
}

pub(super) fn go(fields: &mut Fields<'_, '_>, context: &Context) -> Vec<GoProgram> {
    named(fields, "go", |name, mut fields, place| {
        let program = GoProgram {
            name: name.to_owned(),
            module: fields.required("module", "\"directory-with-go.mod\"", context.beside()),
            package: fields.required("package", "\"./cmd/x\"", read::parsed(go_package)),
            tags: fields.or("tags", Vec::new(), read::list(read::text)),
            define: fields.or("define", Default::default(), read::text_table),
            path: fields.optional("path", read::parsed(scalar::absolute_path)),
            links: fields.or("links", Vec::new(), read::list(|report, node| claimed_link(report, node, context))),
        };
        if let Some(path) = &program.path {
            context.root.claim(PROGRAM, path, place);
        } else if let Some(entry) = fields.entry("links") {
            let advice = "say with `path` where the program goes, or take the links out".to_owned();
            fields
                .report()
                .add(&entry.key, Problem::BadValue { text: "links".to_owned(), expected: "of use without `path`".to_owned(), advice });
        }
        fields.close();
        program
    })
}

fn claimed_link(report: &Report, node: &Node, context: &Context) -> Option<String> {
    let path = read::parsed(scalar::absolute_path)(report, node)?;
    context.root.claim("link", &path, &node.place);
    Some(path)
}

pub(super) fn c(fields: &mut Fields<'_, '_>, context: &Context) -> Vec<CProgram> {
    named(fields, "c", |name, mut fields, _| {
        let program = CProgram {
            name: name.to_owned(),
            module: fields.required("module", "\"directory-with-go.mod\"", context.beside()),
            from: fields.required("from", "\"k8s.io/kubernetes\"", read::parsed(go_package)),
            source: fields.required("source", "\"path/in/that/module.c\"", read::parsed(scalar::glob)),
            flags: fields.or("flags", Vec::new(), read::list(flag)),
        };
        fields.close();
        program
    })
}

fn flag(report: &Report, node: &Node) -> Option<String> {
    if let Value::Text(text) = &node.value
        && !text.starts_with('-')
    {
        let advice = "compiler flags begin with `-`; the source is named by `source`".to_owned();
        report.add(&node.place, Problem::BadValue { text: text.clone(), expected: "a compiler flag".to_owned(), advice });
        return None;
    }
    read::text(report, node)
}
