//! A replica that is alone and forgets everything when it is dropped: no raft, no disk, no network. For tests of what stands on a [`Replica`].

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use shoal_kv::{
    Alarm, AlarmAction, AlarmRequest, Command, HashKvError, HashKvResponse, LeaseRevokeRequest, Limits, Outcome, Store, watch::HubLimits,
};
use tokio::sync::{mpsc, watch};

use crate::{
    error::{LeaseError, MembershipError, MoveLeaderError, ProposeError, ReadError, StorageError},
    membership::{Member, MemberChange},
    prepare,
    replica::{Identity, LeaseTimeToLive, Replica, StoreGuard},
    snapshot::{SNAPSHOT_ALIGNMENT_BYTES, SnapshotStream},
    state::{Replicated, State, alarm_text},
    status::{Leadership, Metrics, Status},
    watches::Watches,
};

/// How a [`Local`] behaves.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// Which member of which cluster it says it is.
    pub identity: Identity,
    /// Limits of requests.
    pub limits: Limits,
    /// Limits of watch streams.
    pub watch_limits: HubLimits,
    /// Bytes of keys and values kept, at most; 0 for no bound.
    pub quota_bytes: u64,
    /// What it says its election timeout is; the minimal TTL of leases follows from it.
    pub election_timeout: Duration,
    /// The member it says it is.
    pub name: String,
    /// Where it says its peers reach it.
    pub peer_urls: Vec<String>,
    /// Where it says clients reach it.
    pub client_urls: Vec<String>,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            identity: Identity { cluster: 0x1000, member: 0x1001 },
            limits: Limits::default(),
            watch_limits: HubLimits::default(),
            quota_bytes: 2 << 30,
            election_timeout: Duration::from_secs(1),
            name: "local".into(),
            peer_urls: vec!["http://localhost:2380".into()],
            client_urls: vec!["http://localhost:2379".into()],
        }
    }
}

/// A replica that is alone. Members may be added and removed, but exist only in the list.
#[derive(Debug)]
pub struct Local {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: LocalConfig,
    state: State,
    /// Held while a command is applied, so that streams are told in the order of revisions.
    applying: Mutex<()>,
    applied: AtomicU64,
    next_lease: AtomicI64,
    members: Mutex<Members>,
    leadership: watch::Sender<Leadership>,
}

#[derive(Debug)]
struct Members {
    list: Vec<Member>,
    next_id: u64,
}

impl Local {
    /// An empty one. Must be called within a tokio runtime, which ends its leases.
    #[must_use]
    pub fn new(config: LocalConfig) -> Self {
        let Identity { member, .. } = config.identity;
        let itself = Member {
            id: member,
            name: config.name.clone(),
            peer_urls: config.peer_urls.clone(),
            client_urls: config.client_urls.clone(),
            is_learner: false,
        };
        let shared = Arc::new(Shared {
            state: State::new(Replicated::new(Store::new()), 1, config.watch_limits),
            applying: Mutex::new(()),
            applied: AtomicU64::new(1),
            next_lease: AtomicI64::new(1 << 40),
            members: Mutex::new(Members { list: vec![itself], next_id: member + 1 }),
            leadership: watch::Sender::new(Leadership { leader: Some(member), term: 1, is_self: true }),
            config,
        });
        shared.state.promote_lessor();
        tokio::spawn(revoke_expired(Arc::downgrade(&shared)));
        Self { shared }
    }

    /// Pretends that the leader is lost, or found again, for whoever watches that.
    pub fn set_leader(&self, leader: Option<u64>) {
        let is_self = leader == Some(self.shared.config.identity.member);
        if is_self {
            self.shared.state.promote_lessor()
        } else {
            self.shared.state.demote_lessor()
        }
        self.shared.leadership.send_modify(|now| *now = Leadership { leader, term: now.term + 1, is_self });
    }
}

/// Ends leases as long as somebody holds the replica.
async fn revoke_expired(shared: std::sync::Weak<Shared>) {
    /// How long a replica that nobody holds any more may stay.
    const LINGER: Duration = Duration::from_millis(500);
    loop {
        let Some(shared) = shared.upgrade() else { return };
        if let Ok(expired) = tokio::time::timeout(LINGER, shared.state.expired()).await {
            for id in expired {
                shared.apply(Command::LeaseRevoke(LeaseRevokeRequest { id }));
            }
        }
    }
}

impl Shared {
    fn apply(&self, command: Command) -> Outcome {
        let _order = self.applying.lock().expect("nobody panics while applying");
        let outcome = self.state.apply(|applying| applying.command(command));
        self.applied.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    fn is_over_quota(&self, command: &Command) -> bool {
        let quota = self.config.quota_bytes;
        quota > 0 && prepare::added_bytes(command).is_some_and(|added| self.state.read().store.usage().bytes + added > quota)
    }

    fn change_members(&self, change: impl FnOnce(&mut Members) -> Result<u64, MembershipError>) -> Result<MemberChange, MembershipError> {
        let mut members = self.members.lock().expect("nobody panics while holding the members");
        let id = change(&mut members)?;
        Ok(MemberChange { id, members: members.list.clone() })
    }
}

impl Members {
    fn find(&mut self, id: u64) -> Result<&mut Member, MembershipError> {
        self.list.iter_mut().find(|member| member.id == id).ok_or(MembershipError::MemberNotFound)
    }

