//! The two kinds of port: a plug for services of the lab, and a unix socket for a box.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Event, Frame, PortId};

/// Longest frame a box may send, bytes: QEMU's own limit for one packet (NET_BUFSIZE, 64 KiB of payload and headers). A longer
/// one means that the stream has lost its framing, and ends the connection.
const FRAME_LIMIT: usize = 4096 + 65536;

/// Both directions of one port. Dropping it unplugs the port.
#[derive(Debug)]
pub struct Plug {
    sender: Sender,
    frames: mpsc::Receiver<Frame>,
}

/// The direction into the switch.
#[derive(Debug, Clone)]
pub struct Sender {
    port: PortId,
    inbox: mpsc::Sender<Event>,
}

impl Plug {
    pub(crate) fn new(port: PortId, inbox: mpsc::Sender<Event>, frames: mpsc::Receiver<Frame>) -> Self {
        Self { sender: Sender { port, inbox }, frames }
    }

    /// Which port this is.
    pub fn port(&self) -> PortId {
        self.sender.port
    }

    /// A sender that can be used while [`Plug::receive`] waits.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// The next frame from the switch; `None` when the switch is gone.
    pub async fn receive(&mut self) -> Option<Frame> {
        self.frames.recv().await
    }

    /// A frame that is already there.
    pub fn receive_now(&mut self) -> Option<Frame> {
        self.frames.try_recv().ok()
    }
}

impl Drop for Plug {
    fn drop(&mut self) {
        // A full inbox is no loss: the switch finds the closed queue at the next frame for this port.
        let _ = self.sender.inbox.try_send(Event::Detach(self.sender.port));
    }
}

impl Sender {
    /// Sends a frame; waits while the switch is busy. A switch that is gone swallows it, as a dead switch does.
    pub async fn send(&self, frame: Frame) {
        let _ = self.inbox.send(Event::Frame { from: self.port, frame }).await;
    }
}

/// A socket that a box connects to, again after each power-on. Dropping it unplugs the port.
#[derive(Debug)]
pub struct Socket {
    port: PortId,
    task: JoinHandle<()>,
}

impl Socket {
    pub(crate) fn serve(listener: UnixListener, plug: Plug) -> Self {
        let port = plug.port();
        Self { port, task: tokio::spawn(serve(listener, plug)) }
    }

    /// Which port this is.
    pub fn port(&self) -> PortId {
        self.port
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: UnixListener, mut plug: Plug) {
    while let Ok((stream, _)) = listener.accept().await {
        // What was queued while the box was off never reached it.
        while plug.receive_now().is_some() {}
        let (reader, writer) = stream.into_split();
        let sender = plug.sender();
        // Whichever direction ends first ends the connection: QEMU is gone.
        let ended = tokio::select! {
            ended = from_box(reader, sender) => ended,
            ended = to_box(writer, &mut plug) => ended,
        };
        if let Err(error) = ended {
            tracing::debug!(port = plug.port().0, %error, "a box left the switch");
        }
    }
}

async fn from_box(reader: OwnedReadHalf, sender: Sender) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(FRAME_LIMIT, reader);
    loop {
        let length = reader.read_u32().await? as usize;
        if length > FRAME_LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
        }
        let mut frame = vec![0; length];
        reader.read_exact(&mut frame).await?;
        sender.send(frame.into()).await;
    }
}

async fn to_box(mut writer: OwnedWriteHalf, plug: &mut Plug) -> io::Result<()> {
    let mut batch = Vec::with_capacity(FRAME_LIMIT);
    while let Some(frame) = plug.receive().await {
        append(&mut batch, &frame);
        while batch.len() < FRAME_LIMIT
            && let Some(frame) = plug.receive_now()
        {
            append(&mut batch, &frame);
        }
        writer.write_all(&batch).await?;
        batch.clear();
    }
    Ok(())
}

/// The framing of QEMU's stream netdev (net/stream.c): length, then the frame.
fn append(batch: &mut Vec<u8>, frame: &Frame) {
    batch.extend(u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes());
    batch.extend_from_slice(frame);
}
