//! Texts with a meaning: sizes, durations, modes, paths, names. Pure functions from text to value.

use toml::value::{Datetime, Offset};

use crate::problem::Problem;

/// Binary units of sizes.
const SIZE_UNITS: [(&str, u64); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
/// Units of durations, in milliseconds.
const DURATION_UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("min", 60_000), ("h", 3_600_000)];
/// Names become parts of file names, control groups and host names; a DNS label has at most 63 bytes (RFC 1035, 2.3.4).
const NAME_BYTES_MAX: usize = 63;
const SECONDS_PER_DAY: i64 = 86_400;

fn bad(text: &str, expected: &str, advice: &str) -> Problem {
    Problem::BadValue { text: text.to_owned(), expected: expected.to_owned(), advice: advice.to_owned() }
}

fn number_and_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// `512 MiB`, in bytes.
pub(crate) fn size(text: &str) -> Result<u64, Problem> {
    number_and_unit(text, &SIZE_UNITS)
        .ok_or_else(|| bad(text, "a size", "write a whole number and a unit of B, KiB, MiB, GiB or TiB, such as \"512 MiB\""))
}

/// `90s`, in milliseconds.
pub(crate) fn duration_ms(text: &str) -> Result<u64, Problem> {
    number_and_unit(text, &DURATION_UNITS)
        .ok_or_else(|| bad(text, "a duration", "write a whole number and a unit of ms, s, min or h, such as \"90s\""))
}

/// `90s`, in seconds; no fractions of a second.
pub(crate) fn duration_seconds(text: &str) -> Result<u32, Problem> {
    let milliseconds = duration_ms(text)?;
    if milliseconds % 1_000 != 0 {
        return Err(bad(text, "a whole number of seconds", "write it in s, min or h, such as \"30s\""));
    }
    u32::try_from(milliseconds / 1_000).map_err(|_| bad(text, "a duration that fits", "write less than 100 years"))
}

/// `0755`, octal permission bits.
pub(crate) fn mode(text: &str) -> Result<u32, Problem> {
    let digits = text.len() == 4 && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    digits
        .then(|| u32::from_str_radix(text, 8).ok())
        .flatten()
        .ok_or_else(|| bad(text, "a file mode", "write four octal digits, such as \"0644\" or \"0755\""))
}

/// Lower-case letters, digits and `-`, beginning with a letter.
pub(crate) fn name(text: &str) -> Result<String, Problem> {
    let valid = text.len() <= NAME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if valid {
        return Ok(text.to_owned());
    }
    Err(bad(text, "a name", "use lower-case letters, digits and `-`, beginning with a letter, at most 63 characters"))
}

/// `major.minor.patch`.
pub(crate) fn version(text: &str) -> Result<String, Problem> {
    let part = |part: &str| part.parse::<u32>().is_ok_and(|number| number.to_string() == part);
    if text.split('.').count() == 3 && text.split('.').all(part) {
        return Ok(text.to_owned());
    }
    Err(bad(text, "a version", "write three numbers with dots between them, such as \"1.0.0\""))
}

/// An absolute path without `.`, `..`, empty segments or a `/` at the end.
pub(crate) fn absolute_path(text: &str) -> Result<String, Problem> {
    let clean = text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|segment| !matches!(segment, "" | "." | "..")));
    if clean && !text.contains('\0') {
        return Ok(text.to_owned());
    }
    Err(bad(text, "an absolute path", "begin it with `/`, and leave out `.`, `..`, `//` and a `/` at the end"))
}

/// A path or glob relative to `/` of a package or of `kernel/`: `usr/bin/*`.
pub(crate) fn glob(text: &str) -> Result<String, Problem> {
    let segment = |segment: &str| !matches!(segment, "" | "." | "..");
    let brackets = text.matches('[').count() == text.matches(']').count();
    if text.split('/').all(segment) && brackets && !text.contains('\0') {
        return Ok(text.to_owned());
    }
    Err(bad(text, "a path to keep or to leave out", "write it without a `/` at the beginning or at the end, such as \"usr/bin/*\""))
}

