//! The raft log for openraft: adapts [`shoal_store_files::log::Log`].
//!
//! | openraft asks | here |
//! |---|---|
//! | append | handed to the log's thread; the callback is called there, after the sync |
//! | vote | handed over, and waited for: it is durable on return |
//! | truncate, purge, committed | handed over; durable no later than what is handed over next |
//! | read | recent entries from memory, decoded; older ones from the files, on a thread for blocking work |
//!
//! The log's own cache is turned off ([`options`]): entries are kept here, as openraft wants them.

mod landmarks;
mod recent;
#[cfg(test)]
mod tests;

use std::{
    fmt::Debug,
    future::Future,
    io,
    ops::{Bound, Range, RangeBounds},
    sync::{Arc, Mutex, MutexGuard},
};

use futures_util::Stream;
use openraft::{
    RaftLogReader,
    entry::RaftEntry,
    storage::{IOFlushed, LogState, RaftLogStorage},
};
use prost::Message;
use shoal_store_files::{
    self as files,
    log::{Log, LogFailed, LogOptions, ReadLogError},
};
use tokio::sync::{Notify, oneshot};

pub(crate) use landmarks::Landmarks;
use recent::Recent;

use super::{
    Entry, LogId, Types, Vote,
    entry::{decode_entry, encode_payload},
    log_id, term_of,
    wire::VoteMessage,
};

/// Bytes of payload in one message to a follower, and in one piece read for applying; more if one entry is larger.
const READ_BYTES: usize = 1 << 20;

/// Bytes of payload handed to the log's thread while more wait. Above this, appending waits: raft is told of each append when it is durable,
/// so waiting slows a leader down to what the medium can do, and nothing more.
const PENDING_BYTES: usize = 32 << 20;

/// The given options, with the log's own cache turned off.
pub(crate) fn options(options: LogOptions) -> LogOptions {
    LogOptions { cache_bytes: 0, pending_bytes: usize::MAX, ..options }
}

/// openraft's view of the log. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct LogStore {
    log: Log,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    recent: Mutex<Recent>,
    landmarks: Mutex<Landmarks>,
    /// Told whenever something became durable.
    flushed: Notify,
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}

pub(crate) fn file_id(id: &LogId) -> files::LogId {
    files::LogId { term: term_of(id), index: id.index }
}

fn raft_id(id: files::LogId) -> LogId {
    log_id(id.term, id.index)
}

impl LogStore {
    pub(crate) fn new(log: Log) -> Self {
        Self { log, shared: Arc::new(Shared { recent: Mutex::default(), landmarks: Mutex::default(), flushed: Notify::new() }) }
    }

    /// The log itself.
    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.shared.recent.lock().expect("nobody panics while holding recent entries")
    }

    /// What has to be known of entries before they are applied. Nothing is appended, cut off or purged while it is held.
    pub(crate) fn landmarks(&self) -> MutexGuard<'_, Landmarks> {
        self.shared.landmarks.lock().expect("nobody panics while holding landmarks")
    }

    /// Finds the landmarks of a log that was just opened, behind the entries that are `applied`. Blocks while these are read.
    pub(crate) fn find_landmarks(&self, applied: Option<u64>) -> io::Result<()> {
        let mut landmarks = Landmarks::default();
        self.read_from(applied.map_or(0, |applied| applied + 1), |entry| landmarks.note(&entry))?;
        if let Some(last) = self.log.state().last {
            landmarks.flushed(last.index, landmarks.truncations());
        }
        *self.landmarks() = landmarks;
        Ok(())
    }

    /// Reads all entries from `from` on. Blocks.
    pub(crate) fn read_from(&self, from: u64, mut each: impl FnMut(Entry)) -> io::Result<()> {
        let mut range = self.clamp(&(from..));
        while !range.is_empty() {
            for entry in self.log.read(range.clone(), READ_BYTES).map_err(other)? {
                range.start = entry.id.index + 1;
                each(decode_entry(raft_id(entry.id), entry.payload).map_err(|error| undecodable(entry.id, error))?);
            }
        }
        Ok(())
    }

    fn done(&self, then: impl FnOnce(Result<(), LogFailed>) + Send + 'static) -> files::log::Done {
        let shared = self.shared.clone();
        Box::new(move |result| {
            then(result);
            shared.flushed.notify_waiters();
        })
    }

    /// Waits until what waits for the medium is not too much.
    async fn wait_for_room(&self) {
        loop {
            let flushed = self.shared.flushed.notified();
            if self.log.pending_bytes() <= PENDING_BYTES {
                return;
            }
            flushed.await;
        }
    }

    /// The first entry of a log from which nothing was purged: 0, unless somebody began it elsewhere.
    fn first(&self, last: Option<files::LogId>) -> u64 {
        let (mut first, mut known) = (0, last.map_or(0, |last| last.index));
        if self.log.id_at(first).is_some() {
            return first;
        }
        while first < known {
            let middle = first + (known - first) / 2;
            if self.log.id_at(middle).is_some() { known = middle } else { first = middle + 1 }
        }
        known
    }

    /// The part of a range that the log holds.
    fn clamp(&self, range: &impl RangeBounds<u64>) -> Range<u64> {
        let state = self.log.state();
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => u64::MAX,
        };
        let first = state.purged.map_or_else(|| self.first(state.last), |purged| purged.index + 1);
        let next = state.last.map_or(0, |last| last.index + 1);
        start.max(first)..end.min(next)
    }

    /// The next entries of a range that the log holds, up to about [`READ_BYTES`]; at least one if the range is not empty.
    async fn read_some(&self, range: Range<u64>) -> io::Result<Vec<Entry>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let entries = self.recent().read(range.clone(), READ_BYTES);
        if !entries.is_empty() {
            return Ok(entries);
        }
        let (log, wanted) = (self.log.clone(), range.clone());
        let entries = match crate::blocking::run(move || log.read(wanted, READ_BYTES)).await.map_err(other)? {
            // Purged or truncated since the range was looked at.
            Err(ReadLogError::Missing { .. }) if self.clamp(&range).start > range.start || self.clamp(&range).is_empty() => Vec::new(),
            read => read.map_err(other)?,
        };
        entries
            .into_iter()
            .map(|entry| decode_entry(raft_id(entry.id), entry.payload).map_err(|error| undecodable(entry.id, error)))
            .collect()
    }
}

