//! `inherit`: a recipe and its parents, merged into one table.
//!
//! | what both have | what becomes of it |
//! |---|---|
//! | a table, such as `[kernel]` or `[services.agent]` | key by key: keys of both are kept, and for a key in both this table decides |
//! | an entry of `files`, in the root or in an image | the child's entry takes its place, since kinds of content exclude one another |
//! | one of [`NAMED_LISTS`], such as `packages` | entries with a name the parent has take its place, the others follow behind |
//! | anything else: texts, numbers, lists such as `exec` | the child's value takes its place |
//! | `remove = { packages = ["x"], services = ["y"] }` | these are dropped from what is inherited; naming what is not there is an error |

use std::fmt::Display;
use std::sync::Arc;

use crate::path;
use crate::problem::{Problem, RecipeProblem, Report};
use crate::read::{self, Fields};
use crate::tree::{self, Entry, File, Node, Place, Table, Value};

/// Lists whose elements have names, by their path; `*` is any key. An element that is a text is its own name (without the `?` of a module
/// that may be missing); one that is a table has a `name` or a `path`.
const NAMED_LISTS: [&[&str]; 8] = [
    &["packages"],
    &["directories"],
    &["kernel", "early-modules"],
    &["kernel", "always-modules"],
    &["kernel", "modules"],
    &["kernel", "firmware"],
    &["loaders", "grub-modules"],
    &["tools", "*", "packages"],
];

/// Tables that the child's replace as a whole.
const WHOLE_TABLES: [&[&str]; 2] = [&["files", "*"], &["images", "*", "files", "*"]];

/// What `remove` may name, and where it is.
const REMOVABLE: [(&str, &[&str]); 15] = [
    ("archives", &["archives"]),
    ("packages", &["packages"]),
    ("tools", &["tools"]),
    ("early-modules", &["kernel", "early-modules"]),
    ("always-modules", &["kernel", "always-modules"]),
    ("modules", &["kernel", "modules"]),
    ("firmware", &["kernel", "firmware"]),
    ("crates", &["crates"]),
    ("go", &["go"]),
    ("c", &["c"]),
    ("files", &["files"]),
    ("links", &["links"]),
    ("directories", &["directories"]),
    ("images", &["images"]),
    ("services", &["services"]),
];

/// A recipe merged with its parents.
pub(crate) struct Merged {
    pub(crate) table: Table,
    /// The recipe, its parent, the parent's parent, ...
    pub(crate) chain: Vec<Arc<File>>,
}

/// Loads a recipe and its parents through `load` and merges them.
pub(crate) fn load<E: Display>(path: &str, mut load: impl FnMut(&str) -> Result<String, E>) -> Result<Merged, Vec<RecipeProblem>> {
    let mut chain: Vec<Arc<File>> = Vec::new();
    let mut tables: Vec<Table> = Vec::new();
    let mut next = Some((path.to_owned(), None::<Place>));
    while let Some((path, named_at)) = next {
        let fail = |problem| vec![RecipeProblem::at(named_at.as_ref(), problem)];
        if let Some(first) = chain.iter().position(|file| file.path == path) {
            let names = chain[first..].iter().map(|file| file.path.clone()).chain([path.clone()]).collect();
            return Err(fail(Problem::InheritCircle { chain: names }));
        }
        let text = load(&path).map_err(|reason| fail(Problem::Unreadable { path: path.clone(), reason: reason.to_string() }))?;
        let file = Arc::new(File { path, text });
        let mut table = tree::parse(&file)?;
        next = parent(&file, table.remove("inherit"))?;
        chain.push(file);
        tables.push(table);
    }
    let report = Report::default();
    let mut merged = Table::new();
    for mut child in tables.into_iter().rev() {
        if let Some(remove) = child.remove("remove") {
            drop_inherited(&report, &mut merged, &remove);
        }
        merge_tables(&mut merged, child, &mut Vec::new());
    }
    let merged = report.finish(merged, &chain)?;
    Ok(Merged { table: merged, chain })
}

