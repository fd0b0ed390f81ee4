//! smoltcp's view of a port of the switch: frames that came in, frames that are to go out.

use std::collections::VecDeque;

use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::switch::Frame;

/// Ethernet's header and 1500 bytes of payload.
const FRAME_BYTES: usize = 1514;

/// Frames that one round may produce before they are carried to the switch; smoltcp goes on in the next round.
const ROUND_FRAMES: usize = 256;

/// Two queues with a round between them.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    pub(crate) incoming: VecDeque<Frame>,
    pub(crate) outgoing: Vec<Frame>,
}

impl Device for Queues {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming, Outgoing<'_>)> {
        let frame = self.incoming.pop_front()?;
        Some((Incoming(frame), Outgoing(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        (self.outgoing.len() < ROUND_FRAMES).then_some(Outgoing(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_BYTES;
        capabilities.checksum = ChecksumCapabilities::default();
        capabilities
    }
}

pub(crate) struct Incoming(Frame);

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

pub(crate) struct Outgoing<'a>(&'a mut Vec<Frame>);

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = vec![0; length];
        let filled = fill(&mut frame);
        self.0.push(frame.into());
        filled
    }
}
