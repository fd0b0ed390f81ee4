//! Accepts connections, and gives each one a slot.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    greeting::{self, GreetingError},
    limits::ACCEPT_RETRY,
    plane::Shared,
};

/// The place of a handshake, given back however it ends.
struct Place {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.state().slots.release(self.number);
    }
}

pub(crate) async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => take_in(&shared, stream, from),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn take_in(shared: &Arc<Shared>, stream: TcpStream, from: SocketAddr) {
    let mut state = shared.state();
    if state.is_closed {
        return;
    }
    state.statistics.accepted += 1;
    let source = from.ip().to_canonical();
    let is_known = state.known_sources.contains(&source);
    let (number, lost) = state.slots.take(source, is_known);
    if let Some(lost) = lost {
        state.statistics.pushed_out += 1;
        lost.abort();
    }
    let place = Place { shared: shared.clone(), number };
    // It cannot end before it is told who holds its place: it has to wait for this lock first.
    let task = tokio::spawn(handshake(shared.clone(), stream, from, place));
    state.slots.hold(number, task.abort_handle());
}

async fn handshake(shared: Arc<Shared>, stream: TcpStream, from: SocketAddr, place: Place) {
    let own = shared.own();
    let greeted = timeout(shared.limits.handshake, greeting::accept(stream, &own, |key| shared.is_member(key))).await;
    drop(place);
    let outcome = match greeted.unwrap_or(Err(GreetingError::TooSlow)) {
        Ok(greeted) => {
            // Where it listens, as it says: the address that it comes from, with its own port.
            let listens = SocketAddr::new(from.ip().to_canonical(), greeted.introduction.port);
            shared.begin(&own, greeted, from, (listens.port() != 0).then_some(listens)).await.map(drop)
        }
        Err(error) => {
            shared.count_failure(&error);
            Err(error)
        }
    };
    if let Err(error) = outcome {
        shared.refused(&own, from, &error).await;
    }
}
