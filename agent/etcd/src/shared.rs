//! What every service needs: the replica, the limits, the header, and who may be answered at all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use shoal_cluster::{Leadership, Replica, status};
use tonic::metadata::MetadataMap;

use crate::{status::Error, wire::etcdserverpb::ResponseHeader};

/// Metadata with which a client asks for an error where the member knows no leader (`WithRequireLeader` of etcd's client).
const REQUIRE_LEADER: (&str, &str) = ("hasleader", "true");

/// Metadata with the version of etcd's client.
pub(crate) const CLIENT_API_VERSION: &str = "client-api-version";

/// What may be set about the services.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often a quiet watcher that asked for it is told how far it is. Up to a tenth of it is added by chance, so that not all are told at
    /// once.
    pub watch_progress_notify_interval: Duration,
}

/// etcd's own: 10 minutes (`progressReportInterval`).
pub const DEFAULT_WATCH_PROGRESS_NOTIFY_INTERVAL: Duration = Duration::from_secs(600);

/// etcd raises a shorter interval to it (`minWatchProgressInterval`).
pub const MIN_WATCH_PROGRESS_NOTIFY_INTERVAL: Duration = Duration::from_millis(100);

impl Default for Options {
    fn default() -> Self {
        Self { watch_progress_notify_interval: DEFAULT_WATCH_PROGRESS_NOTIFY_INTERVAL }
    }
}

/// Shared by all services; a copy is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) replica: Arc<dyn Replica>,
    pub(crate) options: Arc<Options>,
    learning: Arc<Learning>,
}

/// Whether this member is a learner, as it was a moment ago: each call has to know, and to ask the replica costs more than the rest of a small
/// call.
#[derive(Debug)]
struct Learning {
    start: Instant,
    /// When the replica was asked last, in milliseconds after `start`, and one more, so that 0 is never.
    asked: AtomicU64,
    is_learner: AtomicBool,
}

/// How long the replica's answer is good. A member becomes a voter once in its life, and its clients try again.
const LEARNING_MILLISECONDS: u64 = 100;

/// What a learner may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Learner {
    /// It answers as a voter does.
    Answers,
    /// It refuses.
    Refuses,
}

impl Shared {
    pub(crate) fn new(replica: Arc<dyn Replica>, options: Options) -> Self {
        let learning = Learning { start: Instant::now(), asked: AtomicU64::new(0), is_learner: AtomicBool::new(false) };
        Self { replica, options: Arc::new(options), learning: Arc::new(learning) }
    }

    /// The header of a response, but for the revision.
    pub(crate) fn header(&self) -> ResponseHeader {
        let identity = self.replica.identity();
        ResponseHeader { cluster_id: identity.cluster, member_id: identity.member, revision: 0, raft_term: self.leadership().term }
    }

    /// The header of a response that is about no revision in particular: it has the newest.
    pub(crate) fn header_now(&self) -> ResponseHeader {
        ResponseHeader { revision: self.replica.store().revision(), ..self.header() }
    }

    pub(crate) fn leadership(&self) -> Leadership {
        *self.replica.leadership().borrow()
    }

    /// Refuses what this member must not answer: as a learner, or without a leader to a client that requires one.
    ///
    /// # Errors
    /// [`Error::NotSupportedForLearner`], [`Error::InvalidClientApiVersion`], [`Error::NoLeader`].
    pub(crate) fn admit(&self, metadata: &MetadataMap, learner: Learner) -> Result<(), Error> {
        if learner == Learner::Refuses && self.is_learner() {
            return Err(Error::NotSupportedForLearner);
        }
        if metadata.get(CLIENT_API_VERSION).is_some_and(|version| std::str::from_utf8(version.as_bytes()).is_err()) {
            return Err(Error::InvalidClientApiVersion);
        }
        if requires_leader(metadata) && self.leadership().leader.is_none() {
            return Err(Error::NoLeader);
        }
        Ok(())
    }

    fn is_learner(&self) -> bool {
        let Learning { start, asked, is_learner } = &*self.learning;
        let now = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let last = asked.load(Ordering::Relaxed);
        if last == 0 || now - last.min(now) >= LEARNING_MILLISECONDS {
            is_learner.store(self.replica.status().is_learner, Ordering::Relaxed);
            asked.store(now, Ordering::Relaxed);
        }
        is_learner.load(Ordering::Relaxed)
    }

    /// Returns when a stream of this client has to end because no leader has been known for too long: never, if it does not require one.
    pub(crate) fn until_leader_is_lost(&self, metadata: &MetadataMap) -> impl Future<Output = ()> + Send + use<> {
        let watched = requires_leader(metadata).then(|| (self.replica.leadership(), self.replica.election_timeout()));
        async move {
            match watched {
                Some((leadership, election_timeout)) => status::until_leader_is_lost(leadership, election_timeout).await,
                None => std::future::pending().await,
            }
        }
    }
}

fn requires_leader(metadata: &MetadataMap) -> bool {
    let (name, value) = REQUIRE_LEADER;
    metadata.get(name).is_some_and(|given| given.as_bytes() == value.as_bytes())
}
