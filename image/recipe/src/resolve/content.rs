//! Files, links, directories and container images.

use crate::model::{Content, Directory, File, Link, OciImage};
use crate::problem::{Problem, Report};
use crate::read::{self, Fields};
use crate::scalar;
use crate::tree::{Node, Value};

use super::{Claims, Context, DIRECTORY, architectures, named, source};

const FILE_MODE: u32 = 0o644;
const PROGRAM_MODE: u32 = 0o755;
/// Where `shoal` puts the archives of images, unless `path` says otherwise.
const IMAGE_DIRECTORY: &str = "/usr/share/shoal/images";

/// `files`: by absolute path.
pub(super) fn files(fields: &mut Fields<'_, '_>, context: &Context, claims: &Claims) -> Vec<File> {
    let report = fields.report();
    let Some(table) = fields.entry("files").and_then(|entry| read::table(report, &entry.node)) else { return Vec::new() };
    let mut files = Vec::new();
    for (path, entry) in table {
        if let Err(problem) = scalar::absolute_path(path) {
            report.add(&entry.key, problem);
        }
        claims.claim("file", path, &entry.key);
        let Some(mut fields) = Fields::of(report, entry, format!("the file `{path}`")) else { continue };
        let content = content(&mut fields, context);
        let mode = if matches!(content, Some(Content::Go(_) | Content::C(_))) { PROGRAM_MODE } else { FILE_MODE };
        let mode = fields.or("mode", mode, read::parsed(scalar::mode));
        let arch = architectures(&mut fields);
        fields.close();
        files.extend(content.map(|content| File { path: path.clone(), mode, content, arch }));
    }
    files
}

fn content(fields: &mut Fields<'_, '_>, context: &Context) -> Option<Content> {
    let report = fields.report();
    let (key, node) = fields.exactly_one(&["text", "source", "url", "go", "c", "debian"])?;
    match key {
        "text" => read::text(report, node).map(Content::Text),
        "source" => context.beside()(report, node).map(Content::Source),
        "url" => read::parsed(url)(report, node).map(Content::Url),
        "go" => read::reference("Go program", &context.go)(report, node).map(Content::Go),
        "c" => read::reference("C program", &context.c)(report, node).map(Content::C),
        _ => {
            let mut fields = Fields::new(report, read::table(report, node)?, "`debian`".to_owned(), node.place.clone());
            let content = Content::Debian {
                archive: context.archive(&mut fields),
                package: fields.required("package", "\"busybox-static\"", source::package_name),
                path: fields.required("path", "\"usr/bin/busybox\"", read::parsed(scalar::glob)),
            };
            fields.close();
            Some(content)
        }
    }
}

fn url(text: &str) -> Result<String, Problem> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if rest.is_some_and(|rest| rest.contains('/') && !rest.starts_with('/') && !rest.contains(char::is_whitespace)) {
        return Ok(text.to_owned());
    }
    let advice = "write it in full, with https:// and a path".to_owned();
    Err(Problem::BadValue { text: text.to_owned(), expected: "an address to download from".to_owned(), advice })
}

/// `links`: path to target.
pub(super) fn links(fields: &mut Fields<'_, '_>, claims: &Claims) -> Vec<Link> {
    let report = fields.report();
    let Some(table) = fields.entry("links").and_then(|entry| read::table(report, &entry.node)) else { return Vec::new() };
    let mut links = Vec::new();
    for (path, entry) in table {
        if let Err(problem) = scalar::absolute_path(path) {
            report.add(&entry.key, problem);
        }
        claims.claim("link", path, &entry.key);
        links.extend(read::parsed(target)(report, &entry.node).map(|target| Link { path: path.clone(), target }));
    }
    links
}

fn target(text: &str) -> Result<String, Problem> {
    if !text.is_empty() && !text.contains('\0') {
        return Ok(text.to_owned());
    }
    let advice = "write an absolute path, or one relative to the directory of the link".to_owned();
    Err(Problem::BadValue { text: text.to_owned(), expected: "the target of a link".to_owned(), advice })
}

