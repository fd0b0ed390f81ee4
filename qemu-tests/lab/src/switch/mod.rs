//! A user-space Ethernet switch: [`Fabric`] decides, [`Switch`] carries.
//!
//! QEMU plugs in with `-netdev stream` over a unix socket, each frame led by its length as four big-endian bytes. Services of
//! the lab plug in with [`Switch::plug`]. One task owns the fabric; every port has a bounded queue towards its box, and a frame
//! that finds it full is dropped, as a real switch does: a stopped box must not stop the others.

mod carrier;
mod fabric;
mod pcap;
mod port;

use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::{mpsc, oneshot};

pub use fabric::{ADDRESS_LIFETIME, Delivery, Fabric, Frame, Link, PortId};
pub use port::{Plug, Sender, Socket};

/// Frames waiting for the switch, from all ports together. A sender waits when it is full.
pub(crate) const INBOX_FRAMES: usize = 1024;

/// Frames waiting for one box: 6 MB of full frames, above the TCP windows of firmware and kernels, so that a fast sender does not
/// outrun it. A frame beyond it is dropped.
pub(crate) const QUEUE_FRAMES: usize = 4096;

/// What the task that owns the fabric is told.
#[derive(Debug)]
pub(crate) enum Event {
    Frame { from: PortId, frame: Frame },
    Attach { queue: mpsc::Sender<Frame>, reply: oneshot::Sender<PortId> },
    Detach(PortId),
    Partition(Vec<Vec<PortId>>),
    Heal,
    Link { from: PortId, to: PortId, link: Link },
    EveryLink(Link),
    Flush(oneshot::Sender<()>),
}

/// Why a switch could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The capture file cannot be created; there is no switch.
    #[error("cannot write the capture {}: is its directory there and writable?", path.display())]
    Capture {
        /// The capture.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No socket for a box; the switch is unchanged.
    #[error("cannot listen on {} for a box: the path must be short (under 108 bytes) and new", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The task of the switch is gone, because its runtime was shut down.
    #[error("the switch is no longer running: keep the runtime that started it")]
    Gone,
}

/// A handle on a running switch. The switch ends when the last handle and the last port are dropped.
#[derive(Debug, Clone)]
pub struct Switch {
    inbox: mpsc::Sender<Event>,
}

impl Switch {
    /// Starts a switch on the current tokio runtime. `seed` decides loss and jitter; every frame that comes in goes to `capture`.
    pub fn start(seed: u64, capture: &Path) -> Result<Self, SwitchError> {
        let file = std::fs::File::create(capture)
            .and_then(|file| pcap::Capture::new(io::BufWriter::new(file)))
            .map_err(|source| SwitchError::Capture { path: capture.into(), source })?;
        let (inbox, events) = mpsc::channel(INBOX_FRAMES);
        tokio::spawn(carrier::Carrier::new(Fabric::new(seed), file).run(events));
        Ok(Self { inbox })
    }

    /// Plugs in something of our own.
    pub async fn plug(&self) -> Result<Plug, SwitchError> {
        let (queue, frames) = mpsc::channel(QUEUE_FRAMES);
        let (reply, id) = oneshot::channel();
        self.tell(Event::Attach { queue, reply }).await?;
        Ok(Plug::new(id.await.map_err(|_| SwitchError::Gone)?, self.inbox.clone(), frames))
    }

    /// Opens a socket for a box. The port stays the same when the box is switched off and on again, until the returned guard is
    /// dropped.
    pub async fn listen(&self, path: &Path) -> Result<Socket, SwitchError> {
        let listener = tokio::net::UnixListener::bind(path).map_err(|source| SwitchError::Listen { path: path.into(), source })?;
        Ok(Socket::serve(listener, self.plug().await?))
    }

    /// Cuts the switch into these sets; ports in none of them form one more.
    pub async fn partition(&self, sets: Vec<Vec<PortId>>) -> Result<(), SwitchError> {
        self.tell(Event::Partition(sets)).await
    }

    /// Ends a partition.
    pub async fn heal(&self) -> Result<(), SwitchError> {
        self.tell(Event::Heal).await
    }

    /// Sets the quality of one direction between two ports.
    pub async fn set_link(&self, from: PortId, to: PortId, link: Link) -> Result<(), SwitchError> {
        self.tell(Event::Link { from, to, link }).await
    }

    /// Sets the quality of every direction between any two ports.
    pub async fn set_every_link(&self, link: Link) -> Result<(), SwitchError> {
        self.tell(Event::EveryLink(link)).await
    }

    /// Waits until everything that was sent before is in the capture file.
    pub async fn flush(&self) -> Result<(), SwitchError> {
        let (reply, done) = oneshot::channel();
        self.tell(Event::Flush(reply)).await?;
        done.await.map_err(|_| SwitchError::Gone)
    }

    async fn tell(&self, event: Event) -> Result<(), SwitchError> {
        self.inbox.send(event).await.map_err(|_| SwitchError::Gone)
    }
}
