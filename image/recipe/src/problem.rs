//! What can be wrong with a recipe, told with the place, the offending text and what to write instead.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, SourceCode, SpanContents};

use crate::tree::{File, Place};

/// Names further apart than this are not offered as "did you mean": the number of letters added, dropped, changed or swapped.
const NEAREST_DISTANCE: usize = 3;

/// Everything that is wrong with a recipe. Nothing was written or fetched.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{path} {}", match problems.len() { 1 => "has a mistake".to_owned(), count => format!("has {count} mistakes") })]
pub struct ResolveError {
    /// The recipe as the caller named it.
    pub path: String,
    /// The mistakes, in the order of the files and of their lines.
    #[related]
    pub problems: Vec<RecipeProblem>,
}

/// A mistake and its place. As a [`Diagnostic`] it shows the line it is about, from whichever file of the `inherit` chain that is.
#[derive(Debug)]
pub struct RecipeProblem {
    /// What is wrong.
    pub problem: Problem,
    place: Option<Place>,
}

/// A way in which a recipe can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A file of the chain cannot be read.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// Which file.
        path: String,
        /// Why, as the loader says it.
        reason: String,
    },
    /// A file inherits itself.
    #[error("this recipe inherits itself: {}", chain.join(" -> "))]
    InheritCircle {
        /// The files, each inheriting the next.
        chain: Vec<String>,
    },
    /// The text is not TOML.
    #[error("this is not TOML: {reason}")]
    Syntax {
        /// What the parser says.
        reason: String,
    },
    /// A key that no recipe has.
    #[error("unknown key `{key}` in {table}")]
    UnknownKey {
        /// The key.
        key: String,
        /// The table it stands in, for people.
        table: String,
        /// All keys of this table.
        known: Vec<String>,
    },
    /// A key is missing.
    #[error("{table} has no `{key}`")]
    MissingKey {
        /// The key.
        key: String,
        /// The table it belongs to, for people.
        table: String,
        /// An example of a value.
        example: &'static str,
    },
    /// A value has another type.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What belongs here.
        expected: &'static str,
        /// What is here.
        found: &'static str,
        /// An example of a value.
        example: &'static str,
    },
    /// A value has the right type but makes no sense.
    #[error("`{text}` is not {expected}")]
    BadValue {
        /// What is written.
        text: String,
        /// What belongs here.
        expected: String,
        /// What to write instead.
        advice: String,
    },
    /// A reference to something that the recipe does not have.
    #[error("there is no {kind} `{name}`")]
    UnknownName {
        /// What kind of thing: `archive`, `service`, ...
        kind: &'static str,
        /// The name.
        name: String,
        /// All there are.
        known: Vec<String>,
    },
    /// Two entries claim the same name or path.
    #[error("{kind} `{name}` is there twice")]
    Twice {
        /// What kind of thing.
        kind: &'static str,
        /// Its name or path.
        name: String,
        /// Where the other one stands, as `file:line:column`.
        other: String,
    },
    /// Of several keys exactly one is needed.
    #[error("{table} needs exactly one of {}, found {}", listed(known), if found.is_empty() { "none".to_owned() } else { listed(found) })]
    NotExactlyOne {
        /// The table, for people.
        table: String,
        /// The keys there are.
        found: Vec<String>,
        /// The keys of which one is needed.
        known: Vec<String>,
    },
    /// `remove` names something that no parent has.
    #[error("nothing inherited to remove: no `{name}` in `{section}`")]
    NothingToRemove {
        /// Section of the recipe.
        section: String,
        /// The name.
        name: String,
        /// What there is to remove.
        known: Vec<String>,
    },
    /// Services wait for one another.
    #[error("these services wait for one another: {}", names.join(", "))]
    ServiceCircle {
        /// The services.
        names: Vec<String>,
    },
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The name most like `name`, if one is like it at all.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate.as_str()))
        .filter(|(distance, candidate)| *distance <= NEAREST_DISTANCE && *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

fn suggest(name: &str, known: &[String], kind: &str) -> String {
    match nearest(name, known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => format!("there is no {kind} to name here; take it out"),
        None => format!("use one of: {}", known.join(", ")),
    }
}

impl Problem {
    /// What stands beneath the marked text.
    fn label(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "named here",
            Self::InheritCircle { .. } => "this closes the circle",
            Self::Syntax { .. } => "here",
            Self::UnknownKey { .. } => "not a key of this table",
            Self::MissingKey { .. } => "belongs to this",
            Self::WrongType { .. } => "of the wrong type",
            Self::BadValue { .. } => "cannot be understood",
            Self::UnknownName { .. } | Self::NothingToRemove { .. } => "not found",
            Self::Twice { .. } => "the second one",
            Self::NotExactlyOne { .. } => "this one",
            Self::ServiceCircle { .. } => "one of them",
        }
    }

    /// What to write instead.
    fn advice(&self) -> String {
        match self {
            Self::Unreadable { .. } => "`inherit` takes a path relative to the recipe that says it; check its spelling".to_owned(),
            Self::InheritCircle { .. } => "take one `inherit` out".to_owned(),
            Self::Syntax { .. } => "see https://toml.io for how TOML is written".to_owned(),
            Self::UnknownKey { key, known, .. } => suggest(key, known, "key"),
            Self::MissingKey { key, example, .. } => format!("write `{key} = {example}`"),
            Self::WrongType { example, .. } => format!("write it like {example}"),
            Self::BadValue { advice, .. } => advice.clone(),
            Self::UnknownName { name, known, kind } => suggest(name, known, kind),
            Self::Twice { other, .. } => format!("the other one is at {other}; take one of them out"),
            Self::NotExactlyOne { .. } => "keep one of them".to_owned(),
            Self::NothingToRemove { name, known, .. } => suggest(name, known, "inherited entry"),
            Self::ServiceCircle { .. } => "take one `after` out".to_owned(),
        }
    }
}

