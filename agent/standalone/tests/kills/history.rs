//! What clients have asked for and been told, in the order in which it was recorded, which is an order of real time: a call is recorded before it is
//! sent, and its answer after it has come.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// What a write writes. Every write writes another one.
pub(crate) type Value = u64;

/// Bytes that follow a value, so that logs and checkpoints grow.
const PADDING: usize = 300;

/// Keys of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// Read and written by all clients.
    Register(u32),
    /// Written once, with a lease of its own.
    Leased(u32),
}

impl Key {
    pub(crate) const REGISTERS: (&str, &str) = ("register/", "register0");

    pub(crate) fn encode(self) -> String {
        match self {
            Self::Register(number) => format!("register/{number}"),
            Self::Leased(number) => format!("leased/{number}"),
        }
    }

    pub(crate) fn decode(key: &[u8]) -> Option<Self> {
        let (kind, number) = std::str::from_utf8(key).ok()?.split_once('/')?;
        match kind {
            "register" => Some(Self::Register(number.parse().ok()?)),
            "leased" => Some(Self::Leased(number.parse().ok()?)),
            _ => None,
        }
    }
}

pub(crate) fn encode(value: Value) -> String {
    format!("{value:020}{}", "x".repeat(PADDING))
}

/// `None` if no client can have written it.
pub(crate) fn decode(value: &[u8]) -> Option<Value> {
    let number = std::str::from_utf8(value.get(..20)?).ok()?.parse().ok()?;
    (encode(number).as_bytes() == value).then_some(number)
}

/// A key as the store has it at some revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) value: Value,
    /// Revisions.
    pub(crate) created: i64,
    pub(crate) modified: i64,
    /// How many writes it has had since it was created.
    pub(crate) version: i64,
}

/// Keys and what they are.
pub(crate) type State = BTreeMap<Key, Version>;

/// Which keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Registers,
    Key(Key),
}

impl Scope {
    pub(crate) fn has(self, key: Key) -> bool {
        match self {
            Self::Registers => matches!(key, Key::Register(_)),
            Self::Key(one) => key == one,
        }
    }
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Put(Key, Value),
    /// Writes two keys if the first was modified at this revision (0: does not exist), otherwise reads that one.
    Swap {
        key: Key,
        expected: i64,
        also: Key,
        value: Value,
    },
    Delete(Key),
    Read(Scope),
    /// Reads what the member that is asked has, however old it is.
    ReadSerializable(Scope),
    /// Revokes the lease of a key.
    Revoke(Key),
}

/// What a client is told, always with the revision of the answer's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// A put, with what the key was before.
    Written {
        revision: i64,
        before: Option<Version>,
    },
    Swapped {
        revision: i64,
    },
    NotSwapped {
        revision: i64,
        found: Option<Version>,
    },
    Deleted {
        revision: i64,
        before: Option<Version>,
    },
    /// There was nothing to delete.
    Absent {
        revision: i64,
    },
    Read {
        revision: i64,
        found: State,
    },
    Revoked {
        revision: i64,
    },
}

impl Told {
    pub(crate) const fn revision(&self) -> i64 {
        match *self {
            Self::Written { revision, .. }
            | Self::Swapped { revision }
            | Self::NotSwapped { revision, .. }
            | Self::Deleted { revision, .. }
            | Self::Absent { revision }
            | Self::Read { revision, .. }
            | Self::Revoked { revision } => revision,
        }
    }
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// When, on the history's clock, and what.
    Told(u64, Told),
    /// The store has said that it never happens.
    Refused,
    /// Nobody knows whether it happened, or ever will.
    Unknown,
}

/// A call from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) client: usize,
    pub(crate) member: usize,
    pub(crate) asked: Asked,
    /// On the history's clock.
    pub(crate) called: u64,
    pub(crate) end: End,
}

/// What was recorded.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) calls: Vec<Call>,
    /// Revisions that watchers were told of, and when.
    pub(crate) seen: Vec<(u64, i64)>,
    /// Writes that were acknowledged.
    pub(crate) acknowledged: usize,
    pub(crate) clock: u64,
}

impl Recorded {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

/// All calls. Cloning gives another handle to the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct History(Arc<Mutex<Recorded>>);

impl History {
    pub(crate) fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().expect("nobody panics while holding the history")
    }

    /// Something is about to be asked; gives its number.
    pub(crate) fn call(&self, client: usize, member: usize, asked: Asked) -> usize {
        let mut recorded = self.recorded();
        let called = recorded.tick();
        recorded.calls.push(Call { client, member, asked, called, end: End::Unknown });
        recorded.calls.len() - 1
    }

    /// It was answered.
    pub(crate) fn answer(&self, call: usize, told: Told) {
        let mut recorded = self.recorded();
        let at = recorded.tick();
        recorded.acknowledged += usize::from(matches!(told, Told::Written { .. } | Told::Swapped { .. } | Told::Deleted { .. }));
        recorded.calls[call].end = End::Told(at, told);
    }

    /// It was refused.
    pub(crate) fn refuse(&self, call: usize) {
        self.recorded().calls[call].end = End::Refused;
    }

    /// A watcher was told of this revision.
    pub(crate) fn see(&self, revision: i64) {
        let mut recorded = self.recorded();
        let at = recorded.tick();
        recorded.seen.push((at, revision));
    }
}
