//! D-Bus without a broker: PID 1 itself answers on the socket where clients expect the system bus.
//!
//! Each connection is a peer-to-peer one that also serves `org.freedesktop.DBus`, so that unmodified clients (godbus in the kubelet,
//! zbus in the agent) find what they expect of a bus: Hello, AddMatch, GetNameOwner and their kin. All well-known names belong to
//! PID 1, whose unique name is [`OUR_NAME`]; clients cannot reach each other and cannot own names. Why so, and not busd or
//! dbus-broker, is in `docs/design/0006-bus-without-a-broker.md`.
//!
//! Tasks: one that accepts; one for each connection, which sends it the signals that its match rules ask for, from a bounded queue;
//! and zbus's own, which answer calls. Interfaces hold no state: they pass a [`Request`] to the loop of PID 1 and wait for its reply.

mod driver;
mod init1;
mod login1;
mod request;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use zbus::connection::Builder;
use zbus::message::Message;
use zbus::{Guid, OwnedMatchRule};

pub(crate) use self::request::{Caller, Refusal, Request, ServiceRow, Verb};

/// Where clients look for the system bus when `DBUS_SYSTEM_BUS_ADDRESS` is not set (D-Bus Specification, "Well-known Message Bus
/// Instances").
pub(crate) const SOCKET: &str = "/run/dbus/system_bus_socket";

/// Unique name of PID 1 on its bus.
pub(crate) const OUR_NAME: &str = ":1.0";

/// Well-known names, all of which belong to PID 1.
pub(crate) const WELL_KNOWN_NAMES: [&str; 2] = ["org.freedesktop.login1", "org.shoal.Init1"];

/// Connections at once. A box has a handful of clients; when it is hit, new ones are closed at once.
const CONNECTIONS_MAX: usize = 64;

/// Time for authentication and negotiation; a client that connects and says nothing must not hold a place.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Signals that wait for one client. One that is so far behind does not read any more and is cut off.
const SIGNALS_WAITING: usize = 256;

/// Time for one signal to go out before the client is cut off.
const SEND_MAX: Duration = Duration::from_secs(10);

/// What the interfaces can answer without asking.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Name and architecture of the image.
    pub(crate) image: String,
    /// Its version.
    pub(crate) version: String,
    /// When it was built, in seconds since 1970.
    pub(crate) build_time: i64,
    /// `persistent`, or `ram: ` and the reason.
    pub(crate) state_medium: String,
    /// Set when a shutdown has begun.
    pub(crate) going_down: Arc<AtomicBool>,
}

/// The bus.
#[derive(Debug, Clone)]
pub(crate) struct Bus {
    peers: Arc<Mutex<BTreeMap<u64, Peer>>>,
    facts: Facts,
}

/// A connected client.
#[derive(Debug)]
struct Peer {
    rules: Rules,
    outbox: mpsc::Sender<Message>,
}

/// The match rules of one client.
type Rules = Arc<Mutex<Vec<OwnedMatchRule>>>;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // No holder panics half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever may change something: the user that PID 1 runs as, which is root.
fn may_change(caller: Caller) -> bool {
    caller.uid == rustix::process::geteuid().as_raw()
}

impl Bus {
    /// Listens at `path` and serves whoever connects; requests go to `requests`.
    ///
    /// # Errors
    /// The socket cannot be made; nothing is served then.
    pub(crate) fn listen(path: &Path, facts: Facts, requests: mpsc::Sender<Request>) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        // Everyone may connect and look, as on a system bus; changes are for root.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        let bus = Self { peers: Arc::default(), facts };
        tokio::spawn(bus.clone().accept(listener, requests));
        Ok(bus)
    }

    async fn accept(self, listener: UnixListener, requests: mpsc::Sender<Request>) {
        let guid = Guid::generate();
        let mut number = 0_u64;
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of file descriptors: others must go first. Yielding to the timer keeps the loop from spinning.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            number += 1;
            if lock(&self.peers).len() < CONNECTIONS_MAX {
                let (outbox, waiting) = mpsc::channel(SIGNALS_WAITING);
                let rules = Rules::default();
                lock(&self.peers).insert(number, Peer { rules: Arc::clone(&rules), outbox });
                let bus = self.clone();
                let (guid, requests) = (guid.clone(), requests.clone());
                tokio::spawn(async move {
                    // Whatever ends a connection concerns its client alone.
                    drop(bus.serve(stream, number, guid, rules, requests, waiting).await);
                    lock(&bus.peers).remove(&number);
                });
            }
        }
    }

    async fn serve(
        &self,
        stream: UnixStream,
        number: u64,
        guid: Guid<'static>,
        rules: Rules,
        requests: mpsc::Sender<Request>,
        mut waiting: mpsc::Receiver<Message>,
    ) -> anyhow::Result<()> {
        let credentials = stream.peer_cred()?;
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        let caller = Caller { uid: credentials.uid(), pid };
        let name = format!(":1.{number}");
        let ask = request::Ask { requests, caller };
        let built = Builder::unix_stream(stream.into_std()?)
            .server(guid.clone())
            .p2p()
            .serve_at("/org/freedesktop/DBus", driver::Driver { name, caller, guid: guid.to_string(), rules })
            .serve_at("/org/freedesktop/login1", login1::Manager { ask: ask.clone(), facts: self.facts.clone() })
            .serve_at("/org/shoal/Init1", init1::Init1 { ask, facts: self.facts.clone() })
            .build();
        let connection = tokio::time::timeout(HANDSHAKE_MAX, built).await??;
        // Only now: a connection that has its name from the start takes calls to that name alone, and the first ones go to
        // `org.freedesktop.DBus`, which zbus counts among the unique names.
        connection.set_unique_name(OUR_NAME)?;
        loop {
            tokio::select! {
                signal = waiting.recv() => match signal {
                    Some(signal) => tokio::time::timeout(SEND_MAX, connection.send(&signal)).await??,
                    // It was cut off.
                    None => return Ok(connection.close().await?),
                },
                () = connection.closed() => return Ok(()),
            }
        }
    }

    /// Sends a signal to every client that asked for it. Never waits.
    fn emit(&self, signal: zbus::Result<Message>) {
        // Names and bodies of our own signals are constant in form: they always make a message.
        let Ok(signal) = signal else { return };
        lock(&self.peers).retain(|_, peer| {
            let wanted = lock(&peer.rules).iter().any(|rule| rule.matches(&signal).unwrap_or(false));
            !wanted || peer.outbox.try_send(signal.clone()).is_ok()
        });
    }

    /// `org.freedesktop.login1.Manager.PrepareForShutdown`: lock holders, the box is about to go down.
    pub(crate) fn prepare_for_shutdown(&self) {
        self.facts.going_down.store(true, Ordering::Relaxed);
        self.emit(signal("/org/freedesktop/login1", "org.freedesktop.login1.Manager", "PrepareForShutdown", &(true,)));
    }

    /// `org.shoal.Init1.ServiceChanged`.
    pub(crate) fn service_changed(&self, name: &str, state: &str) {
        self.emit(signal("/org/shoal/Init1", "org.shoal.Init1", "ServiceChanged", &(name, state)));
    }
}

fn signal<B>(path: &str, interface: &str, member: &str, body: &B) -> zbus::Result<Message>
where
    B: serde::Serialize + zbus::wire::DynamicType,
{
    Message::signal(path, interface, member).sender(OUR_NAME).build(body)
}

#[cfg(test)]
mod tests;
