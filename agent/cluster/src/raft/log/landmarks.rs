//! What has to be known of the log's entries before they are committed, without reading them: seals and configurations; and how far the log is durable.
//!
//! What is applied is in the [state](crate::state::Replicated) and need not be here: landmarks that are applied, or lie below what a snapshot has put
//! in the place of the log, count no more.

use std::collections::{BTreeMap, BTreeSet};

use openraft::entry::EntryPayload;

use crate::raft::{Entry, StoredMembership};

/// The landmarks of a log.
#[derive(Debug, Default)]
pub(crate) struct Landmarks {
    seals: BTreeSet<u64>,
    configurations: BTreeMap<u64, StoredMembership>,
    /// The last entry that is on the medium.
    durable: Option<u64>,
    truncations: u64,
}

impl Landmarks {
    /// An entry is about to be in the log.
    pub(crate) fn note(&mut self, entry: &Entry) {
        let id = entry.log_id;
        match &entry.payload {
            EntryPayload::Normal(proposal) if proposal.is_seal() => {
                self.seals.insert(id.index);
            }
            EntryPayload::Membership(membership) => {
                self.configurations.insert(id.index, StoredMembership::new(Some(id), membership.clone()));
            }
            EntryPayload::Normal(_) | EntryPayload::Blank => {}
        }
    }

    /// Entries from `from` on are cut off.
    pub(crate) fn truncate(&mut self, from: u64) {
        self.seals.split_off(&from);
        self.configurations.split_off(&from);
        self.durable = self.durable.and_then(|durable| durable.min(from.checked_sub(1)?).into());
        self.truncations += 1;
    }

    /// Entries up to `to` are forgotten: the state on the medium has them.
    pub(crate) fn purge(&mut self, to: u64) {
        self.seals = self.seals.split_off(&(to + 1));
        self.configurations = self.configurations.split_off(&(to + 1));
        self.durable = self.durable.max(Some(to));
    }

    /// How often entries were cut off: what is durable is told of only if that has not happened meanwhile.
    pub(crate) const fn truncations(&self) -> u64 {
        self.truncations
    }

    /// Everything up to `index` is on the medium, if nothing was cut off since it was handed over.
    pub(crate) fn flushed(&mut self, index: u64, truncations: u64) {
        if self.truncations == truncations {
            self.durable = self.durable.max(Some(index));
        }
    }

    /// The last entry that is on the medium.
    pub(crate) const fn durable(&self) -> Option<u64> {
        self.durable
    }

    /// The first seal behind the entries that are `applied`.
    pub(crate) fn first_seal_behind(&self, applied: Option<u64>) -> Option<u64> {
        self.seals.range(applied.map_or(0, |applied| applied + 1)..).next().copied()
    }

    /// The newest configuration behind the entries that are `applied`.
    pub(crate) fn newest_configuration_behind(&self, applied: Option<u64>) -> Option<&StoredMembership> {
        self.configurations.range(applied.map_or(0, |applied| applied + 1)..).next_back().map(|(_, stored)| stored)
    }
}

#[cfg(test)]
mod tests {
    use openraft::entry::RaftEntry;
    use shoal_formation::ControlEntry;

    use super::*;
    use crate::raft::{
        Membership, Peer,
        entry::{Content, Proposal, ProposalId},
        log_id,
    };

    fn entry(index: u64, kind: u64) -> Entry {
        let id = log_id(1, index);
        let control = |entry| Entry::new_normal(id, Proposal::new(ProposalId { member: 1, sequence: index }, Content::Control(entry)));
        match kind {
            0 => control(ControlEntry::Seal),
            1 => {
                let nodes = BTreeMap::from([(index, Peer::with_key([7; 32]))]);
                Entry::new_membership(id, Membership::new(vec![[index].into()], nodes).expect("it is known"))
            }
            2 => control(ControlEntry::Born),
            _ => Entry::new_blank(id),
        }
    }

    /// Against somebody who keeps the whole log and looks through it each time.
    #[test]
    fn landmarks_are_what_a_reader_of_the_whole_log_finds() {
        let mut state = 1_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..500 {
            let (mut landmarks, mut log, mut first, mut applied) = (Landmarks::default(), Vec::<Entry>::new(), 0_u64, None);
            for _ in 0..40 {
                let next = log.last().map_or(first, |entry: &Entry| entry.log_id.index + 1);
                match random(6) {
                    0..3 => {
                        let entry = entry(next, random(5));
                        landmarks.note(&entry);
                        log.push(entry);
                    }
                    3 if applied.is_none_or(|applied| applied + 1 < next) && next > 0 => {
                        let from = applied.map_or(0, |applied| applied + 1) + random(next - applied.map_or(0, |applied| applied + 1));
                        landmarks.truncate(from);
                        log.retain(|entry| entry.log_id.index < from);
                    }
                    4 if next > 0 => applied = applied.max(Some(random(next))),
                    5 if let Some(through) = applied => {
                        let to = random(through + 1);
                        landmarks.purge(to);
                        log.retain(|entry| entry.log_id.index > to);
                        first = first.max(to + 1);
                    }
                    _ => {}
                }
                let behind = || log.iter().filter(|entry| applied.is_none_or(|applied| entry.log_id.index > applied));
                let is_seal = |entry: &&Entry| matches!(&entry.payload, EntryPayload::Normal(proposal) if proposal.is_seal());
                let is_configuration = |entry: &&Entry| matches!(entry.payload, EntryPayload::Membership(_));
                assert_eq!(landmarks.first_seal_behind(applied), behind().find(is_seal).map(|entry| entry.log_id.index));
                let newest = landmarks.newest_configuration_behind(applied).and_then(|stored| *stored.log_id());
                assert_eq!(newest, behind().filter(is_configuration).last().map(|entry| entry.log_id));
            }
        }
    }

    #[test]
    fn what_was_cut_off_is_not_durable_however_late_somebody_says_so() {
        let mut landmarks = Landmarks::default();
        let before = landmarks.truncations();
        landmarks.flushed(9, before);
        landmarks.truncate(5);
        landmarks.flushed(9, before);
        assert_eq!(landmarks.durable(), Some(4));
        landmarks.flushed(6, landmarks.truncations());
        assert_eq!(landmarks.durable(), Some(6));
        landmarks.truncate(0);
        assert_eq!(landmarks.durable(), None);
    }
}
