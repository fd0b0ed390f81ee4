//! The TCP/IP stack on a port, and the task that drives it.
//!
//! The stack sits behind a mutex that is held for one round at a time and never across an await. Connections read and write it
//! directly and register wakers with smoltcp; after each change they ring [`Shared::changed`], and the task does a round: frames in,
//! smoltcp, frames out. Between rounds it waits for a frame, a change or smoltcp's next timer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::device::Queues;
use super::dhcp;
use super::router;
use crate::switch::{Plug, Sender};

/// First port of IANA's dynamic range (RFC 6335, 6), for our end of connections.
const DYNAMIC_PORTS: u16 = 49152;

pub(crate) struct Stack {
    pub(crate) interface: Interface,
    pub(crate) sockets: SocketSet<'static>,
    pub(crate) dhcp: Option<dhcp::Service>,
    pub(crate) router: Option<router::Advertiser>,
    queues: Queues,
    /// Connections nobody holds any more, which still have to say goodbye.
    closing: Vec<SocketHandle>,
    next_port: u16,
    started: Instant,
}

pub(crate) struct Shared {
    stack: Mutex<Stack>,
    pub(crate) changed: Notify,
}

impl Shared {
    /// A poisoned lock means that a test has panicked while it held it; the others may go on.
    pub(crate) fn stack(&self) -> MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn new(mac: [u8; 6], addresses: &[IpCidr], seed: u64) -> Arc<Self> {
        let mut queues = Queues::default();
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(mac)));
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut queues, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|list| {
            for address in addresses {
                // The callers give at most as many as smoltcp's feature `iface-max-addr-count-4` holds.
                let _ = list.push(*address);
            }
        });
        Arc::new(Self {
            stack: Mutex::new(Stack {
                interface,
                sockets: SocketSet::new(Vec::new()),
                dhcp: None,
                router: None,
                queues,
                closing: Vec::new(),
                next_port: DYNAMIC_PORTS,
                started: Instant::now(),
            }),
            changed: Notify::new(),
        })
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Stack {
    /// Since the host was plugged in.
    pub(crate) fn now(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    /// A local port that is not in use by the connections of the last moments.
    pub(crate) fn dynamic_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(DYNAMIC_PORTS);
        port
    }

    /// Ends a connection in order; it is removed when the other side has agreed or has been silent too long.
    pub(crate) fn close(&mut self, handle: SocketHandle) {
        self.sockets.get_mut::<tcp::Socket<'_>>(handle).close();
        self.closing.push(handle);
    }

    /// One round. Returns when the next one is due by the clock.
    fn round(&mut self) -> Option<Instant> {
        let elapsed = self.started.elapsed();
        let now = smoltcp::time::Instant::from_micros(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX));
        let Self { interface, sockets, dhcp, router, queues, .. } = self;
        let mac = mac_of(interface);
        if let Some(service) = dhcp {
            let outgoing = &mut queues.outgoing;
            // The stack must not see them: it would say that the port is closed.
            queues.incoming.retain(|frame| {
                outgoing.extend(service.handle(elapsed, mac, frame));
                !dhcp::is_for_server(frame)
            });
        }
        if let Some(advertiser) = router {
            queues.outgoing.extend(queues.incoming.iter().filter_map(|frame| advertiser.handle(mac, frame)));
            queues.outgoing.extend(advertiser.due(elapsed, mac));
        }
        interface.poll(now, queues, sockets);
        self.closing.retain(|handle| {
            let ended = sockets.get::<tcp::Socket<'_>>(*handle).state() == tcp::State::Closed;
            if ended {
                sockets.remove(*handle);
            }
            !ended
        });
        let sockets_due = interface.poll_delay(now, sockets).map(std::time::Duration::from);
        let router_due = router.as_ref().map(|advertiser| advertiser.deadline().saturating_sub(elapsed));
        let wait = [sockets_due, router_due].into_iter().flatten().min();
        wait.map(|wait| self.started + elapsed + wait)
    }
}

fn mac_of(interface: &Interface) -> [u8; 6] {
    match interface.hardware_addr() {
        HardwareAddress::Ethernet(EthernetAddress(mac)) => mac,
    }
}

/// Drives the stack until the switch is gone.
pub(crate) async fn drive(shared: Arc<Shared>, mut plug: Plug) {
    let sender: Sender = plug.sender();
    loop {
        let (frames, due) = {
            let mut stack = shared.stack();
            while let Some(frame) = plug.receive_now() {
                stack.queues.incoming.push_back(frame);
            }
            let due = stack.round();
            (std::mem::take(&mut stack.queues.outgoing), due)
        };
        let idle = frames.is_empty();
        for frame in frames {
            sender.send(frame).await;
        }
        if !idle {
            // smoltcp may have stopped at the end of a round's frames: look again before waiting.
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            frame = plug.receive() => match frame {
                Some(frame) => shared.stack().queues.incoming.push_back(frame),
                None => return,
            },
            () = shared.changed.notified() => {}
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
    }
}
