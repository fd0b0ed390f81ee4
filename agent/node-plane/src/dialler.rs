//! Tries addresses.

use std::{net::SocketAddr, sync::Arc};

use shoal_formation::{NodeKey, Peer};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    greeting::{self, Greeted, GreetingError, Own, Purpose},
    lane::{Counted, Lane, LaneError},
    limits::DIALS_MAX,
    plane::{Event, Shared},
};

/// Tries what is due, for as long as the plane is there.
pub(crate) async fn dial_all(shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(DIALS_MAX));
    loop {
        let now = Instant::now();
        let (due, next) = {
            let mut state = shared.state();
            let state = &mut *state;
            let has_session = |key| state.sessions.has_key(key);
            (state.book.due(now, places.available_permits(), has_session), state.book.deadline(has_session))
        };
        for address in due {
            let Ok(place) = places.clone().try_acquire_owned() else { break };
            let shared = shared.clone();
            tokio::spawn(async move {
                dial(&shared, address).await;
                drop(place);
                // One that waits for a place may go.
                shared.dialler.notify_one();
            });
        }
        let next = next.filter(|next| *next > now || places.available_permits() > 0);
        tokio::select! {
            () = shared.dialler.notified() => {}
            () = async { sleep_until(next.unwrap_or(now)).await }, if next.is_some() => {}
        }
    }
}

async fn dial(shared: &Arc<Shared>, address: SocketAddr) {
    let own = shared.own();
    let outcome = match greeted(shared, &own, address, Purpose::Formation).await {
        Ok(greeted) => shared.begin(&own, greeted, address, Some(address)).await,
        Err(error) => Err(error),
    };
    let now = Instant::now();
    match &outcome {
        Ok(peer) => shared.state().book.connected(now, address, peer.key),
        Err(GreetingError::Myself) => shared.state().book.forget(address),
        Err(_) => shared.state().book.failed(now, address),
    }
    match outcome {
        Ok(Peer { key, .. }) => shared.tell(Event::Dialled(address, Some(key))).await,
        Err(error) => {
            shared.tell(Event::Dialled(address, None)).await;
            shared.refused(&own, address, &error).await;
        }
    }
}

async fn greeted(
    shared: &Arc<Shared>,
    own: &Own,
    address: SocketAddr,
    purpose: Purpose,
) -> Result<Greeted<tokio_rustls::TlsStream<tokio::net::TcpStream>>, GreetingError> {
    let greet = greeting::connect(address, purpose, own, |key| shared.is_member(key));
    timeout(shared.limits.handshake, greet).await.unwrap_or(Err(GreetingError::TooSlow))
}

/// Opens a lane to a node, at one of its addresses after the other.
pub(crate) async fn lane(shared: &Arc<Shared>, node: NodeKey) -> Result<Lane, LaneError> {
    let addresses = shared.state().book.nodes().remove(&node).unwrap_or_default();
    let place = shared.lanes.clone().try_acquire_owned().map_err(|_| LaneError::Full)?;
    let own = shared.own();
    let mut last = None;
    for address in addresses {
        match greeted(shared, &own, address, Purpose::Raft).await {
            Ok(greeted) if greeted.key.to_bytes() == node.0 => {
                let peer = Peer { key: node, boot: greeted.introduction.boot };
                return Ok(Lane { stream: Box::new(Counted { stream: greeted.stream, _place: place }), peer, address });
            }
            Ok(_) => {}
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or(LaneError::NoAddress, LaneError::Unreachable))
}
