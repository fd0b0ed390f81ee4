//! Reading values out of a [`Node`]: each reader gives a value, or reports a problem with its place and gives nothing.

use crate::problem::{Problem, Report};
use crate::tree::{Entry, Node, Place, Table, Value};

/// Reads values and reports what is wrong with them.
pub(crate) trait Read<T>: FnOnce(&Report, &Node) -> Option<T> {}
impl<T, F: FnOnce(&Report, &Node) -> Option<T>> Read<T> for F {}

/// The entries of a table while they are read. What is left at [`Fields::close`] is unknown.
pub(crate) struct Fields<'r, 't> {
    report: &'r Report,
    table: &'t Table,
    /// For people: "`services.agent`", "the recipe".
    name: String,
    /// Marked where an entry is missing.
    place: Place,
    known: Vec<&'static str>,
}

impl<'r, 't> Fields<'r, 't> {
    pub(crate) const fn new(report: &'r Report, table: &'t Table, name: String, place: Place) -> Self {
        Self { report, table, name, place, known: Vec::new() }
    }

    /// The entries of `entry`, if it is a table.
    pub(crate) fn of(report: &'r Report, entry: &'t Entry, name: String) -> Option<Self> {
        table(report, &entry.node).map(|table| Self::new(report, table, name, entry.key.clone()))
    }

    pub(crate) const fn report(&self) -> &'r Report {
        self.report
    }

    /// The entry `key`, if it is there.
    pub(crate) fn entry(&mut self, key: &'static str) -> Option<&'t Entry> {
        self.known.push(key);
        self.table.get(key)
    }

    pub(crate) fn optional<T>(&mut self, key: &'static str, read: impl Read<T>) -> Option<T> {
        let report = self.report;
        self.entry(key).and_then(|entry| read(report, &entry.node))
    }

    /// The value of `key`, or `default` if it is not there (or wrong, and reported).
    pub(crate) fn or<T>(&mut self, key: &'static str, default: T, read: impl Read<T>) -> T {
        self.optional(key, read).unwrap_or(default)
    }

    /// The value of `key`; reported if it is not there.
    pub(crate) fn required<T: Default>(&mut self, key: &'static str, example: &'static str, read: impl Read<T>) -> T {
        if !self.table.contains_key(key) {
            let problem = Problem::MissingKey { key: key.to_owned(), table: self.name.clone(), example };
            self.report.add(&self.place, problem);
        }
        self.or(key, T::default(), read)
    }

    /// The only one of `keys` that is there; reported if there is none or more than one.
    pub(crate) fn exactly_one(&mut self, keys: &[&'static str]) -> Option<(&'static str, &'t Node)> {
        self.known.extend(keys);
        let found: Vec<_> = keys.iter().filter_map(|key| self.table.get(*key).map(|entry| (*key, entry))).collect();
        if let [(key, entry)] = found.as_slice() {
            return Some((key, &entry.node));
        }
        let place = found.last().map_or(&self.place, |(_, entry)| &entry.key);
        let names = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        let found: Vec<_> = found.iter().map(|(key, _)| *key).collect();
        self.report.add(place, Problem::NotExactlyOne { table: self.name.clone(), found: names(&found), known: names(keys) });
        None
    }

    /// Reports the keys that nothing asked for.
    pub(crate) fn close(self) {
        for (key, entry) in self.table {
            if !self.known.contains(&key.as_str()) {
                let known = self.known.iter().map(|key| (*key).to_owned()).collect();
                self.report.add(&entry.key, Problem::UnknownKey { key: key.clone(), table: self.name.clone(), known });
            }
        }
    }
}

fn wrong_type<T>(report: &Report, node: &Node, expected: &'static str, example: &'static str) -> Option<T> {
    report.add(&node.place, Problem::WrongType { expected, found: node.value.kind(), example });
    None
}

pub(crate) fn table<'t>(report: &Report, node: &'t Node) -> Option<&'t Table> {
    match &node.value {
        Value::Table(table) => Some(table),
        _ => wrong_type(report, node, "a table", "`{ key = \"value\" }` or under a heading `[...]`"),
    }
}

pub(crate) fn text(report: &Report, node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        _ => wrong_type(report, node, "a text", "`\"...\"`"),
    }
}

pub(crate) fn boolean(report: &Report, node: &Node) -> Option<bool> {
    match &node.value {
        Value::Boolean(boolean) => Some(*boolean),
        _ => wrong_type(report, node, "true or false", "`true` or `false`"),
    }
}

/// A whole number between two bounds, both included.
pub(crate) fn integer<T>(minimum: T, maximum: T) -> impl Read<T>
where
    T: Copy + PartialOrd + TryFrom<i64> + std::fmt::Display,
{
    move |report, node| {
        let Value::Integer(number) = node.value else {
            return wrong_type(report, node, "a whole number", "`1`, without quotes");
        };
        match T::try_from(number) {
            Ok(value) if value >= minimum && value <= maximum => Some(value),
            _ => {
                let expected = format!("between {minimum} and {maximum}");
                let advice = format!("write a whole number from {minimum} to {maximum}");
                report.add(&node.place, Problem::BadValue { text: number.to_string(), expected, advice });
                None
            }
        }
    }
}

/// A text that `parse` understands.
pub(crate) fn parsed<T>(parse: impl Fn(&str) -> Result<T, Problem>) -> impl Read<T> {
    move |report, node| {
        let text = text(report, node)?;
        parse(&text).map_err(|problem| report.add(&node.place, problem)).ok()
    }
}

/// One of a few words.
pub(crate) fn choice<T: Copy>(words: &[(&'static str, T)]) -> impl Read<T> {
    move |report, node| {
        let text = text(report, node)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let expected = "one of the words that are allowed here".to_owned();
            report.add(&node.place, Problem::BadValue { text, expected, advice: format!("write one of: {}", known.join(", ")) });
        }
        found
    }
}

/// A list whose elements `read` understands; elements that it does not are reported and left out.
pub(crate) fn list<T>(read: impl Fn(&Report, &Node) -> Option<T>) -> impl Read<Vec<T>> {
    move |report, node| match &node.value {
        Value::List(nodes) => Some(nodes.iter().filter_map(|node| read(report, node)).collect()),
        _ => wrong_type(report, node, "a list", "`[\"...\", \"...\"]`"),
    }
}

/// A list of at least one element.
pub(crate) fn filled_list<T>(read: impl Fn(&Report, &Node) -> Option<T>) -> impl Read<Vec<T>> {
    move |report, node| {
        if matches!(&node.value, Value::List(nodes) if nodes.is_empty()) {
            let advice = "write at least one entry, or take the key out".to_owned();
            report
                .add(&node.place, Problem::BadValue { text: "[]".to_owned(), expected: "a list with something in it".to_owned(), advice });
        }
        list(read)(report, node)
    }
}

/// A table from names to texts.
pub(crate) fn text_table(report: &Report, node: &Node) -> Option<std::collections::BTreeMap<String, String>> {
    let table = table(report, node)?;
    Some(table.iter().filter_map(|(key, entry)| Some((key.clone(), text(report, &entry.node)?))).collect())
}

/// A name that must be one of `known`.
pub(crate) fn reference(kind: &'static str, known: &[String]) -> impl Fn(&Report, &Node) -> Option<String> {
    move |report, node| {
        let name = text(report, node)?;
        if known.contains(&name) {
            return Some(name);
        }
        report.add(&node.place, Problem::UnknownName { kind, name, known: known.to_vec() });
        None
    }
}
