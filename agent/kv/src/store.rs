//! The store itself: what [`Command`]s change and reads see.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;

use self::{history::Version, lease::Leases, write::Write};
use crate::{
    error::{DeleteRangeError, PutError},
    event::{Revision, RevisionBatch},
    index::{Index, KeyId, Keys},
    request::{Alarm, AlarmAction, AlarmRequest, Command, DeleteRangeRequest, PutRequest},
    response::{AlarmMember, AlarmResponse, Applied, DeleteRangeResponse, Outcome, PutResponse},
};

mod checkpoint;
mod compact;
mod hash;
pub(crate) mod history;
mod lease;
mod read;
mod txn;
mod write;

/// Keys with their history back to the compaction, leases and alarms.
#[derive(Debug)]
pub struct Store {
    keys: Keys,
    index: Index,
    /// All versions in the order of their revisions.
    log: BTreeMap<Revision, KeyId>,
    revision: i64,
    compact_revision: i64,
    /// The next version that [`Self::compact_step`] looks at; `None` if it has seen all.
    compact_next: Option<Revision>,
    leases: Leases,
    alarms: BTreeSet<AlarmMember>,
    usage: UsageCount,
    #[cfg(feature = "known-bugs")]
    bug: Option<crate::known_bugs::KnownBug>,
}

/// What one [`Store::compact_step`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactStep {
    /// The versions that are gone, for a checkpoint to forget, too.
    pub removed: Vec<Revision>,
    /// Whether nothing is left to do until the next compaction.
    pub done: bool,
}

/// What the store holds, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Keys that exist now.
    pub keys: u64,
    /// Versions held, deletions among them, and those that a compaction has made unreachable but [`Store::compact_step`] not yet removed.
    pub versions: u64,
    /// Bytes of their keys and values, with the store's own overhead ([`VERSION_BYTES`], [`KEY_BYTES`]).
    pub bytes: u64,
}

/// What a version takes besides its value, in bytes: 72 for itself, about 40 in the list of all versions by their revisions, 48 for what the allocator
/// and [`Bytes`] add to a value.
pub const VERSION_BYTES: u64 = 160;

/// What a key takes besides its name and its versions, in bytes: 40 for its list of versions, 12 for its place in the tree, 48 for what the allocator
/// and [`Bytes`] add to a name.
pub const KEY_BYTES: u64 = 100;

#[derive(Debug, Default)]
struct UsageCount {
    alive: u64,
    versions: u64,
    bytes: u64,
}

impl UsageCount {
    const fn add_version(&mut self, version: &Version) {
        self.versions += 1;
        self.bytes += VERSION_BYTES + version.value.len() as u64;
    }

    const fn remove_version(&mut self, version: &Version) {
        self.versions -= 1;
        self.bytes -= VERSION_BYTES + version.value.len() as u64;
    }

    const fn add_key(&mut self, name: &[u8]) {
        self.bytes += KEY_BYTES + name.len() as u64;
    }

    const fn remove_key(&mut self, name: &[u8]) {
        self.bytes -= KEY_BYTES + name.len() as u64;
    }
}

/// The revision of an empty store.
const FIRST_REVISION: i64 = 1;