/// Where the parent is and where it is named.
fn parent(file: &Arc<File>, inherit: Option<Entry>) -> Result<Option<(String, Option<Place>)>, Vec<RecipeProblem>> {
    let Some(Entry { node, .. }) = inherit else { return Ok(None) };
    let report = Report::default();
    let path = read::parsed(path::relative)(&report, &node).map(|relative| (path::join(&file.path, &relative), Some(node.place)));
    report.finish(path, &[])
}

fn drop_inherited(report: &Report, inherited: &mut Table, remove: &Entry) {
    let Some(mut fields) = Fields::of(report, remove, "`remove`".to_owned()) else { return };
    for (section, path) in REMOVABLE {
        let names = fields.or(section, Vec::new(), read::list(|report, node| Some((read::text(report, node)?, node.place.clone()))));
        for (name, place) in names {
            if let Err(known) = remove_one(inherited, path, &name) {
                report.add(&place, Problem::NothingToRemove { section: section.to_owned(), name, known });
            }
        }
    }
    fields.close();
}

/// Removes `name` from the table or list at `path`, or gives the names there are.
fn remove_one(table: &mut Table, path: &[&str], name: &str) -> Result<(), Vec<String>> {
    let (first, rest) = path.split_first().ok_or_else(Vec::new)?;
    let value = &mut table.get_mut(*first).ok_or_else(Vec::new)?.node.value;
    match value {
        Value::Table(inner) if !rest.is_empty() => remove_one(inner, rest, name),
        Value::Table(inner) => inner.remove(name).map(drop).ok_or_else(|| inner.keys().cloned().collect()),
        Value::List(list) => {
            let position = list.iter().position(|node| element_name(node) == Some(module_name(name)));
            position
                .map(|position| drop(list.remove(position)))
                .ok_or_else(|| list.iter().filter_map(element_name).map(str::to_owned).collect())
        }
        _ => Err(Vec::new()),
    }
}

fn matches(path: &[String], pattern: &[&str]) -> bool {
    path.len() == pattern.len() && path.iter().zip(pattern).all(|(key, pattern)| *pattern == "*" || key == pattern)
}

fn merge_tables(parent: &mut Table, child: Table, path: &mut Vec<String>) {
    for (key, entry) in child {
        path.push(key.clone());
        match parent.get_mut(&key) {
            Some(inherited) => merge_entries(inherited, entry, path),
            None => drop(parent.insert(key, entry)),
        }
        path.pop();
    }
}

fn merge_entries(parent: &mut Entry, child: Entry, path: &mut Vec<String>) {
    match (&mut parent.node.value, child.node.value) {
        (Value::Table(inherited), Value::Table(table)) if !WHOLE_TABLES.iter().any(|pattern| matches(path, pattern)) => {
            merge_tables(inherited, table, path);
            parent.key = child.key;
            parent.node.place = child.node.place;
        }
        (Value::List(inherited), Value::List(list)) if NAMED_LISTS.iter().any(|pattern| matches(path, pattern)) => {
            merge_lists(inherited, list);
        }
        (_, value) => *parent = Entry { key: child.key, node: Node { value, place: child.node.place } },
    }
}

fn merge_lists(parent: &mut Vec<Node>, child: Vec<Node>) {
    for node in child {
        let same = element_name(&node).and_then(|name| parent.iter().position(|other| element_name(other) == Some(name)));
        match same {
            Some(position) => parent[position] = node,
            None => parent.push(node),
        }
    }
}

fn element_name(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) => Some(module_name(text)),
        Value::Table(table) => ["name", "path"].iter().find_map(|key| table.get(*key)).and_then(|entry| element_name(&entry.node)),
        _ => None,
    }
}

/// A module's name without the `?` that says it may be missing.
fn module_name(text: &str) -> &str {
    text.strip_suffix('?').unwrap_or(text)
}
