//! Names of the files in a log's directory.

/// The lock's file. It is never removed.
pub(crate) const LOCK: &str = "lock";

/// The name of a segment, so that names sort as numbers do.
pub(crate) fn segment(number: u64) -> String {
    format!("segment-{number:020}")
}

/// The number of the segment with this name.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("segment-")?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The name of a file that waits to become a segment.
pub(crate) fn spare(number: u64) -> String {
    format!("spare-{number}")
}

/// The name of a spare that is being filled with zeros.
pub(crate) fn unfinished_spare(number: u64) -> String {
    format!("spare-{number}.tmp")
}

/// A spare by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpareName {
    Ready(u64),
    Unfinished,
}

/// What kind of spare has this name.
pub(crate) fn spare_name(name: &str) -> Option<SpareName> {
    let rest = name.strip_prefix("spare-")?;
    if rest.ends_with(".tmp") { Some(SpareName::Unfinished) } else { rest.parse().ok().map(SpareName::Ready) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_is() {
        assert_eq!(segment_number(&segment(42)), Some(42));
        assert_eq!(segment_number(&segment(u64::MAX)), Some(u64::MAX));
        assert_eq!(segment_number("segment-42"), None);
        assert_eq!(segment_number("segment-+0000000000000000042"), None);
        assert_eq!(segment_number("segment-99999999999999999999"), None);
        assert_eq!(spare_name(&spare(7)), Some(SpareName::Ready(7)));
        assert_eq!(spare_name(&unfinished_spare(7)), Some(SpareName::Unfinished));
        assert_eq!((spare_name("spare-x"), spare_name(LOCK)), (None, None));
        assert!(segment(9) < segment(10));
    }
}
