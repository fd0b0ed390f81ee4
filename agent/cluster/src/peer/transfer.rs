//! A snapshot on its way from one member to another: in pieces of bounded size, and resumed where it broke off.
//!
//! | sender | receiver |
//! |---|---|
//! | offers a snapshot by its key | wants all of it, or what is above the last row it has of the same key |
//! | head, rows, end | writes rows into a checkpoint beside its own |
//! | waits | hands it to raft, which puts it in the place of its own; says how raft's vote stands |
//!
//! Neither holds more than a piece in memory. What was received stays when the connection breaks, until it is resumed, or another snapshot is
//! begun, or [`KEPT`] has passed.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use prost::Message;
use shoal_kv::Revision;
use shoal_store_files::checkpoint::Replacement;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use super::{
    PeerError, Peers,
    frame::{FrameError, Frames},
    message::{Empty, Lane, RevisionMessage, SnapshotAnswer, SnapshotInstalled, SnapshotKey, SnapshotOffer, SnapshotPiece, Wanted},
};
use crate::{
    checkpoint::{CheckpointError, Lent, chain, head_batch, rows_batch},
    error::StorageError,
    raft::{
        SnapshotMeta, Vote,
        machine::{Machine, meta},
        wire::VoteMessage,
    },
    replica::Owner,
    snapshot::record::{End, Order, Record, RecordReader, SnapshotDamage},
    state::Head,
};

/// Bytes of one piece.
const PIECE_BYTES: usize = 1 << 20;

/// How long one piece may take. A medium that takes none for so long is as good as dead.
const PIECE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long putting a snapshot in the place of the state may take: reading all of it back from a slow stick.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How long part of a snapshot is kept that nobody resumes.
pub(crate) const KEPT: Duration = Duration::from_secs(10 * 60);