impl RecipeProblem {
    pub(crate) fn new(place: &Place, problem: Problem) -> Self {
        Self { problem, place: Some(place.clone()) }
    }

    pub(crate) fn at(place: Option<&Place>, problem: Problem) -> Self {
        Self { problem, place: place.cloned() }
    }

    /// Path of the file, line and column, the latter two from 1; none if the recipe itself could not be read.
    #[must_use]
    pub fn position(&self) -> Option<(&str, usize, usize)> {
        self.place.as_ref().map(|place| {
            let (line, column) = place.file.line_and_column(place.span.start);
            (place.file.path.as_str(), line, column)
        })
    }

    /// Order of report: by byte offset within a file.
    pub(crate) fn offset(&self) -> usize {
        self.place.as_ref().map_or(0, |place| place.span.start)
    }

    /// The file it is in.
    pub(crate) fn path(&self) -> &str {
        self.place.as_ref().map_or("", |place| &place.file.path)
    }
}

impl fmt::Display for RecipeProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(formatter)
    }
}

impl std::error::Error for RecipeProblem {}

impl Diagnostic for RecipeProblem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.problem.advice()))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.as_ref().map(|place| &*place.file as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_ref()?;
        let label = LabeledSpan::new_primary_with_span(Some(self.problem.label().to_owned()), place.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

impl SourceCode for File {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        context_lines_before: usize,
        context_lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, miette::MietteError> {
        let inner = self.text.read_span(span, context_lines_before, context_lines_after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.path.clone(),
            inner.data(),
            *inner.span(),
            inner.line(),
            inner.column(),
            inner.line_count(),
        )))
    }
}

/// Collects problems while a recipe is read.
///
/// A reader that reports a problem goes on with a placeholder, so that one run shows every mistake; [`crate::resolve()`] gives no recipe if
/// anything was reported, so a placeholder never leaves it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    problems: std::cell::RefCell<Vec<RecipeProblem>>,
}

impl Report {
    pub(crate) fn add(&self, place: &Place, problem: Problem) {
        self.problems.borrow_mut().push(RecipeProblem::new(place, problem));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// `value`, or everything that was reported, sorted by file (in the order of `chain`) and place.
    pub(crate) fn finish<T>(self, value: T, chain: &[Arc<File>]) -> Result<T, Vec<RecipeProblem>> {
        let mut problems = self.problems.into_inner();
        if problems.is_empty() {
            return Ok(value);
        }
        problems.sort_by_key(|problem| (chain.iter().position(|file| file.path == problem.path()), problem.offset()));
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_alike_are_suggested() {
        let known = ["packages".to_owned(), "services".to_owned(), "c".to_owned()];
        assert_eq!(nearest("pakages", &known), Some("packages"));
        assert_eq!(nearest("service", &known), Some("services"));
        assert_eq!(nearest("x", &known), None, "a name of one letter is like every other of one letter");
        assert_eq!(nearest("bootloader", &known), None);
    }
}
