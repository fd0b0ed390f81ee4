//! The clock's floor: a box without a battery must not believe it is 1970, and no box may go back in time.
//!
//! Certificates are the reason: a clock before the image was built makes every certificate "not yet valid".

/// The longest step of the clock that is believed without further proof, in seconds: 20 years. Real-time clocks that lost their battery
/// also come up far in the future, and from there a floor would never let the box come back.
const FUTURE_LIMIT_SECONDS: i64 = 20 * 365 * 24 * 60 * 60;

/// How often the time is saved while the box runs, in seconds. A power cut costs at most this much of monotony, and one hour is
/// 24 small writes a day on a stick.
pub const SAVE_INTERVAL_SECONDS: u64 = 3600;

/// What to do with the system clock at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// The clock is plausible.
    Keep,
    /// The clock is behind the floor: set it to this time, in seconds since 1970.
    Raise(i64),
    /// The clock is implausibly far ahead: set it back to the floor, in seconds since 1970.
    Distrust(i64),
}

/// The earliest time it can be, in seconds since 1970: the image's build time or the last time known to the state medium.
#[must_use]
pub fn floor(image_epoch: i64, last_known: Option<i64>) -> i64 {
    // A saved time in the far future comes from a clock that was wrong then; it must not bind the box for ever.
    last_known.filter(|known| *known - image_epoch <= FUTURE_LIMIT_SECONDS).map_or(image_epoch, |known| known.max(image_epoch))
}

/// Compares the clock with its floor; both in seconds since 1970.
#[must_use]
pub const fn correct(clock: i64, floor: i64) -> Correction {
    if clock < floor {
        Correction::Raise(floor)
    } else if clock - floor > FUTURE_LIMIT_SECONDS {
        Correction::Distrust(floor)
    } else {
        Correction::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: i64 = 1_790_000_000;

    #[test]
    fn a_clock_without_battery_is_raised_to_the_later_of_build_and_last_known_time() {
        assert_eq!(correct(0, floor(BUILT, None)), Correction::Raise(BUILT));
        assert_eq!(correct(0, floor(BUILT, Some(BUILT + 5))), Correction::Raise(BUILT + 5));
        assert_eq!(correct(0, floor(BUILT, Some(BUILT - 5))), Correction::Raise(BUILT));
    }

    #[test]
    fn a_good_clock_is_kept() {
        assert_eq!(correct(BUILT + 1000, floor(BUILT, Some(BUILT + 500))), Correction::Keep);
        assert_eq!(correct(BUILT, BUILT), Correction::Keep);
    }

    #[test]
    fn a_clock_in_the_far_future_is_not_believed_and_does_not_become_the_floor() {
        let absurd = BUILT + FUTURE_LIMIT_SECONDS + 1;
        assert_eq!(correct(absurd, floor(BUILT, None)), Correction::Distrust(BUILT));
        assert_eq!(floor(BUILT, Some(absurd)), BUILT);
    }
}
