//! The state machine for openraft: applies entries to the [`State`], writes it as checkpoints, and exchanges it for that of a snapshot.
//!
//! The checkpoint is the snapshot. openraft builds one by having a checkpoint written, and purges the log only up to where it goes.

#[cfg(test)]
mod tests;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{Stream, TryStreamExt};
use openraft::{
    RaftSnapshotBuilder,
    entry::EntryPayload,
    storage::{EntryResponder, RaftStateMachine},
    type_config::alias::SnapshotOf,
};
use shoal_store_files::checkpoint::Replacement;
use tokio::sync::{Notify, watch};

use super::{
    Entry, LogId, Membership, SnapshotMeta, StoredMembership, Types,
    entry::{Content, ProposalId},
    term_of,
};
use crate::{
    checkpoint::{CheckpointError, Checkpointer, Lent, head_batch, rows_batch},
    codec::DecodeError,
    formation::{Outbox, place},
    proposals::{Answer, Proposals},
    state::{Applying, Head, State},
};

/// Entries applied while nobody reads: about a millisecond of small ones.
const APPLY_ENTRIES: usize = 256;

/// Bytes of entries applied while nobody reads.
const APPLY_BYTES: usize = 1 << 20;

/// What is applied, and everything around it that hears of it.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) member: u64,
    pub(crate) state: Arc<State>,
    pub(crate) checkpointer: Arc<Checkpointer>,
    pub(crate) proposals: Proposals,
    /// Entries about the cluster itself, for whoever forms it.
    pub(crate) outbox: Outbox,
    /// How many entries were applied since the cluster began: the index after the last one.
    pub(crate) applied: watch::Sender<u64>,
    /// Bytes of entries applied since the start.
    pub(crate) applied_bytes: AtomicU64,
    /// Told after entries were applied, for whoever writes checkpoints and compacts.
    pub(crate) applied_more: Notify,
}

/// One entry, understood.
#[derive(Debug)]
enum Change {
    Nothing,
    Proposed(ProposalId, Content),
    Membership(Membership),
}

impl Machine {
    pub(crate) fn new(member: u64, state: Arc<State>, checkpointer: Checkpointer, seed: u64) -> Self {
        let last = state.read().applied;
        Self {
            member,
            state,
            checkpointer: Arc::new(checkpointer),
            outbox: Outbox::default(),
            proposals: Proposals::new(seed, last.as_ref().map_or(0, term_of)),
            applied: watch::Sender::new(last.map_or(0, |last| last.index + 1)),
            applied_bytes: AtomicU64::new(0),
            applied_more: Notify::new(),
        }
    }

    /// Puts a bug back.
    #[cfg(feature = "known-bugs")]
    pub(crate) fn put_back(&self, bug: Option<crate::known_bugs::KnownBug>) {
        self.state.put_back(bug);
    }

    /// Applies entries and answers those who proposed them here.
    fn apply(&self, entries: Vec<(LogId, Change)>) {
        let Some((last, _)) = entries.last() else { return };
        let last = *last;
        let mut control = Vec::new();
        let answers = self.state.apply(|applying| {
            let answer = |(id, change): (LogId, Change)| match change {
                Change::Nothing => None,
                Change::Proposed(proposal, content) => {
                    if let Content::Control(entry) = &content {
                        control.push((place(id.index), *entry));
                    }
                    Some((proposal, content_applied(applying, &id, content)))
                }
                Change::Membership(membership) => {
                    let replicated = &mut *applying.replicated;
                    replicated.attributes.retain(|id, _| membership.get_node(id).is_some());
                    replicated.membership = StoredMembership::new(Some(id), membership);
                    None
                }
            };
            let answers: Vec<_> = entries.into_iter().filter_map(answer).collect();
            applying.replicated.applied = Some(last);
            answers
        });
        self.outbox.applied(control, place(last.index), || self.state.read().control.clone());
        self.applied.send_replace(last.index + 1);
        let mine = answers.into_iter().filter(|(proposal, _)| proposal.member == self.member);
        self.proposals.applied(term_of(&last), mine.map(|(proposal, answer)| (proposal.sequence, answer)).collect());
    }

    /// How many entries the last checkpoint covers.
    pub(crate) async fn checkpoint_index(&self) -> u64 {
        self.checkpointer.lend().await.head.applied.map_or(0, |last| last.index + 1)
    }

    async fn lend(&self) -> SnapshotOf<Types, SnapshotData> {
        let lent = self.checkpointer.lend().await;
        SnapshotOf::<Types, SnapshotData> { meta: meta(&lent.head), snapshot: SnapshotData::Lent(lent) }
    }
}

