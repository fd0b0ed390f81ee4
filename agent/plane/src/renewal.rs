//! When a certificate is issued anew: `formation-and-trust`'s rules of time, as a table.

use serde::{Deserialize, Serialize};

use crate::certificates::Certificate;

/// How long a certificate is valid from the time it is issued: a year, in seconds.
pub const LIFETIME_SECONDS: i64 = 365 * DAY_SECONDS;
/// Less than this left, and it is issued anew: a box that was in a cupboard for a season must come back with certificates that last.
const LEFT_SECONDS: i64 = 90 * DAY_SECONDS;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// What is kept beside a certificate: what it was issued for, by whom and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Record {
    /// What was asked for.
    pub certificate: Certificate,
    /// SHA-256 of the authority's certificate, in hexadecimal.
    pub issuer: String,
    /// When it was issued, in seconds since 1970. It is valid from earlier on.
    pub issued_at: i64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
}

/// Why a certificate is issued anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There is none, or nobody knows what it was issued for.
    Missing,
    /// Another one is wanted: an address has changed, say.
    Changed,
    /// Its authority is not the one there is.
    OtherAuthority,
    /// Half of its life is over, or it ends soon.
    Old,
}

/// Whether a certificate is to be issued, from what is known of the one that is there.
#[must_use]
pub fn due(wanted: &Certificate, issuer: &str, record: Option<&Record>, now: i64) -> Option<Reason> {
    let Some(record) = record else { return Some(Reason::Missing) };
    let (life, left) = (record.not_after.saturating_sub(record.issued_at), record.not_after.saturating_sub(now));
    if record.certificate != *wanted {
        Some(Reason::Changed)
    } else if record.issuer != issuer {
        Some(Reason::OtherAuthority)
    } else if left < LEFT_SECONDS || left < life / 2 {
        Some(Reason::Old)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::{Authority, front_proxy, store_client};

    #[test]
    fn a_certificate_is_kept_while_it_is_the_wanted_one_and_young() {
        let wanted = front_proxy();
        let record = Record { certificate: wanted.clone(), issuer: "a".into(), issued_at: 1_000, not_after: 1_000 + LIFETIME_SECONDS };
        let due = |wanted: &Certificate, issuer: &str, days: i64| due(wanted, issuer, Some(&record), 1_000 + days * DAY_SECONDS);
        assert_eq!(super::due(&wanted, "a", None, 0), Some(Reason::Missing));
        let table = [(0, None), (182, None), (183, Some(Reason::Old)), (400, Some(Reason::Old)), (-400, None)];
        for (days, expected) in table {
            assert_eq!(due(&wanted, "a", days), expected, "after {days} days");
        }
        assert_eq!(due(&wanted, "b", 0), Some(Reason::OtherAuthority));
        assert_eq!(due(&store_client(), "a", 0), Some(Reason::Changed));
        assert_eq!(due(&Certificate { authority: Authority::Store, ..wanted.clone() }, "a", 0), Some(Reason::Changed));
    }
}