    fn check_urls(&self, urls: &[String], but: Option<u64>) -> Result<(), MembershipError> {
        let taken = |url| self.list.iter().any(|member| Some(member.id) != but && member.peer_urls.contains(url));
        if urls.is_empty() {
            Err(MembershipError::BadUrls)
        } else if urls.iter().any(taken) {
            Err(MembershipError::PeerUrlExists)
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Replica for Local {
    fn identity(&self) -> Identity {
        self.shared.config.identity
    }

    fn limits(&self) -> Limits {
        self.shared.config.limits
    }

    fn request_timeout(&self) -> Duration {
        Duration::from_secs(5) + 2 * self.shared.config.election_timeout
    }

    async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        let shared = &self.shared;
        let min_ttl = prepare::min_ttl(shared.config.election_timeout);
        let choose_id = || shared.next_lease.fetch_add(1, Ordering::Relaxed);
        let command = match prepare::prepare(command, &shared.config.limits, min_ttl, choose_id) {
            Ok(command) => command,
            Err(outcome) => return Ok(outcome),
        };
        if shared.is_over_quota(&command)
            && let Some(outcome) = prepare::no_space(&command)
        {
            let member = shared.config.identity.member;
            shared.apply(Command::Alarm(AlarmRequest { action: AlarmAction::Activate, member, alarm: Alarm::NoSpace }));
            return Ok(outcome);
        }
        Ok(shared.apply(command))
    }

    async fn read_barrier(&self) -> Result<(), ReadError> {
        Ok(())
    }

    fn store(&self) -> StoreGuard<'_> {
        self.shared.state.guard()
    }

    fn watches(&self) -> &Watches {
        &self.shared.state.watches
    }

    async fn physical_compaction(&self) -> Result<(), StorageError> {
        while !self.shared.state.compact_step() {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn lease_renew(&self, id: i64) -> Result<i64, LeaseError> {
        self.shared.state.renew(id).await.map_err(|_| LeaseError::NotFound)
    }

    async fn lease_time_to_live(&self, id: i64, keys: bool) -> Result<LeaseTimeToLive, LeaseError> {
        let remaining = self.shared.state.remaining(id).ok_or(LeaseError::NotFound)?;
        self.shared.state.time_to_live(id, keys, remaining)
    }

    fn members(&self) -> Vec<Member> {
        self.shared.members.lock().expect("nobody panics while holding the members").list.clone()
    }

    async fn member_add(&self, peer_urls: Vec<String>, is_learner: bool) -> Result<MemberChange, MembershipError> {
        self.shared.change_members(|members| {
            members.check_urls(&peer_urls, None)?;
            let id = members.next_id;
            members.next_id += 1;
            members.list.push(Member { id, peer_urls, is_learner, ..Member::default() });
            Ok(id)
        })
    }

    async fn member_promote(&self, id: u64) -> Result<MemberChange, MembershipError> {
        self.shared.change_members(|members| {
            let member = members.find(id)?;
            // A member that exists only in the list never catches up.
            Err(if member.is_learner { MembershipError::LearnerNotReady } else { MembershipError::MemberNotLearner })
        })
    }

    async fn member_update(&self, id: u64, peer_urls: Vec<String>) -> Result<MemberChange, MembershipError> {
        self.shared.change_members(|members| {
            members.find(id)?;
            members.check_urls(&peer_urls, Some(id))?;
            members.find(id)?.peer_urls = peer_urls;
            Ok(id)
        })
    }

    async fn member_remove(&self, id: u64) -> Result<MemberChange, MembershipError> {
        let itself = self.shared.config.identity.member;
        self.shared.change_members(|members| {
            members.find(id)?;
            if id == itself {
                return Err(MembershipError::NotEnoughStarted);
            }
            members.list.retain(|member| member.id != id);
            Ok(id)
        })
    }

    async fn move_leader(&self, to: u64) -> Result<(), MoveLeaderError> {
        if to == self.shared.config.identity.member { Ok(()) } else { Err(MoveLeaderError::BadTransferee) }
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.shared.leadership.subscribe()
    }

    fn election_timeout(&self) -> Duration {
        self.shared.config.election_timeout
    }

    fn status(&self) -> Status {
        let leadership = *self.shared.leadership.borrow();
        let applied = self.shared.applied.load(Ordering::Relaxed);
        let store = self.shared.state.guard();
        let used = store.usage().bytes;
        let no_leader = leadership.leader.is_none().then(|| ReadError::NoLeader.to_string());
        Status {
            leader: leadership.leader,
            raft_term: leadership.term,
            raft_index: applied,
            raft_applied_index: applied,
            errors: no_leader.into_iter().chain(store.alarms().map(|alarm| alarm_text(&alarm))).collect(),
            db_size: used,
            db_size_in_use: used,
            db_size_quota: self.shared.config.quota_bytes,
            is_learner: false,
        }
    }

    fn metrics(&self) -> Metrics {
        let leadership = *self.shared.leadership.borrow();
        let applied = self.shared.applied.load(Ordering::Relaxed);
        Metrics {
            has_leader: leadership.leader.is_some(),
            is_leader: leadership.is_self,
            proposals_committed: applied,
            proposals_applied: applied,
            ..Metrics::default()
        }
    }

    async fn snapshot(&self) -> Result<SnapshotStream, StorageError> {
        // What is in it is for the real replica to say; a server only passes it on.
        let (sender, chunks) = mpsc::channel(1);
        let mut bytes = format!("revision {}", self.shared.state.guard().revision()).into_bytes();
        bytes.resize(SNAPSHOT_ALIGNMENT_BYTES, 0);
        let size_hint = bytes.len() as u64;
        sender.try_send(Ok(bytes.into())).expect("the channel is new");
        Ok(SnapshotStream { chunks, size_hint })
    }

    async fn hash_kv(&self, revision: i64) -> Result<HashKvResponse, HashKvError> {
        self.shared.state.guard().hash_kv(revision)
    }

    async fn defragment(&self) -> Result<(), StorageError> {
        Ok(())
    }
}