fn undecodable(id: files::LogId, source: crate::codec::DecodeError) -> io::Error {
    other(format!("cannot read entry {} of the raft log: {source}. Run the version that wrote it, or a newer one", id.index))
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let mut range = self.clamp(&range);
        let mut entries = Vec::new();
        while !range.is_empty() {
            let more = self.read_some(range.clone()).await?;
            if more.is_empty() {
                // What is left was purged or truncated meanwhile. At the beginning, the rest may still be there.
                let now = self.clamp(&range);
                if now.start == range.start || !entries.is_empty() {
                    break;
                }
                range = now;
            }
            range.start += more.len() as u64;
            entries.extend(more);
        }
        Ok(entries)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read_some(self.clamp(&(start..end))).await
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>> + Send
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        // Piece by piece: what is to be applied may be more than fits in memory.
        let range = self.clamp(&range);
        let pieces = futures_util::stream::try_unfold((self.clone(), range), |(store, mut range)| async move {
            let entries = store.read_some(range.clone()).await?;
            range.start += entries.len() as u64;
            Ok::<_, io::Error>((!entries.is_empty()).then(|| (futures_util::stream::iter(entries.into_iter().map(Ok)), (store, range))))
        });
        futures_util::TryStreamExt::try_flatten(pieces)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        let vote = self.log.state().vote.map(VoteMessage::decode).transpose().map_err(other)?;
        Ok(vote.map(Into::into))
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let state = self.log.state();
        Ok(LogState { last_purged_log_id: state.purged.map(raft_id), last_log_id: state.last.map(raft_id) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let (sender, durable) = oneshot::channel();
        let done = self.done(|result| drop(sender.send(result)));
        self.log.save_vote(VoteMessage::from(vote).encode_to_vec().into(), done).map_err(other)?;
        durable.await.map_err(other)?.map_err(other)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.log.save_committed(committed.as_ref().map(file_id)).map_err(other)
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.log.state().committed.map(raft_id))
    }

    fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> impl Future<Output = io::Result<()>> + Send
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<_> = entries.into_iter().map(|entry| (encode_payload(&entry.payload), entry)).collect();
        let store = self.clone();
        async move {
            store.wait_for_room().await;
            let records = entries.iter().map(|(payload, entry)| files::Entry { id: file_id(&entry.log_id()), payload: payload.clone() });
            let shared = store.shared.clone();
            let (last, truncations) = {
                // Before anybody may be told that they are there.
                let mut landmarks = store.landmarks();
                entries.iter().for_each(|(_, entry)| landmarks.note(entry));
                (entries.last().map(|(_, entry)| entry.log_id.index), landmarks.truncations())
            };
            let done = store.done(move |result| {
                if let (Ok(()), Some(last)) = (&result, last) {
                    shared.landmarks.lock().expect("nobody panics while holding landmarks").flushed(last, truncations);
                }
                callback.io_completed(result.map_err(other));
            });
            // Readable as soon as the log knows them: whoever reads after this call sees them, and nobody is told of them before.
            store.log.append(records.collect(), done).map_err(other)?;
            let mut recent = store.recent();
            entries.into_iter().for_each(|(payload, entry)| recent.push(entry, payload.len()));
            Ok(())
        }
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.map_or(0, |last| last.index + 1);
        if self.log.state().last.is_none_or(|last| last.index < from) {
            return Ok(());
        }
        self.recent().truncate(from);
        self.landmarks().truncate(from);
        self.log.truncate_from(from, self.done(fail_stop)).map_err(other)
    }

    async fn purge(&mut self, to: LogId) -> io::Result<()> {
        if self.log.state().purged.is_some_and(|purged| purged.index >= to.index) {
            return Ok(());
        }
        self.log.purge(file_id(&to), self.done(fail_stop)).map_err(other)?;
        self.recent().purge(to.index);
        self.landmarks().purge(to.index);
        Ok(())
    }
}

/// What is told of a failure when nobody waits: the next append or vote finds the log failed, too, and ends the node.
fn fail_stop(result: Result<(), LogFailed>) {
    if let Err(error) = result {
        tracing::error!(%error, "the raft log has failed");
    }
}