fn content_applied(applying: &mut Applying<'_>, id: &LogId, content: Content) -> Answer {
    match content {
        // Nothing of a cluster that has dissolved is kept, so nobody is told that it is.
        Content::Command(_) if applying.replicated.control.may_write().is_err() => Answer::Dissolved,
        Content::Command(command) => Answer::Outcome(applying.command(command)),
        Content::Control(entry) => Answer::Control(applying.control(place(id.index), &entry)),
        Content::Publish(attributes) => {
            // Of a member that was removed meanwhile, nothing is kept.
            let replicated = &mut *applying.replicated;
            if replicated.membership.get_node(&attributes.member).is_some() {
                replicated.attributes.insert(attributes.member, attributes);
            }
            Answer::Published
        }
        Content::Admit => Answer::Admitted(id.index),
    }
}

/// How openraft describes a snapshot.
pub(crate) fn meta(head: &Head) -> SnapshotMeta {
    SnapshotMeta { last_log_id: head.applied, last_membership: head.membership.clone() }
}

fn understand(entry: Entry) -> io::Result<(LogId, Change)> {
    let id = entry.log_id;
    let change = match entry.payload {
        EntryPayload::Blank => Ok(Change::Nothing),
        EntryPayload::Normal(proposal) => proposal.decode().map(|(proposal, content)| Change::Proposed(proposal, content)),
        EntryPayload::Membership(membership) => Ok(Change::Membership(membership)),
    };
    // Skipping it would make this member differ from all others.
    let stop = |error: DecodeError| {
        io::Error::other(format!("cannot apply entry {} of the raft log: {error}. Run the version that wrote it, or a newer one", id.index))
    };
    Ok((id, change.map_err(stop)?))
}

fn size(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(proposal) => proposal.bytes().len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 1,
    }
}

/// A snapshot on its way: out of this member, or into it.
#[derive(Debug)]
pub(crate) enum SnapshotData {
    /// This member's checkpoint, to be sent.
    Lent(Lent),
    /// What was received, complete, to be installed.
    Received(Replacement),
}

/// openraft's view of the machine. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct StateMachine(pub(crate) Arc<Machine>);

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let replicated = self.0.state.read();
        Ok((replicated.applied, replicated.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + Send,
    {
        let mut more = true;
        while more {
            let (mut piece, mut responders, mut bytes) = (Vec::new(), Vec::new(), 0);
            while piece.len() < APPLY_ENTRIES && bytes < APPLY_BYTES {
                let Some((entry, responder)) = entries.try_next().await? else {
                    more = false;
                    break;
                };
                bytes += size(&entry);
                piece.push(understand(entry)?);
                responders.extend(responder);
            }
            self.0.apply(piece);
            self.0.applied_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            responders.into_iter().for_each(|responder| responder.send(()));
            self.0.applied_more.notify_one();
            if more {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> io::Result<()> {
        let replacement = match snapshot {
            SnapshotData::Received(replacement) => replacement,
            SnapshotData::Lent(lent) => copy(self.0.clone(), lent).await?,
        };
        self.0.checkpointer.install(replacement).await?;
        if let Some(last) = meta.last_log_id {
            let control = self.0.state.read().control.clone();
            self.0.outbox.replaced(place(last.index), &control);
            self.0.applied.send_replace(last.index + 1);
            self.0.proposals.replaced(term_of(&last));
        }
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<Types, SnapshotData>>> {
        let snapshot = self.0.lend().await;
        // Before the first checkpoint there is none.
        Ok(snapshot.meta.last_log_id.is_some().then_some(snapshot))
    }
}

impl RaftSnapshotBuilder<Types> for StateMachine {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, SnapshotData>> {
        self.0.checkpointer.write().await?;
        Ok(self.0.lend().await)
    }
}

/// A snapshot that goes from one checkpoint into another without a network between them.
async fn copy(machine: Arc<Machine>, lent: Lent) -> io::Result<Replacement> {
    let copy = move || {
        let mut replacement = machine.checkpointer.replacement()?;
        replacement.put(&head_batch(&lent.head, machine.checkpointer.owner())).map_err(CheckpointError::from)?;
        let mut above = None;
        loop {
            let rows = lent.read(above).map_err(io::Error::other)?;
            let Some((last, _)) = rows.last() else { return Ok::<_, io::Error>(replacement) };
            above = Some(*last);
            replacement.put(&rows_batch(rows)).map_err(CheckpointError::from)?;
        }
    };
    crate::blocking::run(copy).await.map_err(io::Error::other)?
}
