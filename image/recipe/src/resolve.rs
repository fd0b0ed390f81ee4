//! From a merged table to a checked [`Recipe`]. One file for each part of a recipe; this one joins them.

mod boot;
mod content;
mod kernel;
mod program;
mod service;
mod source;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;

use shoal_contract::boot::Arch;

use crate::model::Recipe;
use crate::problem::{Problem, Report, ResolveError};
use crate::read::{self, Fields};
use crate::tree::{Node, Place, Table, Value};
use crate::{inherit, path, scalar};

/// Reads the recipe at `path` and all it inherits.
///
/// `load` gives the text of a recipe; it is asked for `path` and then for the path of each parent, which is formed from the path of the
/// child and the child's `inherit`. Paths in the result are relative to the directory of `path`.
///
/// # Errors
/// [`ResolveError`] with every mistake that can be told: all of those in the syntax of one file, or, once the files could be read, all others.
pub fn resolve<E: Display>(path: &str, load: impl FnMut(&str) -> Result<String, E>) -> Result<Recipe, ResolveError> {
    inherit::load(path, load)
        .and_then(|merged| {
            let report = Report::default();
            let recipe = recipe(&report, path, &merged.table, Place::start_of(&merged.chain[0]));
            report.finish(recipe, &merged.chain)
        })
        .map_err(|problems| ResolveError { path: path.to_owned(), problems })
}

fn recipe(report: &Report, path: &str, table: &Table, place: Place) -> Recipe {
    let mut fields = Fields::new(report, table, "the recipe".to_owned(), place);
    let context = Context::new(path, table);
    let name = fields.required("name", "\"edge\"", read::parsed(scalar::name));
    let version = fields.required("version", "\"1.0.0\"", read::parsed(scalar::version));
    let summary = fields.or("summary", String::new(), read::text);
    let epoch = fields.required("epoch", "2026-11-23T00:00:00Z", epoch);
    // Read from the table by `Context`, since every part needs it.
    fields.optional("archive", read::reference("archive", &context.archives));
    let recipe = Recipe {
        name: name.clone(),
        version,
        summary,
        epoch,
        archives: source::archives(&mut fields, &context),
        packages: source::packages(&mut fields, &context),
        tools: source::tools(&mut fields, &context),
        kernel: kernel::kernel(&mut fields, &context),
        loaders: kernel::loaders(&mut fields, &context),
        crates: program::crates(&mut fields, &context),
        go: program::go(&mut fields, &context),
        c: program::c(&mut fields, &context),
        files: content::files(&mut fields, &context, &context.root),
        links: content::links(&mut fields, &context.root),
        directories: content::directories(&mut fields, &context.root),
        images: content::images(&mut fields, &context),
        services: service::services(&mut fields, &context),
        state: boot::state(&mut fields),
        network: boot::network(&mut fields, &name),
        console: boot::console(&mut fields),
        watchdog: boot::watchdog(&mut fields),
        faults: fields.or("faults", false, read::boolean),
        outputs: boot::outputs(&mut fields),
    };
    fields.close();
    context.root.check(report);
    recipe
}

fn epoch(report: &Report, node: &Node) -> Option<i64> {
    match &node.value {
        Value::Time(time) => scalar::epoch(time).map_err(|problem| report.add(&node.place, problem)).ok(),
        value => {
            let problem =
                Problem::WrongType { expected: "a date-time", found: value.kind(), example: "`2026-11-23T00:00:00Z`, without quotes" };
            report.add(&node.place, problem);
            None
        }
    }
}

/// What one part of a recipe needs to know of the others.
struct Context {
    /// Directory of the recipe, from which paths of the result are seen.
    directory: String,
    archives: Vec<String>,
    /// The archive of entries that name none.
    default_archive: Option<String>,
    go: Vec<String>,
    c: Vec<String>,
    services: Vec<String>,
    root: Claims,
}

