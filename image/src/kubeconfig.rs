//! `shoal kubeconfig`: a kubeconfig with which kubectl administers a cluster of the owner's, from anywhere that reaches one of its boxes.
//!
//! | part | what it does |
//! |---|---|
//! | [`server`] | where the API is |
//! | [`connect`] | one attempt: a TLS session in which each end knows the other by the fleet alone, and a question that only an owner is answered |
//! | [`wait`] | attempts until one has gone well, and says why they do not |
//! | [`file`] | the kubeconfig as text, and as a file that is whole or not there |
//!
//! The operator's key does not leave this machine, and neither does what it signs until the server has proven that it is one of the fleet (`shoal_access`).

mod connect;
mod file;
pub mod server;
mod wait;

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rcgen::{Certificate, KeyPair};
use shoal_access::operator;
use shoal_access::server::Vouched;
use shoal_trust::fleet_file::FleetFile;
use zeroize::Zeroizing;

pub(crate) use connect::Failure;
use server::Server;

use crate::cli::KubeconfigArgs;
use crate::fleet;

const HOUR_SECONDS: u64 = 60 * 60;

/// `shoal kubeconfig`.
///
/// # Errors
/// If it is not clear which fleet is meant, the server is none of it, it does not answer in time, or the file cannot be written. Then there is no new file, and
/// one that was there is as it was.
pub fn run(args: &KubeconfigArgs) -> Result<()> {
    let (fleet, _) = fleet::choose(args.fleet.as_deref())?;
    let name = fleet.name().as_str();
    if let Some(out) = &args.out {
        file::check(out).with_context(|| format!("cannot write {}", out.display()))?;
    }
    let pass = Pass::new(&fleet, &args.server, args.hours)?;
    let vouched = wait::until_answered(args, name, |deadline| pass.visit.attempt(deadline))?;
    let text = pass.text(&vouched);
    match &args.out {
        None => std::io::stdout().write_all(text.as_bytes()).context("cannot write the kubeconfig")?,
        Some(out) => {
            file::write(out, &text).with_context(|| format!("cannot write {}", out.display()))?;
            println!("{}: the fleet {name} at {}, for {} h", out.display(), args.server, args.hours);
            println!("Who has this file administers the cluster until then: keep it as you keep a key.");
            println!("next: kubectl --kubeconfig {} get nodes", out.display());
        }
    }
    Ok(())
}

/// An owner at the API of a cluster: with a certificate that was just made.
pub(crate) struct Pass<'a> {
    fleet: &'a FleetFile,
    server: &'a Server,
    hours: u32,
    key: KeyPair,
    certificate: Certificate,
    visit: connect::Visit<'a>,
}

impl<'a> Pass<'a> {
    /// For so many hours.
    ///
    /// # Errors
    /// If no key or certificate can be made.
    pub(crate) fn new(fleet: &'a FleetFile, server: &'a Server, hours: u32) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("this machine's clock is before 1970")?.as_secs();
        let until = now + u64::from(hours) * HOUR_SECONDS;
        let key = KeyPair::generate().context("no key can be made")?;
        let certificate = operator::issue(fleet.operator(), &key, until).context("no certificate can be made")?;
        let visit = connect::Visit::new(server, fleet.keys(), &certificate, &key).context("no TLS session can be prepared")?;
        Ok(Self { fleet, server, hours, key, certificate, visit })
    }

    /// Once the API has answered: a kubeconfig in `out`, readable by this user alone; what this command wrote before is replaced.
    ///
    /// # Errors
    /// [`Failure`], if the API does not answer yet, or is none of the fleet.
    pub(crate) fn kubeconfig(&self, out: &Path, deadline: Instant) -> Result<(), Failure> {
        let text = self.text(&self.visit.attempt(deadline)?);
        let written = file::write(out, &text).with_context(|| format!("cannot write {}", out.display()));
        written.map_err(Failure::NotYet)
    }

    /// What the API answers when it is asked for this path: JSON.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn get(&self, path: &str, deadline: Instant) -> Result<Vec<u8>, Failure> {
        self.visit.get(path, deadline)
    }

    fn text(&self, vouched: &Vouched) -> Zeroizing<String> {
        file::text(&file::Contents {
            fleet: self.fleet.name().as_str(),
            server: self.server,
            hours: self.hours,
            authority: &vouched.authority,
            name: vouched.name,
            certificate: &self.certificate,
            key: &self.key,
        })
    }
}

/// Reads a span of time: a number and `s`, `m` or `h`; without a unit, seconds.
///
/// # Errors
/// What to write instead.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], HOUR_SECONDS),
        _ => (text, 1),
    };
    // A year: nobody means more, and nothing overflows.
    let seconds =
        digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).filter(|seconds| *seconds <= 365 * 24 * HOUR_SECONDS);
    seconds.map(Duration::from_secs).ok_or_else(|| "write a number with s, m or h, such as 90s or 10m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_have_a_unit_or_are_seconds() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("0", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "-1", "1.5h", "10 m", "1d", "99999999999999999999h", "9000h", "10µ"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
