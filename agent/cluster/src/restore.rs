//! A member's files, made from a backup: how a cluster begins anew with what another one had.
//!
//! | of the backup | in the files |
//! |---|---|
//! | keys with their history, leases, alarms | are there; leases have all their time again once there is a leader |
//! | who belonged to the cluster | is forgotten: it consists of the members that it is restored for |
//! | the last entry applied, of term T at index I | is followed by one of term T + 1 at I + 1, the new membership |
//! | revisions | go on where they were, or some way behind that, with everything before forgotten ([`RestoreConfig::bump`]) |
//!
//! The log is empty and begins behind that entry; the member has voted for itself in its term, as every member of a new cluster has. Indices go
//! on, so that no member ever gets the id of one that the old cluster had admitted before the backup.
//!
//! The same backup, list of members, token and bump give the same cluster everywhere, see [`bootstrap::restored`](crate::bootstrap::restored).

use std::{collections::BTreeMap, io::Read, sync::Arc};

use prost::Message;
use shoal_formation::Control;
use shoal_kv::checkpoint::CheckpointHead;
use shoal_store_files::{
    checkpoint::{Checkpoint, CheckpointFailed, OpenCheckpointError, RewriteError},
    log::{Log, LogFailed, OpenLogError, SubmitError},
    wear::Wear,
};

use crate::{
    backup::{BackupError, BackupReader, BackupSummary},
    checkpoint::{CheckpointError, Checkpointer, chain, head_batch, rows_batch},
    raft::{
        LogId, Membership, Peer, StoredMembership,
        log::{file_id, options},
        log_id, term_of,
        wire::VoteMessage,
    },
    replica::Identity,
    snapshot::record::{Record, SnapshotDamage},
    state::Head,
    storage::{CHECKPOINT, LOG, StorageConfig},
};

/// What is made of a backup.
#[derive(Debug, Clone)]
pub struct RestoreConfig {
    /// Where the files go: a directory whose parent exists, without a member's files in it.
    pub storage: StorageConfig,
    /// Whose they are.
    pub identity: Identity,
    /// The peer URLs of all members, by id.
    pub voters: BTreeMap<u64, Vec<String>>,
    /// How far revisions go on behind the newest one of the backup. Everything below is then compacted, so that a client that has seen more of
    /// the old cluster than the backup has is told so, instead of being shown another history under the same revisions. Nothing happens with 0.
    pub bump: u64,
}

/// Nothing was restored; the files in the directory are of no use.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup is none.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The revision would be larger than any.
    #[error("revision {revision} of the backup cannot be raised by {bump}: there are none so large. Raise it by less")]
    Bump {
        /// The newest revision of the backup.
        revision: i64,
        /// How far it was to go on.
        bump: u64,
    },
    /// What was read from the backup is no state that a store can have.
    #[error("the backup is whole, but no store can have had what is in it: take it with a version that can be trusted")]
    State(#[source] StateError),
    /// The files cannot be written.
    #[error("cannot write what was restored: {0}")]
    Write(String),
}

/// Why a state cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StateError(String);

/// Turns every error of files into one text.
macro_rules! write_error {
    ($($error:ty),*) => {
        $(impl From<$error> for RestoreError {
            fn from(error: $error) -> Self {
                Self::Write(chain(&error))
            }
        })*
    };
}
write_error!(OpenCheckpointError, RewriteError, CheckpointFailed, OpenLogError, SubmitError, LogFailed);

