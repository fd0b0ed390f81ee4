//! Which keys a request is about: etcd's pair of `key` and `range_end`.

use std::ops::Bound;

use bytes::Bytes;

/// The `range_end` that means "every key from `key` on": one zero byte.
pub const FROM_KEY: &[u8] = b"\0";

/// A set of keys, as `key` and `range_end` of etcd's requests name it (`RangeRequest` in rpc.proto).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyRange {
    /// One key: `range_end` is empty.
    Key(Bytes),
    /// `[start, end)`; no key at all if `end` is not above `start`.
    Range {
        /// The first key.
        start: Bytes,
        /// The first key that is too large.
        end: Bytes,
    },
    /// Every key from this one on: `range_end` is [`FROM_KEY`]. All keys there are if this is [`FROM_KEY`], too.
    From(Bytes),
}

impl KeyRange {
    /// Reads the pair as etcd does.
    #[must_use]
    pub fn new(key: Bytes, range_end: Bytes) -> Self {
        if range_end.is_empty() {
            Self::Key(key)
        } else if range_end == FROM_KEY {
            Self::From(key)
        } else {
            Self::Range { start: key, end: range_end }
        }
    }

    /// The keys that begin with `prefix`; every key if it is empty.
    #[must_use]
    pub fn prefix(prefix: Bytes) -> Self {
        match successor_of_prefix(&prefix) {
            Some(end) => Self::Range { start: prefix, end },
            None => Self::From(if prefix.is_empty() { Bytes::from_static(FROM_KEY) } else { prefix }),
        }
    }

    /// The smallest key the range can hold.
    #[must_use]
    pub fn start(&self) -> &Bytes {
        match self {
            Self::Key(start) | Self::Range { start, .. } | Self::From(start) => start,
        }
    }

    /// Where the range ends.
    #[must_use]
    pub fn end(&self) -> Bound<&[u8]> {
        match self {
            Self::Key(key) => Bound::Included(key),
            Self::Range { end, .. } => Bound::Excluded(end),
            Self::From(_) => Bound::Unbounded,
        }
    }

    /// Whether `key` is in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(only) => key == only,
            Self::Range { start, end } => &start[..] <= key && key < &end[..],
            Self::From(start) => &start[..] <= key,
        }
    }

    /// Whether no key can be in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Range { start, end } if end <= start)
    }
}

/// The smallest key above every key that begins with `prefix`; `None` if there is none because the prefix is all `0xff`.
fn successor_of_prefix(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(key: &'static str, range_end: &'static str) -> KeyRange {
        KeyRange::new(Bytes::from_static(key.as_bytes()), Bytes::from_static(range_end.as_bytes()))
    }

    #[test]
    fn pairs_are_read_as_etcd_reads_them() {
        let table = [
            (range("b", ""), ["b"].as_slice(), ["a", "b\0", "c"].as_slice()),
            (range("b", "d"), &["b", "b\0", "c", "czz"], &["a", "azz", "d", "e"]),
            (range("b", "\0"), &["b", "c", "\u{7f}"], &["a", "\0"]),
            (range("\0", "\0"), &["\0", "a", "zzz"], &[]),
            (range("\0", ""), &["\0"], &["a", "\0\0"]),
            (range("d", "b"), &[], &["b", "c", "d"]),
            (range("b", "b"), &[], &["b"]),
        ];
        for (range, inside, outside) in table {
            for key in inside {
                assert!(range.contains(key.as_bytes()), "{range:?} holds {key:?}");
            }
            for key in outside {
                assert!(!range.contains(key.as_bytes()), "{range:?} does not hold {key:?}");
            }
        }
    }

    #[test]
    fn a_prefix_of_all_ones_reaches_to_the_end() {
        assert_eq!(
            KeyRange::prefix(Bytes::from_static(b"a\xff")),
            KeyRange::Range { start: Bytes::from_static(b"a\xff"), end: Bytes::from_static(b"b") }
        );
        assert_eq!(KeyRange::prefix(Bytes::from_static(b"\xff\xff")), KeyRange::From(Bytes::from_static(b"\xff\xff")));
        assert_eq!(KeyRange::prefix(Bytes::new()), KeyRange::From(Bytes::from_static(b"\0")));
    }
}
