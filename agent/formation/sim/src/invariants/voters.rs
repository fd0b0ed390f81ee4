//! Voters at rest are one, three or five; three never become fewer; and dead ones are replaced no faster than allowed. (S11)

use shoal_formation::{ClusterId, ControlEntry, control::Cause, timers};

use super::truth::Truth;
use crate::raft::{Entry, Payload, Time};

/// An entry is committed, after those in `truth`.
pub(crate) fn committed(now: Time, cluster: ClusterId, truth: &Truth, entry: &Entry) -> Result<(), String> {
    match &entry.payload {
        Payload::Configuration(configuration) if configuration.is_uniform() => {
            let last = &truth.configuration;
            let before = if last.is_uniform() { last.voters.len() } else { last.outgoing.len() };
            let after = configuration.voters.len();
            if !matches!(after, 1 | 3 | 5) {
                return Err(format!("{cluster} rests with {after} voters"));
            }
            if before >= 3 && after < 3 {
                return Err(format!("{cluster} goes from {before} voters to {after}"));
            }
            Ok(())
        }
        Payload::Control(ControlEntry::Remove(node, Cause::Replaced)) => {
            let rest = timers::BETWEEN_REPLACEMENTS.as_micros() as Time;
            match truth.replacements.last() {
                Some(last) if now - last < rest => {
                    Err(format!("{cluster} replaces {node} {} s after it replaced another", (now - last) / 1_000_000))
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}
