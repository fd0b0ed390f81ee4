//! Nodes of a fleet.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use shoal_formation::{BootId, Message, NodeKey, Peer};
use shoal_formation_wire::{Frame, Statements, UnverifiedMessage};
use shoal_trust::{
    fleet::{FleetId, Generation},
    key::NodeSecret,
    schedule::FleetKeys,
    secret::JoinSecret,
    statement,
};
use tokio::{
    net::TcpListener,
    sync::mpsc,
    time::{Instant, timeout_at},
};

use crate::{Event, Events, Handle, Lane, Limits, Plane, Settings, start};

/// What everything must have happened in: far longer than it takes, far shorter than anybody wants to wait for a test that fails.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Node {
    _plane: Plane,
    pub(crate) handle: Handle,
    pub(crate) events: Events,
    pub(crate) lanes: mpsc::Receiver<Lane>,
    pub(crate) address: SocketAddr,
    pub(crate) peer: Peer,
}

pub(crate) fn keys(generation: u32, secret: u8) -> Arc<FleetKeys> {
    let secret = JoinSecret::from_random([secret; 32]).unwrap();
    Arc::new(FleetKeys::derive(FleetId([1; 16]), Generation::new(generation).unwrap(), &secret))
}

pub(crate) fn our_keys() -> Arc<FleetKeys> {
    keys(2, 1)
}

pub(crate) fn secret(number: u8) -> NodeSecret {
    NodeSecret::from_random([number; 32]).unwrap()
}

pub(crate) async fn node_with(number: u8, boot: u64, keys: Arc<FleetKeys>, limits: Limits) -> Node {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let boot = BootId(boot);
    let settings = Settings { listeners: vec![listener], secret: secret(number), keys, boot, limits };
    let (plane, events, lanes) = start(settings).unwrap();
    let peer = Peer { key: NodeKey(secret(number).public().to_bytes()), boot };
    Node { handle: plane.handle().clone(), _plane: plane, events, lanes, address, peer }
}

pub(crate) async fn node(number: u8) -> Node {
    node_with(number, u64::from(number), our_keys(), Limits::default()).await
}

impl Node {
    /// The first event that is one of these; others are passed over.
    pub(crate) async fn wait<T>(&mut self, mut is_it: impl FnMut(&Event) -> Option<T>) -> T {
        let until = Instant::now() + SOON;
        loop {
            let event = timeout_at(until, self.events.recv()).await.expect("it happens in time").expect("the plane is there");
            if let Some(found) = is_it(&event) {
                return found;
            }
        }
    }

    pub(crate) async fn meets(&mut self, other: Peer) {
        self.wait(|event| matches!(event, Event::Met { peer, .. } if *peer == other).then_some(())).await;
    }

    /// What became of an attempt.
    pub(crate) async fn dialled(&mut self, address: SocketAddr) -> Option<NodeKey> {
        self.wait(|event| match event {
            Event::Dialled(tried, key) if *tried == address => Some(*key),
            Event::Met { .. } => None,
            _ => None,
        })
        .await
    }

    pub(crate) async fn hears(&mut self, other: Peer, what: &Message) {
        let expected = Frame::Message(UnverifiedMessage::of(what, &Nothing));
        self.wait(|event| matches!(event, Event::Heard(peer, frame) if *peer == other && *frame == expected).then_some(())).await;
    }

    /// Nothing that has happened so far is a session.
    pub(crate) fn has_met_nobody(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            assert!(!matches!(event, Event::Met { .. } | Event::Heard(..) | Event::Double(_)), "{event:?}");
        }
        assert_eq!(self.handle.peers(), []);
    }
}

pub(crate) fn frame(message: &Message) -> Vec<u8> {
    shoal_formation_wire::encode_message(message, &Nothing)
}

/// Waits until something is so that nobody tells.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + SOON;
    let mut look = tokio::time::interval(Duration::from_millis(2));
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        look.tick().await;
    }
}

/// Signs nothing.
pub(crate) struct Nothing;

impl Statements for Nothing {
    fn past_life(&self, _: &shoal_formation::statement::PastLife) -> Option<statement::Signed<statement::PastLife>> {
        None
    }

    fn removed(&self, removed: &shoal_formation::statement::Removed) -> statement::Signed<statement::Removed> {
        shoal_formation_wire::statement::sign_removed(&secret(1), removed)
    }
}
