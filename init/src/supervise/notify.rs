//! Readiness by sd_notify(3): one datagram socket for each service that uses it.

use std::io;
use std::path::{Path, PathBuf};

use shoal_init_core::order::ServiceId;
use tokio::net::UnixDatagram;
use tokio::sync::mpsc;

use super::Event;

/// Where the sockets lie.
pub(crate) const DIRECTORY: &str = "/run/shoal/notify";

/// The longest message read, in bytes; the rest of a longer one is lost. Only its first lines matter here.
const MESSAGE_BYTES: usize = 4096;

/// The socket of one process of one service. A new process gets a new one, so that no late word of an old process is taken for its.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Socket {
    /// Makes the socket.
    pub(crate) fn bind(directory: &Path, service: &str) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(service);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixDatagram::bind(&path)?;
        Ok(Self { path, socket })
    }

    /// Its path, for `$NOTIFY_SOCKET`.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for `READY=1` and passes it on.
    pub(crate) async fn listen(self, id: ServiceId, pid: u32, events: mpsc::Sender<Event>) {
        let mut buffer = vec![0; MESSAGE_BYTES];
        while let Ok(count) = self.socket.recv(&mut buffer).await {
            if says_ready(&buffer[..count]) && events.send(Event::Ready { id, pid }).await.is_err() {
                return;
            }
        }
    }
}

fn says_ready(message: &[u8]) -> bool {
    message.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_line_says_ready() {
        assert!(says_ready(b"STATUS=up\nREADY=1\n"));
        assert!(!says_ready(b"STATUS=READY=1"));
        assert!(!says_ready(b"READY=10"));
    }
}
