//! A recipe file as a tree in which every value and every key knows its place.
//!
//! Values are read from this tree by hand rather than by derived serde types: serde stops at the first mistake and, once two files are
//! merged, no longer knows which of them a value came from.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml::value::Datetime;

use crate::problem::{Problem, RecipeProblem};

/// A recipe file.
#[derive(Debug)]
pub(crate) struct File {
    /// Its path as the caller named it or as it was found through `inherit`.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl File {
    /// Line and column of a byte offset, both from 1, the column in characters.
    pub(crate) fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// Where something stands.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// In which file.
    pub(crate) file: Arc<File>,
    /// At which bytes of it.
    pub(crate) span: Range<usize>,
}

impl Place {
    /// The beginning of a file: the place of what is missing from it.
    pub(crate) fn start_of(file: &Arc<File>) -> Self {
        Self { file: Arc::clone(file), span: 0..0 }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (line, column) = self.file.line_and_column(self.span.start);
        write!(formatter, "{}:{line}:{column}", self.file.path)
    }
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) value: Value,
    /// Where it stands.
    pub(crate) place: Place,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float,
    Boolean(bool),
    Time(Datetime),
    List(Vec<Node>),
    Table(Table),
}

impl Value {
    /// What a person calls it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float => "a number with a fraction",
            Self::Boolean(_) => "true or false",
            Self::Time(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// The entries of a table, by key.
pub(crate) type Table = BTreeMap<String, Entry>;

/// An entry of a table.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Where its key stands.
    pub(crate) key: Place,
    /// Its value.
    pub(crate) node: Node,
}

/// Reads a file; gives every syntax error that the parser can recover from.
pub(crate) fn parse(file: &Arc<File>) -> Result<Table, Vec<RecipeProblem>> {
    let (document, errors) = DeTable::parse_recoverable(&file.text);
    if !errors.is_empty() {
        let end = file.text.len();
        return Err(errors
            .into_iter()
            .map(|error| {
                let place = Place { file: Arc::clone(file), span: error.span().unwrap_or(end..end) };
                RecipeProblem::new(&place, Problem::Syntax { reason: error.message().to_owned() })
            })
            .collect());
    }
    let mut problems = Vec::new();
    let table = own_table(file, document.into_inner(), &mut problems);
    if problems.is_empty() { Ok(table) } else { Err(problems) }
}

fn own_table(file: &Arc<File>, table: DeTable<'_>, problems: &mut Vec<RecipeProblem>) -> Table {
    table
        .into_iter()
        .map(|(key, value)| {
            let place = Place { file: Arc::clone(file), span: key.span() };
            (key.into_inner().into_owned(), Entry { key: place, node: own(file, value, problems) })
        })
        .collect()
}

fn own(file: &Arc<File>, value: Spanned<DeValue<'_>>, problems: &mut Vec<RecipeProblem>) -> Node {
    let place = Place { file: Arc::clone(file), span: value.span() };
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => {
                problems.push(RecipeProblem::new(&place, Problem::Syntax { reason: "a whole number has at most 63 bits".to_owned() }));
                Value::Integer(0)
            }
        },
        DeValue::Float(_) => Value::Float,
        DeValue::Boolean(boolean) => Value::Boolean(boolean),
        DeValue::Datetime(time) => Value::Time(time),
        DeValue::Array(list) => Value::List(list.into_iter().map(|element| own(file, element, problems)).collect()),
        DeValue::Table(table) => Value::Table(own_table(file, table, problems)),
    };
    Node { value, place }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Arc<File> {
        Arc::new(File { path: "a.toml".to_owned(), text: text.to_owned() })
    }

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let file = file("a = 1\n\"é\" = \"ü\"\n[t]\n");
        let table = parse(&file).unwrap();
        assert_eq!(table["é"].key.to_string(), "a.toml:2:1");
        assert_eq!(table["é"].node.place.to_string(), "a.toml:2:7");
        assert_eq!(table["t"].key.to_string(), "a.toml:3:2");
    }

    #[test]
    fn every_syntax_error_is_reported() {
        let problems = parse(&file("a = \nb = 1\nc = [1\n")).unwrap_err();
        assert!(problems.len() >= 2, "{problems:?}");
    }
}
