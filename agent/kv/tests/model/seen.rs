//! What has happened in all cases together: a test that a generator never reaches proves nothing.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::{Debug, Write as _},
};

/// How often each kind of thing has happened.
#[derive(Debug, Default)]
pub(crate) struct Seen(RefCell<BTreeMap<String, usize>>);

impl Seen {
    pub(crate) fn note(&self, what: &str) {
        *self.0.borrow_mut().entry(what.to_owned()).or_default() += 1;
    }

    /// Notes the error, or that there was none.
    pub(crate) fn note_result<T, E: Debug>(&self, what: &str, result: &Result<T, E>) {
        match result {
            Ok(_) => self.note(&format!("{what}: ok")),
            Err(error) => self.note(&format!("{what}: {error:?}")),
        }
    }

    /// Those of these things that have not happened, with all that have.
    pub(crate) fn missing(&self, expected: &[&str]) -> Option<String> {
        let seen = self.0.borrow();
        let missing: Vec<_> = expected.iter().filter(|&&what| !seen.contains_key(what)).collect();
        if missing.is_empty() {
            return None;
        }
        let mut report = format!("never seen: {missing:?}\n");
        for (what, times) in seen.iter() {
            writeln!(report, "{times:8} {what}").unwrap();
        }
        Some(report)
    }
}