/// Makes a member's files from a backup, reads them back as the member will when it starts, and returns what is in the backup. Everything in the
/// directory is durable when it returns well. Blocks.
///
/// # Errors
/// [`RestoreError`].
pub fn restore(from: impl Read, config: &RestoreConfig) -> Result<BackupSummary, RestoreError> {
    let RestoreConfig { storage, identity, .. } = config;
    let wear = Arc::new(Wear::default());
    let io = |error: std::io::Error| RestoreError::Write(format!("{}: {error}", storage.directory.display()));
    storage.disk.create_directory(&storage.directory).map_err(io)?;
    let directory = storage.directory.join(CHECKPOINT);
    let checkpoint = Checkpoint::create(storage.disk.clone(), &directory, storage.checkpoint.clone(), wear.clone())?;
    let (summary, entry) = write_state(from, &checkpoint, config)?;
    Checkpointer::restore(&checkpoint, *identity).map_err(|error| match error {
        CheckpointError::Restore(_) | CheckpointError::Decode(_) => RestoreError::State(StateError(chain(&error))),
        error => RestoreError::Write(chain(&error)),
    })?;
    checkpoint.close()?;
    write_log(&storage.directory.join(LOG), entry, config, &wear)?;
    storage.disk.sync_directory(&storage.directory).map_err(io)?;
    Ok(summary)
}

/// Writes what the backup has, and returns the entry that it goes up to.
fn write_state(from: impl Read, checkpoint: &Checkpoint, config: &RestoreConfig) -> Result<(BackupSummary, LogId), RestoreError> {
    let mut reader = BackupReader::new(from);
    let mut replacement = checkpoint.replace()?;
    let mut old = None;
    while let Some(record) = reader.next()? {
        match record {
            Record::Head(head) => old = Some(head),
            Record::Rows(rows) => replacement.put(&rows_batch(rows))?,
            Record::End(_) => {}
        }
    }
    let at = reader.summary().bytes;
    let old = old.ok_or(BackupError::Damaged { at, source: SnapshotDamage::Order })?;
    let (head, entry) = new_head(old, config)?;
    replacement.put(&head_batch(&head, config.identity))?;
    replacement.finish()?;
    Ok((*reader.summary(), entry))
}

/// The head of the restored state, and the entry that it goes up to.
fn new_head(old: Head, config: &RestoreConfig) -> Result<(Head, LogId), RestoreError> {
    // Whatever the cluster has said about itself ends with it.
    let Head { applied, store, membership: _, attributes: _, control: _, first_seal: _ } = old;
    let entry = applied.map_or_else(|| log_id(1, 1), |last| log_id(term_of(&last) + 1, last.index + 1));
    let nodes: BTreeMap<u64, Peer> = config.voters.iter().map(|(&id, urls)| (id, Peer::voter(urls.clone()))).collect();
    let membership = Membership::new(vec![nodes.keys().copied().collect()], nodes).expect("every voter is a node, and this one is a voter");
    let head = Head {
        applied: Some(entry),
        membership: StoredMembership::new(Some(entry), membership),
        // Members say who they are when they start.
        attributes: BTreeMap::new(),
        control: Control::default(),
        first_seal: None,
        store: bumped(store, config.bump)?,
    };
    Ok((head, entry))
}

fn bumped(store: CheckpointHead, bump: u64) -> Result<CheckpointHead, RestoreError> {
    if bump == 0 {
        return Ok(store);
    }
    let revision = store.revision.checked_add_unsigned(bump).ok_or(RestoreError::Bump { revision: store.revision, bump })?;
    Ok(CheckpointHead { revision, compact_revision: revision, ..store })
}

/// Makes a log that goes on behind `entry`.
fn write_log(directory: &std::path::Path, entry: LogId, config: &RestoreConfig, wear: &Arc<Wear>) -> Result<(), RestoreError> {
    let StorageConfig { disk, log, .. } = &config.storage;
    let log = Log::create(disk.clone(), directory, options(log.clone()), wear.clone())?;
    let vote = VoteMessage { term: term_of(&entry), voted_for: config.identity.member, committed: false };
    let (sender, written) = std::sync::mpsc::channel();
    let done = || {
        let sender = sender.clone();
        Box::new(move |result| drop(sender.send(result)))
    };
    log.save_vote(vote.encode_to_vec().into(), done())?;
    log.save_committed(Some(file_id(&entry))).map_err(RestoreError::from)?;
    log.purge(file_id(&entry), done())?;
    for _ in 0..2 {
        written.recv().map_err(|_| RestoreError::Write("the raft log has ended".into()))??;
    }
    Ok(log.close()?)
}

#[cfg(test)]
mod tests;
