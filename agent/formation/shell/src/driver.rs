//! One task: an input, its effects in order, the next input.
//!
//! ```text
//!  plane ──┐                                     ┌─► files (a blocking thread, waited for)
//!  raft ───┤                                     ├─► raft
//!  link ───┼─► one select! ─► core ─► effects ───┼─► plane (frames)
//!  users ──┤                                     ├─► discovery
//!  clock ──┘                                     └─► status
//! ```

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use shoal_discovery_core::Input as DiscoveryInput;
use shoal_formation::{Alarm, ClusterId, Effect, Formation, Input, Message, NodeId, NodeKey, Now, Peer, Standing, control::Cause};
use shoal_formation_wire::{Frame, PeerAddresses, UnverifiedMessage, encode_message, statement::cluster_id};
use shoal_node_plane::{Event, Events, Handle as PlaneHandle, Lane, TlsError};
use shoal_trust::{fleet, key, statement as signed};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use crate::{
    clock::Clock,
    discovery::{Discovery, beacon_standing},
    raft::{Gate, Raft, RaftEvent, RaftStart},
    state::{State, StateError, fresh_cluster},
    status::Status,
};

/// Requests of users that wait. More wait with those who have them.
const REQUESTS_MAX: usize = 16;

/// Inputs that are handed in before others are looked for, at most: raft may have committed many entries at once.
const TURN_MAX: usize = 64;

/// Where peers are is written down at most so often: sticks wear out, and what is missing is found as it was found first.
const KEEP_PEERS_EVERY: Duration = Duration::from_secs(60);

/// What a node is started with.
#[derive(Debug)]
pub struct Parts<R, D> {
    /// What the image and the box give.
    pub settings: shoal_formation::Settings,
    /// The node's files, open.
    pub state: State,
    /// What was found in them.
    pub found: shoal_formation::Disk,
    /// Sessions, begun with the key in the files, with their events and lanes.
    pub plane: PlaneHandle,
    /// What happens in sessions.
    pub events: Events,
    /// Lanes that others open.
    pub lanes: mpsc::Receiver<Lane>,
    /// This process, as the plane says.
    pub boot: shoal_formation::BootId,
    /// See [`Raft`].
    pub raft: R,
    /// See [`Discovery`].
    pub discovery: D,
    /// Whether the link is usable: a lease or router advertisement was obtained, or the carrier was up for a minute.
    pub link: watch::Receiver<bool>,
    /// The clock.
    pub clock: Clock,
}

/// Why a node has ended. It starts again from its files.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// Something is not durable that has to be.
    #[error("the node's files cannot be written")]
    State(#[from] StateError),
    /// Raft cannot do what it must.
    #[error("raft failed")]
    Raft(#[source] io::Error),
    /// TLS does not take a key that was just made.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The plane has ended before.
    #[error("the node plane has ended")]
    PlaneEnded,
}

/// What users want.
#[derive(Debug, Clone, Copy)]
enum Request {
    Seal,
    Remove(NodeId, Cause),
    Retire(ClusterId),
}

/// Speaks with a driver. The node ends when all handles are dropped.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    status: watch::Receiver<Status>,
}

/// The node has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node has ended")]
pub struct Gone;

impl Handle {
    /// What the node says of itself.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Somebody uses the cluster. It is done when the status says sealed.
    ///
    /// # Errors
    /// If the node has ended.
    pub async fn seal(&self) -> Result<(), Gone> {
        self.ask(Request::Seal).await
    }

    /// The operator takes a member out.
    ///
    /// # Errors
    /// If the node has ended.
    pub async fn remove(&self, node: NodeId, cause: Cause) -> Result<(), Gone> {
        self.ask(Request::Remove(node, cause)).await
    }

    /// The operator retires this cluster into another one. The caller has verified the operator's signature.
    ///
    /// # Errors
    /// If the node has ended.
    pub async fn retire(&self, into: ClusterId) -> Result<(), Gone> {
        self.ask(Request::Retire(into)).await
    }

    async fn ask(&self, request: Request) -> Result<(), Gone> {
        self.requests.send(request).await.map_err(|_| Gone)
    }
}

