//! The birth barrier is lifted when there are as many voters as the members make possible, or late; and nothing is sealed before. (S10)

use shoal_formation::{ClusterId, ControlEntry, timers};

use super::truth::Truth;
use crate::raft::{Entry, Payload, Time};

/// An entry is committed, after those in `truth`.
pub(crate) fn committed(now: Time, present: Option<usize>, cluster: ClusterId, truth: &Truth, entry: &Entry) -> Result<(), String> {
    let barrier = timers::BARRIER.as_micros() as Time;
    match &entry.payload {
        Payload::Control(ControlEntry::Born) if truth.born.is_none() => {
            let members = present.unwrap_or_default();
            let early = truth.begun.is_some_and(|begun| now - begun < barrier);
            let voters = truth.configuration.voters.len();
            if early && members >= 3 && voters < 3 {
                return Err(format!("the barrier of {cluster} is lifted with {members} members that have disks and {voters} voter"));
            }
            Ok(())
        }
        Payload::Control(ControlEntry::Seal) if truth.born.is_none() && truth.dissolved.is_none() => {
            Err(format!("{cluster} is sealed before its barrier is lifted"))
        }
        _ => Ok(()),
    }
}
