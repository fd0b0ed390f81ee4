//! The kernel's announcements of devices (NETLINK_KOBJECT_UEVENT).

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with, sockopt};

/// Multicast group of the kernel's own messages; group 2 is udev's.
const KERNEL_GROUP: u32 = 1;
/// Bytes of the largest message (`UEVENT_BUFFER_SIZE` is 2048, and the header and path come on top).
const MESSAGE_BYTES: usize = 8192;
/// Bytes that may wait in the socket: a box with hundreds of devices announces them within milliseconds. What does not fit is lost,
/// which [`Uevents::next`] reports, and the answer is to look at all devices again.
const QUEUE_BYTES: usize = 4 << 20;

/// One announcement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Uevent {
    /// `add`, `remove`, `change`, …
    pub(crate) action: String,
    /// `block`, `net`, `pci`, …
    pub(crate) subsystem: String,
    /// What drives it, if it needs a driver.
    pub(crate) modalias: Option<String>,
}

/// What came of waiting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// An announcement.
    Event(Uevent),
    /// Some were lost.
    Lost,
    /// None came in time.
    Nothing,
}

/// A socket that hears announcements from its opening on.
#[derive(Debug)]
pub(crate) struct Uevents {
    socket: OwnedFd,
}

impl Uevents {
    /// Opens it.
    pub(crate) fn open() -> std::io::Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(netlink::KOBJECT_UEVENT))?;
        // PID 1 may exceed the limit that the plain option is bound by.
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, QUEUE_BYTES);
        bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
        Ok(Self { socket })
    }

    /// Waits for the next announcement, at most for `patience` (None: for ever).
    pub(crate) fn next(&self, patience: Option<Duration>) -> std::io::Result<Next> {
        let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok());
        if poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], timeout.as_ref())? == 0 {
            return Ok(Next::Nothing);
        }
        let mut buffer = [0; MESSAGE_BYTES];
        match recv(&self.socket, &mut buffer, RecvFlags::empty()) {
            Ok((count, _)) => Ok(Next::Event(parse(&buffer[..count]))),
            Err(rustix::io::Errno::NOBUFS) => Ok(Next::Lost),
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads a message: `add@/devices/…`, then `KEY=value`, all ended by NUL.
fn parse(message: &[u8]) -> Uevent {
    let mut event = Uevent::default();
    for field in message.split(|byte| *byte == 0).filter_map(|field| std::str::from_utf8(field).ok()) {
        match field.split_once('=') {
            Some(("ACTION", value)) => event.action = value.to_owned(),
            Some(("SUBSYSTEM", value)) => event.subsystem = value.to_owned(),
            Some(("MODALIAS", value)) => event.modalias = Some(value.to_owned()),
            _ => {}
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_read() {
        let event = parse(b"add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0SUBSYSTEM=pci\0MODALIAS=pci:v1=2\0SEQNUM=9\0");
        assert_eq!(event, Uevent { action: "add".into(), subsystem: "pci".into(), modalias: Some("pci:v1=2".into()) });
    }
}