/// Name of a Debian package (Debian Policy 5.6.1), with `:arch` behind it where `foreign` allows that.
pub(crate) fn package_name(text: &str, foreign: bool) -> Result<String, Problem> {
    let (name, arch) = text.split_once(':').map_or((text, None), |(name, arch)| (name, Some(arch)));
    let valid = name.len() >= 2
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte));
    match arch {
        None if valid => Ok(text.to_owned()),
        Some("amd64" | "arm64") if valid && foreign => Ok(text.to_owned()),
        _ if foreign => Err(bad(
            text,
            "a package",
            "write the name of a Debian package, such as \"gcc-14\", or of another architecture's, \"libc6-dev:arm64\"",
        )),
        _ => Err(bad(text, "a package", "write the name of a Debian package alone, such as \"e2fsprogs\"; architectures go into `arch`")),
    }
}

/// Seconds since 1970 of a date-time in UTC (RFC 3339).
pub(crate) fn epoch(time: &Datetime) -> Result<i64, Problem> {
    let fail = || bad(&time.to_string(), "a date-time in UTC", "write it like `2026-11-23T00:00:00Z`, without quotes and with the Z");
    let (Some(date), Some(clock), Some(Offset::Z)) = (time.date, time.time, time.offset) else { return Err(fail()) };
    let seconds = i64::from(clock.hour) * 3_600 + i64::from(clock.minute) * 60 + i64::from(clock.second.unwrap_or(0));
    let epoch = days_since_1970(i64::from(date.year), i64::from(date.month), i64::from(date.day)) * SECONDS_PER_DAY + seconds;
    // FAT, which the ESP is, counts from 1980; a build time before that would have two different meanings in one image.
    if date.year < 1980 { Err(bad(&time.to_string(), "a build time", "write a date from 1980 on")) } else { Ok(epoch) }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar. Years begin in March here, so that the leap day is the last one.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let months_since_march = (month + 9) % 12;
    let day_of_year = (153 * months_since_march + 2) / 5 + day - 1;
    let leap_days = year / 4 - year / 100 + year / 400;
    // 719468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_need_a_unit() {
        assert_eq!(size("512 MiB").unwrap(), 512 << 20);
        assert_eq!(size("64KiB").unwrap(), 65_536);
        assert_eq!(duration_ms("90s").unwrap(), 90_000);
        assert_eq!(duration_ms("250ms").unwrap(), 250);
        assert_eq!(duration_seconds("2 min").unwrap(), 120);
        for wrong in ["", "512", "MiB", "512 MB", "1.5 GiB", "-1 B", "99999999999 TiB", "1 GiB "] {
            assert!(size(wrong).is_err(), "{wrong:?}");
        }
        assert!(duration_seconds("1500ms").is_err());
    }

    #[test]
    fn modes_are_four_octal_digits() {
        assert_eq!(mode("0755").unwrap(), 0o755);
        for wrong in ["755", "0o755", "0888", "rwxr", "+755"] {
            assert!(mode(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn paths_have_one_spelling() {
        assert!(absolute_path("/usr/bin/crun").is_ok());
        for wrong in ["", "/", "usr", "/usr/", "/usr//bin", "/usr/../etc", "/./a", "/a\0"] {
            assert!(absolute_path(wrong).is_err(), "{wrong:?}");
        }
        assert!(glob("usr/bin/*").is_ok() && glob("**").is_ok());
        assert!(glob("/usr/bin").is_err() && glob("a[b").is_err());
    }

    #[test]
    fn names_versions_and_packages_are_checked() {
        assert!(name("shoal-1").is_ok());
        assert!(["", "Shoal", "1a", "a_b", "a-"].iter().all(|wrong| name(wrong).is_err()));
        assert!(version("0.1.0").is_ok());
        assert!(["1.0", "v1.0.0", "1.0.0-rc", "01.0.0", "1.0.+1"].iter().all(|wrong| version(wrong).is_err()));
        assert!(package_name("libstdc++6", false).is_ok());
        assert!(package_name("libc6-dev:arm64", true).is_ok());
        assert!(package_name("libc6-dev:arm64", false).is_err() && package_name("libc6:riscv64", true).is_err());
    }

    #[test]
    fn epochs_agree_with_the_calendar() {
        let at = |text: &str| epoch(&text.parse().unwrap());
        assert_eq!(at("2000-03-01T00:00:00Z").unwrap(), 951_868_800);
        assert_eq!(at("2024-02-29T12:34:56Z").unwrap(), 1_709_210_096);
        assert_eq!(at("2026-11-23T00:00:00Z").unwrap(), 1_795_392_000);
        assert!(at("2026-11-23").is_err() && at("2026-11-23T00:00:00+01:00").is_err() && at("1970-01-01T00:00:00Z").is_err());
    }
}
