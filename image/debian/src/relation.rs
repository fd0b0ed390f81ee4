//! Relationship fields: `Depends`, `Pre-Depends`, `Provides`. See Debian policy, chapter 7.

use std::fmt;

use debversion::Version;

/// One alternative of a relationship: `name:qualifier (operator version)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation<'a> {
    /// Package, real or virtual.
    pub name: &'a str,
    /// Architecture qualifier: an architecture, `any` or `native`.
    pub qualifier: Option<&'a str>,
    /// Version it must have.
    pub constraint: Option<Constraint>,
}

/// Condition on a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// Comparison.
    pub operator: Operator,
    /// What is compared with.
    pub version: Version,
}

/// Comparison of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

/// Why a relationship field cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{relation}` is no package relationship; the form is `name`, `name:arch` or `name (>= version)`")]
pub struct RelationError {
    /// The alternative that cannot be read.
    pub relation: String,
}

impl Constraint {
    /// Whether a version meets it.
    #[must_use]
    pub fn allows(&self, version: &Version) -> bool {
        match self.operator {
            Operator::Earlier => *version < self.version,
            Operator::EarlierOrEqual => *version <= self.version,
            Operator::Equal => *version == self.version,
            Operator::LaterOrEqual => *version >= self.version,
            Operator::Later => *version > self.version,
        }
    }
}

/// Groups of a relationship field: all groups must be met, each by one of its alternatives.
///
/// # Errors
/// When an alternative is not of the form that policy gives.
pub fn groups(field: &str) -> Result<Vec<Vec<Relation<'_>>>, RelationError> {
    field
        .split(',')
        .map(str::trim)
        // A trailing comma is allowed.
        .filter(|group| !group.is_empty())
        .map(|group| group.split('|').map(relation).collect())
        .collect()
}

/// Reads one alternative.
fn relation(text: &str) -> Result<Relation<'_>, RelationError> {
    let text = text.trim();
    let refused = || RelationError { relation: text.to_owned() };
    let (package, constraint) = match text.split_once('(') {
        Some((package, constraint)) => (package.trim_end(), Some(constraint.strip_suffix(')').ok_or_else(refused)?.trim())),
        None => (text, None),
    };
    let (name, qualifier) = match package.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (package, None),
    };
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte)) {
        return Err(refused());
    }
    let constraint = constraint.map(|constraint| self::constraint(constraint).ok_or_else(refused)).transpose()?;
    Ok(Relation { name, qualifier, constraint })
}

/// Reads `operator version`.
fn constraint(text: &str) -> Option<Constraint> {
    let (operator, version) = text.split_at(text.find(|letter: char| !"<=>".contains(letter))?);
    let operator = match operator {
        "<<" => Operator::Earlier,
        // The single forms are obsolete, and mean what they say here: policy 7.1.
        "<=" | "<" => Operator::EarlierOrEqual,
        "=" => Operator::Equal,
        ">=" | ">" => Operator::LaterOrEqual,
        ">>" => Operator::Later,
        _ => return None,
    };
    Some(Constraint { operator, version: Version::parse_lenient(version.trim()).ok()? })
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(formatter, ":{qualifier}")?;
        }
        if let Some(Constraint { operator, version }) = &self.constraint {
            write!(formatter, " ({operator} {version})")?;
        }
        Ok(())
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().expect("version")
    }

    #[test]
    fn groups_alternatives_qualifiers_and_versions_are_told_apart() {
        let field = "libc6 (>= 2.38), debconf (>= 0.5) | debconf-2.0, python3:any, gcc-14-base (= 14.2.0-19),";
        let written: Vec<Vec<String>> =
            groups(field).expect("relations").iter().map(|group| group.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(
            written,
            [vec!["libc6 (>= 2.38)"], vec!["debconf (>= 0.5)", "debconf-2.0"], vec!["python3:any"], vec!["gcc-14-base (= 14.2.0-19)"]]
        );
    }

    #[test]
    fn what_is_no_relationship_is_refused_by_name() {
        for text in ["a b", "a (>= 1", "a (~ 1)", "a (>= )", "(>= 1)", "a || b"] {
            assert!(groups(text).is_err(), "{text}");
        }
        assert_eq!(groups("good, a (>= 1").expect_err("refused").relation, "a (>= 1");
    }

    #[test]
    fn every_operator_compares_as_policy_says() {
        let table = [
            ("<<", [true, false, false]),
            ("<=", [true, true, false]),
            ("=", [false, true, false]),
            (">=", [false, true, true]),
            (">>", [false, false, true]),
        ];
        for (operator, expected) in table {
            let written = format!("a ({operator} 1:2.0-1)");
            let parsed = groups(&written).expect("relation");
            let constraint = parsed[0][0].constraint.as_ref().expect("constraint");
            let found = ["1:2.0~rc1-1", "1:2.0-1", "1:2.0-1+b1"].map(|candidate| constraint.allows(&version(candidate)));
            assert_eq!(found, expected, "{operator}");
        }
    }

    proptest! {
        /// Earlier, equal and later exclude each other, and the other two operators are their unions.
        #[test]
        fn operators_agree_with_each_other(left in "[0-9]{1,2}(\\.[0-9a-z~+]{1,3}){0,3}(-[0-9]{1,2})?", right in "[0-9]{1,2}(\\.[0-9a-z~+]{1,3}){0,3}(-[0-9]{1,2})?") {
            let candidate = version(&left);
            let allows = |operator| Constraint { operator, version: version(&right) }.allows(&candidate);
            let exclusive = [Operator::Earlier, Operator::Equal, Operator::Later].map(allows);
            prop_assert_eq!(exclusive.iter().filter(|allowed| **allowed).count(), 1);
            prop_assert_eq!(allows(Operator::EarlierOrEqual), exclusive[0] || exclusive[1]);
            prop_assert_eq!(allows(Operator::LaterOrEqual), exclusive[1] || exclusive[2]);
        }

        #[test]
        fn relations_survive_being_written_and_read(name in "[a-z][a-z0-9+.-]{1,8}", qualifier in proptest::option::of("any|native|arm64"), versioned in any::<bool>()) {
            let relation = Relation { name: &name, qualifier: qualifier.as_deref(), constraint: versioned.then(|| Constraint { operator: Operator::LaterOrEqual, version: version("1:2.3-4") }) };
            let written = relation.to_string();
            prop_assert_eq!(groups(&written).expect("relation"), vec![vec![relation]]);
        }
    }
}