/// The compaction revision of a store that was never compacted.
const NEVER_COMPACTED: i64 = -1;

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// An empty store. It is at revision 1.
    #[must_use]
    pub fn new() -> Self {
        Self {
            keys: Keys::default(),
            index: Index::default(),
            log: BTreeMap::new(),
            revision: FIRST_REVISION,
            compact_revision: NEVER_COMPACTED,
            compact_next: None,
            leases: Leases::default(),
            alarms: BTreeSet::new(),
            usage: UsageCount::default(),
            #[cfg(feature = "known-bugs")]
            bug: None,
        }
    }

    /// The newest revision.
    #[must_use]
    pub const fn revision(&self) -> i64 {
        self.revision
    }

    /// The revision of the last compaction; -1 before the first. It can still be read and watched from.
    #[must_use]
    pub const fn compact_revision(&self) -> i64 {
        self.compact_revision
    }

    /// All alarms raised, in the order of the members.
    pub fn alarms(&self) -> impl Iterator<Item = AlarmMember> {
        self.alarms.iter().copied()
    }

    /// What the store holds.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        Usage { keys: self.usage.alive, versions: self.usage.versions, bytes: self.usage.bytes }
    }

    /// Does what a command says. Every member that applies the same commands in the same order has the same state and gives the same outcomes.
    ///
    /// Commands are expected to be validated before they are proposed. One that was not is still applied the same way everywhere, whatever that
    /// then means.
    pub fn apply(&mut self, command: Command) -> Applied {
        let (outcome, batch) = match command {
            Command::Put(request) => match self.put(request) {
                Ok((response, batch)) => (Outcome::Put(Ok(response)), batch),
                Err(error) => (Outcome::Put(Err(error)), None),
            },
            Command::DeleteRange(request) => {
                let (response, batch) = self.delete_range(&request);
                (Outcome::DeleteRange(Ok::<_, DeleteRangeError>(response)), batch)
            }
            Command::Txn(request) => {
                let (outcome, batch) = self.txn(request);
                (Outcome::Txn(outcome), batch)
            }
            Command::Compact(request) => (Outcome::Compact(self.compact(request)), None),
            Command::LeaseGrant(request) => (Outcome::LeaseGrant(self.grant(request)), None),
            Command::LeaseRevoke(request) => {
                let (outcome, batch) = self.revoke(request);
                (Outcome::LeaseRevoke(outcome), batch)
            }
            Command::Alarm(request) => (Outcome::Alarm(self.alarm(request)), None),
        };
        Applied { outcome, batch }
    }

    fn put(&mut self, request: PutRequest) -> Result<(PutResponse, Option<Arc<RevisionBatch>>), PutError> {
        if self.is_out_of_space() {
            return Err(PutError::NoSpace);
        }
        self.check_put(&request)?;
        let mut write = Write::begin(self);
        let response = write.put(request);
        Ok((response, write.commit()))
    }

    fn delete_range(&mut self, request: &DeleteRangeRequest) -> (DeleteRangeResponse, Option<Arc<RevisionBatch>>) {
        let mut write = Write::begin(self);
        let response = write.delete_range(request);
        (response, write.commit())
    }

    fn alarm(&mut self, request: AlarmRequest) -> AlarmResponse {
        let alarm = AlarmMember::from(request);
        let concerned = match request.action {
            AlarmAction::Activate => {
                self.alarms.insert(alarm);
                true
            }
            AlarmAction::Deactivate => self.alarms.remove(&alarm),
        };
        AlarmResponse { alarms: if concerned { vec![alarm] } else { Vec::new() } }
    }

    fn is_out_of_space(&self) -> bool {
        self.alarms.iter().any(|member| member.alarm == Alarm::NoSpace)
    }

    /// The events of a revision, rebuilt from history; `None` if it is below the compaction, or had none.
    #[must_use]
    pub fn batch(&self, revision: i64) -> Option<Arc<RevisionBatch>> {
        if revision < self.compact_revision {
            return None;
        }
        let logged = self.log.range(Revision { main: revision, sub: 0 }..Revision { main: revision + 1, sub: 0 });
        let events: Vec<_> = logged.map(|(&at, &id)| write::event(self.keys.get(id), at)).collect();
        (!events.is_empty()).then(|| Arc::new(RevisionBatch { revision, events }))
    }

    /// The changes from the main revision `from` on, which must not lie below the compaction: where each was made, and to which key. The sub revision
    /// is the event's index in its batch.
    pub(crate) fn changes(&self, from: i64) -> impl Iterator<Item = (Revision, &Bytes)> {
        self.log.range(Revision { main: from, sub: 0 }..).map(|(&at, &id)| (at, &self.keys.get(id).name))
    }
}

#[cfg(feature = "known-bugs")]
impl Store {
    /// Puts a bug back.
    pub fn put_back(&mut self, bug: crate::known_bugs::KnownBug) {
        self.bug = Some(bug);
    }

    fn has_bug(&self, bug: crate::known_bugs::KnownBug) -> bool {
        self.bug == Some(bug)
    }
}

#[cfg(test)]
mod tests;
