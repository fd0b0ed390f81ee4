//! The task that owns the fabric: one event in, its deliveries out, the slow ones kept until they are due.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;
use std::io::{self, BufWriter};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::Instant;

use super::pcap::Capture;
use super::{Event, Fabric, Frame, PortId};

pub(crate) struct Carrier {
    fabric: Fabric,
    capture: Option<Capture<BufWriter<File>>>,
    started: Instant,
    started_at: Duration,
    queues: HashMap<PortId, mpsc::Sender<Frame>>,
    /// Frames on slow links: due time, then order of arrival, so that equal delays keep the order.
    held: BinaryHeap<Reverse<(Duration, u64, PortId, Frame)>>,
    arrivals: u64,
    next_port: u32,
}

impl Carrier {
    pub(crate) fn new(fabric: Fabric, capture: Capture<BufWriter<File>>) -> Self {
        Self {
            fabric,
            capture: Some(capture),
            started: Instant::now(),
            started_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            queues: HashMap::new(),
            held: BinaryHeap::new(),
            arrivals: 0,
            next_port: 1,
        }
    }

    /// Runs until nobody can send any more.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        loop {
            let due = self.held.peek().map(|Reverse((at, ..))| self.started + *at);
            if events.is_empty() {
                self.written(|capture| capture.flush());
            }
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.handle(event),
                    None => break,
                },
                () = tokio::time::sleep_until(due.unwrap_or(self.started)), if due.is_some() => {}
            }
            self.release();
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Frame { from, frame } => self.forward(from, &frame),
            Event::Attach { queue, reply } => {
                let port = PortId(self.next_port);
                self.next_port += 1;
                self.fabric.attach(port);
                self.queues.insert(port, queue);
                // A caller that gave up waiting never used the port: it stays plugged with nobody behind it until its queue
                // is found closed.
                let _ = reply.send(port);
            }
            Event::Detach(port) => self.detach(port),
            Event::Partition(sets) => self.fabric.partition(&sets),
            Event::Heal => self.fabric.heal(),
            Event::Link { from, to, link } => self.fabric.set_link(from, to, link),
            Event::EveryLink(link) => self.fabric.set_every_link(link),
            Event::Flush(reply) => {
                self.written(|capture| capture.flush());
                let _ = reply.send(());
            }
        }
    }

    fn forward(&mut self, from: PortId, frame: &Frame) {
        let now = self.started.elapsed();
        let at = self.started_at + now;
        self.written(|capture| capture.frame(at, frame));
        for delivery in self.fabric.handle(now, from, frame) {
            if delivery.at <= now {
                self.deliver(delivery.to, delivery.frame);
            } else {
                self.arrivals += 1;
                self.held.push(Reverse((delivery.at, self.arrivals, delivery.to, delivery.frame)));
            }
        }
    }

    fn release(&mut self) {
        let now = self.started.elapsed();
        while self.held.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            if let Some(Reverse((_, _, to, frame))) = self.held.pop() {
                self.deliver(to, frame);
            }
        }
    }

    fn deliver(&mut self, to: PortId, frame: Frame) {
        match self.queues.get(&to).map(|queue| queue.try_send(frame)) {
            Some(Err(TrySendError::Closed(_))) => self.detach(to),
            Some(Err(TrySendError::Full(_))) => tracing::debug!(port = to.0, "dropped a frame: the box does not take them"),
            Some(Ok(())) | None => {}
        }
    }

    fn detach(&mut self, port: PortId) {
        self.fabric.detach(port);
        self.queues.remove(&port);
    }

    /// A full disk ends the capture, not the network: the test that runs on it may still say something.
    fn written(&mut self, write: impl FnOnce(&mut Capture<BufWriter<File>>) -> io::Result<()>) {
        if let Some(Err(error)) = self.capture.as_mut().map(write) {
            tracing::warn!(%error, "the capture ends here");
            self.capture = None;
        }
    }
}