/// A node that can be run.
#[derive(Debug)]
pub struct Driver<R, D> {
    gate: Gate,
    /// Shared with the thread that writes a file; nobody else wants it then, since this task waits.
    state: Arc<Mutex<State>>,
    plane: PlaneHandle,
    events: Events,
    lanes: mpsc::Receiver<Lane>,
    raft: R,
    discovery: D,
    finds: bool,
    link: watch::Receiver<bool>,
    has_link: bool,
    clock: Clock,
    requests: mpsc::Receiver<Request>,
    status: watch::Sender<Status>,
    alarms: Vec<Alarm>,
    inbox: VecDeque<Input>,
    effects: VecDeque<Effect>,
    members: BTreeSet<NodeKey>,
    /// What each peer was told last of where others are.
    told: BTreeMap<Peer, Vec<PeerAddresses>>,
    /// What is written down of where peers are, and when that may be written again.
    kept: Vec<PeerAddresses>,
    keep_at: Now,
}

/// All that can happen.
#[derive(Debug)]
enum Happened {
    Plane(Option<Event>),
    Lane(Option<Lane>),
    Raft(RaftEvent),
    Found(Option<std::net::SocketAddr>),
    Link,
    NoMoreLinks,
    Request(Option<Request>),
    Time,
}

impl<R: Raft, D: Discovery> Driver<R, D> {
    /// A node that has done nothing yet.
    ///
    /// # Errors
    /// If raft's directory cannot be read, or there are no random numbers.
    pub async fn new(parts: Parts<R, D>) -> Result<(Self, Handle), DriverError> {
        let Parts { settings, mut state, mut found, plane, events, lanes, boot, mut raft, discovery, link, clock } = parts;
        found.raft = raft.inspect().await.map_err(DriverError::Raft)?;
        let cluster = fresh_cluster(state.entropy())?;
        let (formation, effects) = Formation::start(clock.now(), settings, found, boot, cluster);
        let kept = state.peers();
        plane.remember_addresses(&kept);
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        let (status, watched) = watch::channel(status(&formation, &[]));
        let driver = Self {
            gate: Gate::new(formation),
            state: Arc::new(Mutex::new(state)),
            plane,
            events,
            lanes,
            raft,
            discovery,
            finds: true,
            link,
            has_link: true,
            clock,
            requests,
            status,
            alarms: Vec::new(),
            inbox: VecDeque::new(),
            effects: effects.into(),
            members: BTreeSet::new(),
            told: BTreeMap::new(),
            kept,
            keep_at: Now::default(),
        };
        Ok((driver, Handle { requests: sender, status: watched }))
    }

    /// Runs until all handles are dropped. Then raft is stopped in order.
    ///
    /// # Errors
    /// If the node cannot go on. What it has sent until then is true of its disk.
    pub async fn run(mut self) -> Result<(), DriverError> {
        let usable = *self.link.borrow_and_update();
        self.inbox.push_back(Input::Link(usable));
        loop {
            self.work().await?;
            self.keep_peers().await?;
            let happened = self.wait().await;
            if !self.take(happened).await? {
                self.raft.stop().await.map_err(DriverError::Raft)?;
                return Ok(());
            }
            for _ in 1..TURN_MAX {
                match self.events.try_recv() {
                    Ok(event) => self.plane_event(event).await,
                    Err(_) => break,
                }
            }
        }
    }

    /// Writes down where peers are, if that is new. Hellos wake this task every few seconds.
    async fn keep_peers(&mut self) -> Result<(), DriverError> {
        let now = self.clock.now();
        if now < self.keep_at {
            return Ok(());
        }
        let known = self.plane.known_addresses();
        // With nobody there, what was written last is more than nothing.
        if known != self.kept && !known.is_empty() {
            self.kept.clone_from(&known);
            self.keep_at = now.plus(KEEP_PEERS_EVERY);
            self.with_state(|state| state.keep_peers(known)).await?;
        }
        Ok(())
    }

    async fn wait(&mut self) -> Happened {
        let deadline = self.gate.formation().deadline();
        let moment = deadline.map_or_else(Instant::now, |deadline| self.clock.moment(deadline));
        let Self { events, lanes, raft, discovery, link, requests, .. } = self;
        tokio::select! {
            event = events.recv() => Happened::Plane(event),
            Some(lane) = lanes.recv() => Happened::Lane(Some(lane)),
            event = raft.next() => Happened::Raft(event),
            found = discovery.next(), if self.finds => Happened::Found(found),
            changed = link.changed(), if self.has_link => if changed.is_ok() { Happened::Link } else { Happened::NoMoreLinks },
            request = requests.recv() => Happened::Request(request),
            () = sleep_until(moment), if deadline.is_some() => Happened::Time,
        }
    }

