//! Whom this node hears, and which of two sessions with one key is the right one.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};

use crate::{
    ids::{BootId, NodeKey, Peer},
    message::Hello,
    now::Now,
    timers,
};

/// Peers that are kept at most: more boxes than one segment carries. Further ones are not heard until others are gone.
pub(crate) const PEERS: usize = 256;

/// A peer that is heard.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) boot: BootId,
    /// When anything was heard last.
    pub(crate) heard: Now,
    /// The newest.
    pub(crate) hello: Arc<Hello>,
    /// A second session with the same key, while the first is asked whether it still lives.
    rival: Option<Rival>,
    /// A second session that came to nothing, because the first lives.
    refused: Option<BootId>,
    /// It has forgotten what it said.
    pub(crate) forgetful: bool,
}

#[derive(Debug)]
struct Rival {
    boot: BootId,
    hello: Arc<Hello>,
    until: Now,
}

/// What a hello came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Known, and maybe with news.
    Known,
    /// Not heard before, or not for too long, or restarted.
    New,
    /// The first session with this key is to be challenged.
    Challenge(Peer),
    /// The first session with this key lives: this one is refused.
    Refused,
    /// Nothing is known yet.
    Pending,
    /// There is no room.
    Full,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    table: BTreeMap<NodeKey, Known>,
}

impl Peers {
    pub(crate) fn get(&self, key: NodeKey) -> Option<&Known> {
        self.table.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: NodeKey) -> Option<&mut Known> {
        self.table.get_mut(&key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Peer, &Known)> {
        self.table.iter().map(|(key, known)| (Peer { key: *key, boot: known.boot }, known))
    }

    /// Whether this session is the one that counts for its key.
    pub(crate) fn accepts(&self, peer: Peer) -> bool {
        self.table.get(&peer.key).is_some_and(|known| known.boot == peer.boot)
    }

    /// Takes a hello.
    pub(crate) fn hello(&mut self, now: Now, from: Peer, hello: Arc<Hello>, newest_wins: bool) -> Heard {
        let full = self.table.len() >= PEERS;
        let fresh = |hello| Known { boot: from.boot, heard: now, hello, rival: None, refused: None, forgetful: false };
        let Some(known) = self.table.get_mut(&from.key) else {
            if full {
                return Heard::Full;
            }
            self.table.insert(from.key, fresh(hello));
            return Heard::New;
        };
        if known.boot == from.boot {
            known.heard = now;
            if hello.sequence > known.hello.sequence {
                known.hello = hello;
            }
            return Heard::Known;
        }
        if newest_wins {
            *known = fresh(hello);
            return Heard::New;
        }
        if known.refused == Some(from.boot) {
            return Heard::Refused;
        }
        match &mut known.rival {
            None => {
                known.rival = Some(Rival { boot: from.boot, hello, until: now.plus(timers::CHALLENGE) });
                Heard::Challenge(Peer { key: from.key, boot: known.boot })
            }
            Some(rival) => {
                if rival.boot == from.boot {
                    rival.hello = hello;
                }
                Heard::Pending
            }
        }
    }

    /// Anything was heard. Returns the rival that has lost by this.
    pub(crate) fn touch(&mut self, now: Now, from: Peer) -> Option<Peer> {
        let known = self.table.get_mut(&from.key).filter(|known| known.boot == from.boot)?;
        known.heard = now;
        let rival = known.rival.take()?;
        known.refused = Some(rival.boot);
        Some(Peer { key: from.key, boot: rival.boot })
    }

    /// Forgets who is silent. Returns the sessions that take the place of an older one with the same key.
    pub(crate) fn expire(&mut self, now: Now) -> Vec<Peer> {
        let mut replaced = Vec::new();
        self.table.retain(|key, known| {
            let silent = now.since(known.heard) >= timers::PEER_SILENT;
            if known.rival.as_ref().is_some_and(|rival| silent || rival.until <= now)
                && let Some(rival) = known.rival.take()
            {
                *known = Known { boot: rival.boot, heard: now, hello: rival.hello, rival: None, refused: None, forgetful: false };
                replaced.push(Peer { key: *key, boot: rival.boot });
                return true;
            }
            !silent
        });
        replaced
    }

    /// When [`Self::expire`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Now> {
        self.table
            .values()
            .map(|known| {
                let silent = known.heard.plus(timers::PEER_SILENT);
                known.rival.as_ref().map_or(silent, |rival| rival.until.min(silent))
            })
            .min()
    }
}
