//! Durations as Go writes them (`time.ParseDuration`), which is how etcd's flags are given: `10m`, `1h30m`, `1.5s`, `100ms`.

use std::time::Duration;

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration: write numbers with units, like 5s, 100ms or 1h30m")]
pub(crate) struct NotADuration {
    text: String,
}

/// Units and their length in nanoseconds. `m` stands behind the units that begin with it.
const UNITS: [(&str, f64); 7] = [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("h", 3.6e12), ("m", 6e10), ("s", 1e9)];

/// # Errors
/// [`NotADuration`], also of a negative one: nothing here waits backwards.
pub(crate) fn parse(text: &str) -> Result<Duration, NotADuration> {
    let fail = || NotADuration { text: text.to_owned() };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.').ok_or_else(fail)?;
        let number: f64 = rest[..digits].parse().map_err(|_| fail())?;
        rest = &rest[digits..];
        let (unit, length) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit)).ok_or_else(fail)?;
        nanoseconds += number * length;
        rest = &rest[unit.len()..];
    }
    if text.is_empty() || nanoseconds > i64::MAX as f64 { Err(fail()) } else { Ok(Duration::from_nanos(nanoseconds as u64)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let table = [
            ("0", Duration::ZERO),
            ("0s", Duration::ZERO),
            ("5s", Duration::from_secs(5)),
            ("10m", Duration::from_secs(600)),
            ("1h30m", Duration::from_secs(5400)),
            ("100ms", Duration::from_millis(100)),
            ("1.5s", Duration::from_millis(1500)),
            (".5s", Duration::from_millis(500)),
            ("1m1ms", Duration::from_millis(60_001)),
            ("3us", Duration::from_micros(3)),
            ("3µs", Duration::from_micros(3)),
        ];
        for (text, duration) in table {
            assert_eq!(parse(text), Ok(duration), "{text:?}");
        }
    }

    #[test]
    fn other_words_are_refused() {
        for text in ["", "5", "s", "-1s", "5 s", "5d", "1e9s", "1..5s", "9999999h"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse("5").unwrap_err().to_string().contains("write numbers with units"));
    }
}