    /// Makes inputs of what has happened. Says whether the node goes on.
    async fn take(&mut self, happened: Happened) -> Result<bool, DriverError> {
        match happened {
            Happened::Plane(Some(event)) => self.plane_event(event).await,
            Happened::Plane(None) => return Err(DriverError::PlaneEnded),
            Happened::Lane(lane) => lane.into_iter().for_each(|lane| self.raft.take_lane(lane)),
            Happened::Raft(RaftEvent::Facts(facts)) => self.inbox.push_back(Input::Raft(facts)),
            Happened::Raft(RaftEvent::Committed(index, entry)) => self.inbox.push_back(Input::Committed(index, entry)),
            Happened::Raft(RaftEvent::Restored(control)) => self.inbox.push_back(Input::Restored(control)),
            Happened::Raft(RaftEvent::Failed(why)) => return Err(DriverError::Raft(io::Error::other(why))),
            Happened::Found(Some(address)) => self.plane.try_address(address),
            Happened::Found(None) => {
                tracing::error!("discovery has ended: no new peers are found, but for those that others tell of");
                self.finds = false;
            }
            Happened::Link => {
                let usable = *self.link.borrow_and_update();
                self.inbox.push_back(Input::Link(usable));
            }
            Happened::NoMoreLinks => {
                tracing::error!("nobody tells any more whether the link is usable");
                self.has_link = false;
            }
            Happened::Request(None) => return Ok(false),
            Happened::Request(Some(Request::Seal)) => self.inbox.push_back(Input::SealWanted),
            Happened::Request(Some(Request::Remove(node, cause))) => self.inbox.push_back(Input::RemoveWanted(node, cause)),
            Happened::Request(Some(Request::Retire(into))) => self.inbox.push_back(Input::Retired(into)),
            Happened::Time => self.inbox.push_back(Input::Wake),
        }
        Ok(true)
    }

    async fn plane_event(&mut self, event: Event) {
        match event {
            Event::Met { peer, address } => {
                self.inbox.push_back(Input::Met(peer));
                if let (Some(address), Some(node)) = (address, trusted(peer.key)) {
                    self.discovery.tell(DiscoveryInput::Connected { node, address }).await;
                }
            }
            Event::Heard(peer, Frame::Message(message)) => {
                if let Some(message) = self.verified(peer, message) {
                    self.inbox.push_back(Input::Heard(peer, message));
                }
            }
            Event::Heard(_, Frame::Addresses(nodes)) => {
                for PeerAddresses { node, addresses } in nodes {
                    addresses.iter().for_each(|address| self.plane.told_address(*address, node));
                    if let Some(node) = trusted(node) {
                        self.discovery.tell(DiscoveryInput::Exchanged { node, addresses }).await;
                    }
                }
            }
            Event::Closed(peer) => {
                self.told.remove(&peer);
                if !self.plane.peers().iter().any(|other| other.key == peer.key)
                    && let Some(node) = trusted(peer.key)
                {
                    self.discovery.tell(DiscoveryInput::Closed(node)).await;
                }
            }
            Event::Dialled(address, None) => self.discovery.tell(DiscoveryInput::Failed(address)).await,
            Event::Dialled(address, Some(node)) => {
                if let Some(node) = trusted(node) {
                    self.discovery.tell(DiscoveryInput::Connected { node, address }).await;
                }
            }
            // Sessions with the own key are not kept. What the two have to know is what others tell a copy.
            Event::Double(peer) => self.inbox.push_back(Input::Heard(peer, Message::Copy)),
        }
    }

    /// The message, with those of its statements that hold: signed by whom this node's own log has as that member.
    fn verified(&self, from: Peer, message: UnverifiedMessage) -> Option<Message> {
        let formation = self.gate.formation();
        let cluster = formation.cluster();
        let own = match formation.standing() {
            Some(Standing::Member(member)) => Some(member.node),
            _ => None,
        };
        let key_of = |node: NodeId| {
            let member = formation.control().member(node).map(|record| record.admission.key);
            let key = member.or_else(|| formation.control().tombstone(node).map(|tombstone| tombstone.key));
            key.or_else(|| self.raft.key_of(node)).and_then(trusted)
        };
        let past_life = |statement: signed::Signed<signed::PastLife>| {
            let claimed = statement.claimed();
            let is_ours = cluster.is_some_and(|cluster| cluster_id(cluster) == claimed.cluster);
            let key = is_ours.then(|| key_of(NodeId(claimed.node.0))).flatten()?;
            statement.verify(&key).ok()
        };
        let removed = |statement: signed::Signed<signed::Removed>| {
            let (cluster, own) = (cluster?, own?);
            formation.control().by_key(from.key)?;
            statement.verify_from(cluster_id(cluster), &trusted(from.key)?, fleet::NodeId(own.0)).ok()
        };
        message.verify(past_life, removed)
    }