/// Why a snapshot did not get across.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("the connection broke")]
    Frame(#[from] FrameError),
    #[error("a piece took too long")]
    Timeout,
    #[error("another snapshot is on its way to the member")]
    Later,
    #[error("the snapshot cannot be read")]
    Source(#[from] StorageError),
    #[error("the snapshot cannot be written")]
    Sink(#[from] CheckpointError),
    #[error("the snapshot is damaged")]
    Damage(#[from] SnapshotDamage),
    #[error("the peer says something unexpected")]
    Protocol,
    #[error("raft has stopped")]
    Stopped,
}

/// Within the time that a piece may take.
async fn in_time<T>(what: impl Future<Output = Result<T, FrameError>>) -> Result<T, TransferError> {
    Ok(tokio::time::timeout(PIECE_TIMEOUT, what).await.map_err(|_| TransferError::Timeout)??)
}

async fn expect<M: Message + Default>(frames: &mut Frames) -> Result<M, TransferError> {
    in_time(async { frames.receive().await?.ok_or(FrameError::Ended) }).await
}

/// Sends a snapshot, and returns the receiver's vote after it was installed.
pub(crate) async fn send(peers: &Arc<Peers>, member: u64, vote: &Vote, snapshot: Lent) -> Result<Vote, TransferError> {
    let mut frames = peers.connect(member, Lane::Snapshot).await?;
    in_time(frames.send(&SnapshotOffer { vote: vote.into(), key: snapshot.key })).await?;
    let answer: SnapshotAnswer = expect(&mut frames).await?;
    let (mut above, mut rows) = match answer.wanted.ok_or(TransferError::Protocol)? {
        Wanted::Later(Empty {}) => return Err(TransferError::Later),
        Wanted::All(Empty {}) => (None, 0),
        Wanted::Above(at) => (Some(Revision { main: at.main, sub: at.sub }), at.rows),
    };
    let snapshot = Arc::new(snapshot);
    if above.is_none() {
        send_record(&mut frames, Record::Head((*snapshot.head).clone())).await?;
    }
    loop {
        let source = snapshot.clone();
        let piece = crate::blocking::run(move || source.read(above)).await.map_err(|_| TransferError::Stopped)??;
        let Some((last, _)) = piece.last() else { break };
        above = Some(*last);
        rows += piece.len() as u64;
        send_record(&mut frames, Record::Rows(piece)).await?;
    }
    send_record(&mut frames, Record::End(End { rows })).await?;
    let installed = async { frames.receive::<SnapshotInstalled>().await?.ok_or(FrameError::Ended) };
    let installed = tokio::time::timeout(INSTALL_TIMEOUT, installed).await.map_err(|_| TransferError::Timeout)??;
    peers.snapshots_sent.fetch_add(1, Ordering::Relaxed);
    Ok(installed.vote.into())
}

async fn send_record(frames: &mut Frames, record: Record) -> Result<(), TransferError> {
    let mut bytes = record.encode();
    while !bytes.is_empty() {
        let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
        in_time(frames.send(&SnapshotPiece { bytes: piece })).await?;
    }
    Ok(())
}

/// Takes snapshots, one at a time.
#[derive(Debug)]
pub(crate) struct Receiver {
    machine: Arc<Machine>,
    partial: Mutex<Option<Partial>>,
}

/// What has been received of a snapshot.
#[derive(Debug)]
struct Partial {
    key: SnapshotKey,
    /// Whose it will be.
    owner: Owner,
    head: Option<Head>,
    order: Order,
    replacement: Replacement,
    touched: Instant,
}

/// A snapshot that is complete.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
    pub(crate) replacement: Replacement,
}

impl Receiver {
    pub(crate) fn new(machine: Arc<Machine>) -> Self {
        Self { machine, partial: Mutex::new(None) }
    }

    /// Forgets part of a snapshot that nobody has resumed for long.
    pub(crate) fn forget_old(&self) {
        if let Ok(mut partial) = self.partial.try_lock()
            && partial.as_ref().is_some_and(|partial| partial.touched.elapsed() > KEPT)
        {
            *partial = None;
        }
    }

    /// Receives a snapshot. `install` hands it to raft and returns raft's vote.
    pub(crate) async fn receive<F>(&self, mut frames: Frames, install: impl FnOnce(Received) -> F) -> Result<(), TransferError>
    where
        F: Future<Output = Result<Vote, ()>>,
    {
        let offer: SnapshotOffer = expect(&mut frames).await?;
        let Ok(mut partial) = self.partial.try_lock() else {
            return in_time(frames.send(&SnapshotAnswer { wanted: Some(Wanted::Later(Empty {})) })).await;
        };
        let answer = self.answer(&mut partial, offer.key).await?;
        in_time(frames.send(&answer)).await?;
        let complete = Self::take_records(&mut frames, &mut partial).await?;
        // From here on another snapshot may be received: raft decides which it wants.
        drop(partial);
        let Partial { head, replacement, .. } = complete;
        let head = head.ok_or(SnapshotDamage::Order)?;
        tracing::info!(applied = ?head.applied, "received a snapshot");
        let received = Received { vote: offer.vote.into(), meta: meta(&head), replacement };
        let vote = install(received).await.map_err(|()| TransferError::Stopped)?;
        in_time(frames.send(&SnapshotInstalled { vote: VoteMessage::from(&vote) })).await
    }

    /// What is wanted of the snapshot with this key.
    async fn answer(&self, partial: &mut MutexGuard<'_, Option<Partial>>, key: SnapshotKey) -> Result<SnapshotAnswer, TransferError> {
        if let Some(Partial { head: Some(_), order: Order { rows, last: Some(last), .. }, .. }) =
            partial.as_ref().filter(|partial| partial.key == key)
        {
            tracing::info!(rows, "resuming a snapshot");
            let above = RevisionMessage { main: last.main, sub: last.sub, rows: *rows };
            return Ok(SnapshotAnswer { wanted: Some(Wanted::Above(above)) });
        }
        let owner = self.machine.checkpointer.owner();
        // The old one goes first: both may not fit on the medium.
        **partial = None;
        let machine = self.machine.clone();
        let replacement = crate::blocking::run(move || machine.checkpointer.replacement()).await.map_err(|_| TransferError::Stopped)??;
        **partial = Some(Partial { key, owner, head: None, order: Order::default(), replacement, touched: Instant::now() });
        Ok(SnapshotAnswer { wanted: Some(Wanted::All(Empty {})) })
    }

    /// Takes records until the snapshot is complete. After an error of the connection, what was received stays.
    async fn take_records(frames: &mut Frames, partial: &mut Option<Partial>) -> Result<Partial, TransferError> {
        let mut records = RecordReader::resumed();
        loop {
            let SnapshotPiece { bytes } = expect(frames).await?;
            records.push(&bytes);
            loop {
                let record = match records.next() {
                    Ok(Some(record)) => record,
                    Ok(None) => break,
                    Err(damage) => {
                        *partial = None;
                        return Err(damage.into());
                    }
                };
                let taken = partial.take().ok_or(TransferError::Protocol)?;
                let taken = crate::blocking::run(move || taken.take(record)).await.map_err(|_| TransferError::Stopped)??;
                if taken.order.is_complete() {
                    return Ok(taken);
                }
                *partial = Some(taken);
            }
        }
    }
}

impl Partial {
    /// Writes a record. Blocks.
    fn take(mut self, record: Record) -> Result<Self, TransferError> {
        self.order.check(&record)?;
        self.touched = Instant::now();
        let batch = match record {
            Record::Head(head) => {
                // Written last: rows without a head are nothing.
                self.head = Some(head);
                return Ok(self);
            }
            Record::Rows(rows) => rows_batch(rows),
            Record::End(_) => {
                let head = self.head.as_ref().ok_or(SnapshotDamage::Order)?;
                head_batch(head, self.owner)
            }
        };
        self.replacement.put(&batch).map_err(CheckpointError::from)?;
        Ok(self)
    }
}

/// What a failed transfer says in the log.
pub(crate) fn log_failure(member: u64, error: &TransferError) {
    tracing::info!(member = format!("{member:x}"), error = chain(error), "a snapshot did not get across");
}
