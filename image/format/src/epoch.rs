//! The one time stamp an image carries (`SOURCE_DATE_EPOCH`).

use std::fmt;

/// Seconds since 1970-01-01T00:00:00Z, until 2106: what the narrowest of the formats (cpio) can store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u32);

/// A time outside the years an image can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{seconds} seconds since 1970 is not between 1970 and 2106; set SOURCE_DATE_EPOCH to a time in seconds, UTC")]
pub struct EpochError {
    /// The seconds given.
    pub seconds: i64,
}

impl Epoch {
    /// The time that many seconds after 1970.
    #[must_use]
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for Epoch {
    type Error = EpochError;

    fn try_from(seconds: i64) -> Result<Self, Self::Error> {
        u32::try_from(seconds).map(Self).map_err(|_| EpochError { seconds })
    }
}

/// As RFC 3339 writes it, in UTC: `2026-11-23T03:06:00Z`.
impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut days, second) = (self.0 / 86_400, self.0 % 86_400);
        let leap = |year: u32| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let mut year = 1970;
        while days >= 365 + u32::from(leap(year)) {
            days -= 365 + u32::from(leap(year));
            year += 1;
        }
        let lengths = [31, 28 + u32::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 0;
        while days >= lengths[month] {
            days -= lengths[month];
            month += 1;
        }
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(formatter, "{year:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", month + 1, days + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_date_1_writes_them() {
        // Each right-hand side is what `date -u -d @SECONDS +%FT%TZ` prints.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_763_866_861, "2025-11-23T03:01:01Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (u32::MAX, "2106-02-07T06:28:15Z"),
        ] {
            assert_eq!(Epoch::from_seconds(seconds).to_string(), text);
        }
    }

    #[test]
    fn times_before_1970_and_after_2106_are_refused() {
        assert_eq!(Epoch::try_from(-1), Err(EpochError { seconds: -1 }));
        assert!(Epoch::try_from(i64::from(u32::MAX) + 1).is_err());
        assert_eq!(Epoch::try_from(7).unwrap().seconds(), 7);
    }
}