/// `directories`: a text is a directory of mode 0755; a table says more. Sorted by path.
pub(super) fn directories(fields: &mut Fields<'_, '_>, claims: &Claims) -> Vec<Directory> {
    let mut directories = fields.or("directories", Vec::new(), read::list(|report, node| directory(report, node, claims)));
    directories.sort_by(|one, other| one.path.cmp(&other.path));
    directories
}

fn directory(report: &Report, node: &Node, claims: &Claims) -> Option<Directory> {
    let directory = match &node.value {
        Value::Text(_) => Directory { path: read::parsed(scalar::absolute_path)(report, node)?, mode: PROGRAM_MODE },
        Value::Table(table) => {
            let mut fields = Fields::new(report, table, "this directory".to_owned(), node.place.clone());
            let path = fields.required("path", "\"/mnt\"", read::parsed(scalar::absolute_path));
            let mode = fields.or("mode", PROGRAM_MODE, read::parsed(scalar::mode));
            fields.close();
            Directory { path, mode }
        }
        value => {
            let example = "`\"/mnt\"` or `{ path = \"/mnt\", mode = \"0700\" }`";
            report.add(&node.place, Problem::WrongType { expected: "a directory", found: value.kind(), example });
            return None;
        }
    };
    claims.claim(DIRECTORY, &directory.path, &node.place);
    Some(directory)
}

pub(super) fn images(fields: &mut Fields<'_, '_>, context: &Context) -> Vec<OciImage> {
    named(fields, "images", |name, mut fields, place| {
        let claims = Claims::default();
        let image = OciImage {
            reference: fields.required("reference", "\"example.org/x:1.0\"", read::parsed(image_reference)),
            path: fields.or("path", format!("{IMAGE_DIRECTORY}/{name}.tar"), read::parsed(scalar::absolute_path)),
            files: files(&mut fields, context, &claims),
            links: links(&mut fields, &claims),
            entrypoint: fields.or("entrypoint", Vec::new(), read::list(read::text)),
            cmd: fields.or("cmd", Vec::new(), read::list(read::text)),
            env: fields.or("env", Vec::new(), read::list(|report, node| read::parsed(variable)(report, node))),
            user: fields.or("user", "0:0".to_owned(), read::parsed(user)),
            arch: architectures(&mut fields),
        };
        claims.check(fields.report());
        fields.close();
        context.root.claim("file", &image.path, place);
        image
    })
}

/// A reference with registry and tag, as containerd's image store keeps it. Without them containerd and the kubelet would add defaults
/// and look for another name.
fn image_reference(text: &str) -> Result<String, Problem> {
    let (name, tag) = text.rsplit_once(':').unwrap_or((text, ""));
    let registry = name.split_once('/').map_or("", |(registry, _)| registry);
    let letters =
        |text: &str, more: &[u8]| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || more.contains(&byte));
    let tag_valid = !tag.is_empty() && tag.len() <= 128 && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if tag_valid && letters(name, b"._-/:") && registry.contains(['.', ':']) && !name.ends_with('/') && !name.contains("//") {
        return Ok(text.to_owned());
    }
    let advice = "write it with registry and tag, such as \"registry.k8s.io/pause:3.10.2\"".to_owned();
    Err(Problem::BadValue { text: text.to_owned(), expected: "a full reference of an image".to_owned(), advice })
}

fn variable(text: &str) -> Result<String, Problem> {
    if text.split_once('=').is_some_and(|(name, _)| !name.is_empty()) {
        return Ok(text.to_owned());
    }
    let advice = "write it as \"NAME=value\"".to_owned();
    Err(Problem::BadValue { text: text.to_owned(), expected: "an environment variable".to_owned(), advice })
}

fn user(text: &str) -> Result<String, Problem> {
    if text.split_once(':').is_some_and(|(uid, gid)| uid.parse::<u32>().is_ok() && gid.parse::<u32>().is_ok()) {
        return Ok(text.to_owned());
    }
    let advice = "write it as numbers, such as \"65535:65535\"; an image of one binary has no /etc/passwd".to_owned();
    Err(Problem::BadValue { text: text.to_owned(), expected: "a user and a group".to_owned(), advice })
}