impl Context {
    fn new(path: &str, table: &Table) -> Self {
        let keys = |section: &str| match table.get(section).map(|entry| &entry.node.value) {
            Some(Value::Table(table)) => table.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let archives = keys("archives");
        let default_archive = match (table.get("archive").map(|entry| &entry.node.value), archives.as_slice()) {
            (Some(Value::Text(name)), _) => Some(name.clone()),
            (_, [only]) => Some(only.clone()),
            _ => None,
        };
        Self {
            directory: path::directory(path).to_owned(),
            archives,
            default_archive,
            go: keys("go"),
            c: keys("c"),
            services: keys("services"),
            root: Claims::default(),
        }
    }

    /// The archive of an entry: the one it names, or the default.
    fn archive(&self, fields: &mut Fields<'_, '_>) -> String {
        let read = read::reference("archive", &self.archives);
        match &self.default_archive {
            Some(default) => fields.or("archive", default.clone(), read),
            None => fields.required("archive", "\"debian\"", read),
        }
    }

    /// A path written relative to the file it stands in, as seen from the recipe's directory.
    fn beside(&self) -> impl Fn(&Report, &Node) -> Option<String> {
        |report, node| {
            let relative = read::parsed(path::relative)(report, node)?;
            Some(path::seen_from(&self.directory, &path::join(&node.place.file.path, &relative)))
        }
    }
}

/// `arch = ["amd64"]`: the architectures of images that get an entry; all if it is left out.
fn architectures(fields: &mut Fields<'_, '_>) -> Vec<Arch> {
    let words = Arch::ALL.map(|arch| (arch.name(), arch));
    let mut list = fields.or("arch", Arch::ALL.to_vec(), read::filled_list(move |report, node| read::choice(&words)(report, node)));
    list.sort_unstable();
    list.dedup();
    list
}

/// Reads each entry of the table `section`, whose keys are names.
fn named<T>(fields: &mut Fields<'_, '_>, section: &'static str, mut read: impl FnMut(&str, Fields<'_, '_>, &Place) -> T) -> Vec<T> {
    let report = fields.report();
    let Some(table) = fields.entry(section).and_then(|entry| read::table(report, &entry.node)) else { return Vec::new() };
    let mut values = Vec::new();
    for (name, entry) in table {
        if let Err(problem) = scalar::name(name) {
            report.add(&entry.key, problem);
        }
        if let Some(fields) = Fields::of(report, entry, format!("`{section}.{name}`")) {
            values.push(read(name, fields, &entry.key));
        }
    }
    values
}

/// What the parts of a recipe put where in one file tree.
#[derive(Default)]
struct Claims {
    paths: RefCell<BTreeMap<String, Claim>>,
    twice: RefCell<Vec<(Place, Problem)>>,
}

struct Claim {
    kind: &'static str,
    place: Place,
}

/// Kind of a claim below which other paths may lie.
const DIRECTORY: &str = "directory";

impl Claims {
    fn claim(&self, kind: &'static str, path: &str, place: &Place) {
        match self.paths.borrow_mut().entry(path.to_owned()) {
            std::collections::btree_map::Entry::Vacant(vacant) => drop(vacant.insert(Claim { kind, place: place.clone() })),
            std::collections::btree_map::Entry::Occupied(other) => {
                let problem = Problem::Twice { kind: "path", name: path.to_owned(), other: other.get().place.to_string() };
                self.twice.borrow_mut().push((place.clone(), problem));
            }
        }
    }

    /// Reports paths that are claimed twice, or that lie below something that is not a directory.
    fn check(&self, report: &Report) {
        for (place, problem) in self.twice.take() {
            report.add(&place, problem);
        }
        let paths = self.paths.borrow();
        for (path, claim) in paths.iter() {
            let parents = path.match_indices('/').map(|(slash, _)| &path[..slash]);
            let parent = parents.filter_map(|parent| paths.get_key_value(parent)).find(|(_, claim)| claim.kind != DIRECTORY);
            if let Some((parent, Claim { kind, place })) = parent {
                let advice = format!("`{parent}` is a {kind} ({place}); write the path where this really goes");
                report.add(&claim.place, Problem::BadValue { text: path.clone(), expected: "below a directory".to_owned(), advice });
            }
        }
    }
}