    /// Does all that there is to do.
    async fn work(&mut self) -> Result<(), DriverError> {
        loop {
            while let Some(effect) = self.effects.pop_front() {
                self.act(effect).await?;
            }
            let Some(input) = self.inbox.pop_front() else { break };
            self.effects = self.gate.formation().handle(self.clock.now(), input).into();
        }
        let (members, status) = {
            let formation = self.gate.formation();
            let members: BTreeSet<NodeKey> = formation.control().members().map(|(_, record)| record.admission.key).collect();
            (members, status(&formation, &self.alarms))
        };
        if members != self.members {
            self.members.clone_from(&members);
            self.plane.set_members(members);
        }
        self.status.send_if_modified(|told| {
            let is_new = *told != status;
            *told = status;
            is_new
        });
        Ok(())
    }

    async fn act(&mut self, effect: Effect) -> Result<(), DriverError> {
        match effect {
            Effect::Send(to, message) => self.send(to, &message),
            Effect::Persist(record) => self.with_state(move |state| state.persist(&record)).await?,
            Effect::Mint => {
                let (identity, cluster, secret) =
                    self.with_state(|state| state.mint().map(|(identity, cluster)| (identity, cluster, state.secret()))).await?;
                for ended in self.plane.set_secret(&secret)? {
                    if let Some(node) = trusted(ended.key) {
                        self.discovery.tell(DiscoveryInput::Closed(node)).await;
                    }
                }
                self.told.clear();
                // What was heard until now was heard by somebody else.
                self.inbox.push_front(Input::Minted(identity, cluster));
            }
            Effect::WipeRaft => self.raft.wipe().await.map_err(DriverError::Raft)?,
            Effect::StartRaft(cluster, node, begin) => {
                let start = RaftStart { cluster, node, begin, gate: self.gate.clone(), clock: self.clock };
                self.raft.start(start).await.map_err(DriverError::Raft)?;
            }
            Effect::StopRaft => {
                let facts = self.raft.stop().await.map_err(DriverError::Raft)?;
                self.inbox.push_back(Input::RaftStopped(facts));
            }
            Effect::Propose(entry) => self.raft.propose(entry),
            Effect::ChangeConfiguration(change) => self.raft.change(change),
            Effect::Announce(standing) => self.discovery.tell(DiscoveryInput::Standing(beacon_standing(standing))).await,
            Effect::Raise(alarm) => {
                tracing::error!("{alarm}");
                self.alarms.push(alarm);
            }
        }
        Ok(())
    }

    fn send(&mut self, to: Peer, message: &Message) {
        let frame = encode_message(message, &locked(&self.state).signatures);
        self.plane.send(to, frame);
        if matches!(message, Message::Hello(_)) && self.plane.has_session(to) {
            let addresses = self.plane.addresses();
            if self.told.get(&to) != Some(&addresses) {
                self.plane.send(to, Frame::Addresses(addresses.clone()).encode());
                self.told.insert(to, addresses);
            }
        }
    }

    /// Does something with the files where blocking is allowed, and waits for it.
    async fn with_state<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut State) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, DriverError> {
        let state = self.state.clone();
        let done = tokio::task::spawn_blocking(move || work(&mut locked(&state)));
        let outcome = done.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
        Ok(outcome?)
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The key as the trust crate knows it; none if it is none, which no session has.
fn trusted(key: NodeKey) -> Option<key::NodeKey> {
    key::NodeKey::from_bytes(&key.0).ok()
}

fn status(formation: &Formation, alarms: &[Alarm]) -> Status {
    let member = match formation.standing() {
        Some(Standing::Member(member)) => Some(member),
        _ => None,
    };
    let control = formation.control();
    Status {
        own: formation.peer(),
        state: formation.state(),
        member: member.map(|member| (member.cluster, member.node)),
        has_leader: member.is_some_and(|member| member.live),
        is_born: control.is_born(),
        is_sealed: control.sealed().is_some(),
        members: control.members().map(|(node, _)| node).collect(),
        voters: formation.voters().collect(),
        why: formation.why(),
        alarms: alarms.to_vec(),
    }
}
