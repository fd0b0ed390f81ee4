//! Tries until the API answers, and says why it does not: a cluster that forms, and its control plane, take minutes.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use shoal_access::server::{ServerError, Vouched};

use super::connect::Failure;
use crate::cli::KubeconfigArgs;
use crate::events::Style;

/// Between two attempts: a person hardly notices, and a box that starts has a handshake less to do.
const PAUSE: Duration = Duration::from_secs(2);
/// Often enough to look alive.
const TICK: Duration = Duration::from_millis(120);

/// Repeats `attempt`, which is told until when, until it has gone well.
///
/// # Errors
/// If the server is none of the fleet, or `--timeout` is over; with why the last attempt failed.
pub(super) fn until_answered(
    args: &KubeconfigArgs,
    fleet: &str,
    mut attempt: impl FnMut(Instant) -> Result<Vouched, Failure>,
) -> Result<Vouched> {
    let deadline = Instant::now() + args.timeout;
    let mut progress = Progress::new(Style::for_terminal(), format!("waiting for the API of the fleet {fleet} at {}", args.server));
    loop {
        let reason = match attempt(deadline) {
            Ok(vouched) => return Ok(vouched),
            Err(Failure::Never(error)) => {
                let advice = advice(&error);
                return Err(error).context(format!("{} is not to be trusted as the API of the fleet {fleet}: {advice}", args.server));
            }
            Err(Failure::NotYet(reason)) => reason,
        };
        progress.say(&format!("{reason:#}"));
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let waited = args.timeout.as_secs();
            return Err(reason.context(format!(
                "{} did not answer as the API of the fleet {fleet} within {waited} s; look at a box's screen, or wait longer with --timeout",
                args.server
            )));
        }
        sleep(PAUSE.min(left));
    }
}

/// What to do about a server that is none of the fleet.
fn advice(error: &ServerError) -> &'static str {
    match error {
        ServerError::NoVoucher => "if it is yours, stamp its image with `shoal stamp`, and write its medium anew",
        ServerError::OtherFleet => {
            "name the fleet that its image was stamped with (--fleet); if that is the one, do not go on from this network"
        }
        ServerError::OtherGeneration { .. } => "use the fleet file that its image was stamped with last, or stamp its medium anew",
        ServerError::Copied(_) => "do not go on from this network",
        ServerError::Expired(_) => "set the clock that is wrong",
        ServerError::Certificate(_) => "check that this is a box of yours",
    }
}

/// A spinner on a terminal; elsewhere a line for each reason that is new.
struct Progress {
    bars: Option<(MultiProgress, ProgressBar)>,
    said: BTreeSet<String>,
    started: Instant,
}

impl Progress {
    fn new(style: Style, what: String) -> Self {
        let bars = (style == Style::Bars).then(|| {
            let bars = MultiProgress::new();
            crate::interrupt::shows(&bars);
            let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}").unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = bars.add(ProgressBar::new_spinner().with_style(style).with_message(what.clone()));
            bar.enable_steady_tick(TICK);
            (bars, bar)
        });
        let progress = Self { bars, said: BTreeSet::new(), started: Instant::now() };
        if progress.bars.is_none() {
            progress.line(&what);
        }
        progress
    }

    fn say(&mut self, reason: &str) {
        if self.said.insert(reason.to_owned()) {
            self.line(reason);
        }
    }

    fn line(&self, text: &str) {
        let line = format!("[{:7.1}] {text}", self.started.elapsed().as_secs_f64());
        match &self.bars {
            // A terminal that went away is no reason to give up.
            Some((bars, _)) => drop(bars.println(line)),
            None => eprintln!("{line}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((_, bar)) = &self.bars {
            bar.finish_and_clear();
        }
    }
}
