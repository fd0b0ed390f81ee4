//! What happened: key-values, events, and all events of one revision together.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

/// The place of a version in history. Every write takes the next main revision; what one transaction changes is told apart by the sub revision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// The revision that clients see. An empty store is at 1.
    pub main: i64,
    /// Counts the changes of one revision from 0.
    pub sub: u32,
}

/// `mvccpb.KeyValue`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyValue {
    /// The key. Shares its memory with every other version of the key.
    pub key: Bytes,
    /// The value; empty in a deletion, and where only keys were asked for.
    pub value: Bytes,
    /// The revision that created the key; 0 in a deletion.
    pub create_revision: i64,
    /// The revision of this version.
    pub mod_revision: i64,
    /// The number of puts since the key was created; 0 in a deletion.
    pub version: i64,
    /// The lease the key is attached to; 0 for none.
    pub lease: i64,
}

/// `mvccpb.Event.EventType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The key was created or changed.
    Put,
    /// The key was deleted, or its lease ended.
    Delete,
}

/// `mvccpb.Event`, with a place for its encoded form, so that it is encoded once for all watchers.
#[derive(Debug)]
pub struct Event {
    /// Put or delete.
    pub kind: EventKind,
    /// The key after the event. A deletion has the key and the mod revision only.
    pub kv: KeyValue,
    /// What the key was at the revision before; `None` if it did not exist then. Watchers that did not ask for it do not get it. As in etcd, a
    /// put that created the key has none, even if the same transaction deleted the key first.
    pub prev_kv: Option<KeyValue>,
    encoded: [OnceLock<Bytes>; 2],
}

impl Event {
    /// An event that nobody has encoded yet.
    #[must_use]
    pub const fn new(kind: EventKind, kv: KeyValue, prev_kv: Option<KeyValue>) -> Self {
        Self { kind, kv, prev_kv, encoded: [OnceLock::new(), OnceLock::new()] }
    }

    /// The encoded form, with or without the previous key-value: `encode` is called at most once for each of the two forms, whoever asks first.
    /// Several threads may ask at the same time.
    pub fn encoded(&self, with_prev_kv: bool, encode: impl FnOnce(&Self) -> Bytes) -> &Bytes {
        self.encoded[usize::from(with_prev_kv)].get_or_init(|| encode(self))
    }

    /// Whether a put created the key.
    #[must_use]
    pub fn is_create(&self) -> bool {
        self.kind == EventKind::Put && self.kv.create_revision == self.kv.mod_revision
    }

    /// About how many bytes the event takes in a response.
    #[must_use]
    pub fn size(&self, with_prev_kv: bool) -> usize {
        let prev_kv = if with_prev_kv { self.prev_kv.as_ref().map_or(0, size) } else { 0 };
        size(&self.kv) + prev_kv
    }
}

impl PartialEq for Event {
    /// Encoded forms follow from the rest.
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.kv, &self.prev_kv) == (other.kind, &other.kv, &other.prev_kv)
    }
}

impl Eq for Event {}

/// The four numbers of a key-value and the framing of its fields, in protobuf, at their largest.
const KEY_VALUE_OVERHEAD_BYTES: usize = 48;

fn size(kv: &KeyValue) -> usize {
    kv.key.len() + kv.value.len() + KEY_VALUE_OVERHEAD_BYTES
}

/// All events of one revision, in the order in which its transaction made them. Built once and shared by all who watch.
#[derive(Debug, PartialEq, Eq)]
pub struct RevisionBatch {
    /// The main revision.
    pub revision: i64,
    /// At least one event.
    pub events: Vec<Event>,
}

impl RevisionBatch {
    /// About how many bytes of memory the batch holds on to, as long as no event is encoded.
    #[must_use]
    pub fn size(&self) -> usize {
        self.events.iter().map(|event| size_of::<Event>() + event.size(true)).sum()
    }
}

/// One event of a shared batch, as one watcher gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchEvent {
    /// The batch the event is in.
    pub batch: Arc<RevisionBatch>,
    /// Which of its events.
    pub index: u32,
    /// Whether the watcher asked for the previous key-value.
    pub with_prev_kv: bool,
}

impl WatchEvent {
    /// The event. Its `prev_kv` is for the watcher only if [`Self::with_prev_kv`].
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.batch.events[self.index as usize]
    }

    /// The previous key-value, if the watcher gets it.
    #[must_use]
    pub fn prev_kv(&self) -> Option<&KeyValue> {
        if self.with_prev_kv { self.event().prev_kv.as_ref() } else { None }
    }

    /// The encoded form this watcher gets, see [`Event::encoded`].
    pub fn encoded(&self, encode: impl FnOnce(&Event) -> Bytes) -> &Bytes {
        self.event().encoded(self.with_prev_kv, encode)
    }

    /// About how many bytes the event takes in a response.
    #[must_use]
    pub fn size(&self) -> usize {
        self.event().size(self.with_prev_kv)
    }
}
