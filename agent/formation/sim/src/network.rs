//! One segment: who reaches whom, how long it takes, what gets lost.

use crate::raft::Time;

/// The most boxes in one simulation: a word of bits.
pub const BOXES: usize = 64;

/// A retransmission, the first; each further one takes twice as long, as TCP's do.
const RETRANSMIT: Time = 200_000;

/// A connection whose packets were lost so often in a row is gone.
const RETRANSMISSIONS: u32 = 6;

/// The segment.
#[derive(Debug)]
pub struct Network {
    /// By sender, a bit for each receiver that is cut off from it.
    cut: [u64; BOXES],
    /// By sender, a bit for each receiver that does not get its multicasts.
    deaf: [u64; BOXES],
    /// Of packets, in thousandths.
    pub loss: u32,
    /// Of multicasts, in thousandths. Wi-Fi loses many of them.
    pub multicast_loss: u32,
    /// The shortest time to the other side.
    pub latency: Time,
    /// More than that, up to so much.
    pub jitter: Time,
    /// When anything changed last.
    pub changed: Time,
}

impl Default for Network {
    fn default() -> Self {
        Self { cut: [0; BOXES], deaf: [0; BOXES], loss: 0, multicast_loss: 0, latency: 300, jitter: 3000, changed: 0 }
    }
}

impl Network {
    /// Cuts or mends one direction.
    pub fn set_cut(&mut self, now: Time, from: usize, to: usize, cut: bool) {
        self.changed = now;
        if cut {
            self.cut[from] |= 1 << to;
        } else {
            self.cut[from] &= !(1 << to);
        }
    }

    /// Lets multicasts of one not reach another.
    pub fn set_deaf(&mut self, now: Time, from: usize, to: usize, deaf: bool) {
        self.changed = now;
        if deaf {
            self.deaf[from] |= 1 << to;
        } else {
            self.deaf[from] &= !(1 << to);
        }
    }

    /// Mends everything.
    pub fn heal(&mut self, now: Time) {
        *self = Self { latency: self.latency, jitter: self.jitter, changed: now, ..Self::default() };
    }

    /// Whether packets get through in one direction.
    #[must_use]
    pub const fn passes(&self, from: usize, to: usize) -> bool {
        self.cut[from] & (1 << to) == 0
    }

    /// Whether multicasts get through in one direction, this time.
    pub fn multicasts(&self, from: usize, to: usize, random: &mut fastrand::Rng) -> bool {
        self.passes(from, to) && self.deaf[from] & (1 << to) == 0 && (self.multicast_loss == 0 || random.u32(..1000) >= self.multicast_loss)
    }

    /// Whether all multicasts get through.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.loss == 0 && self.multicast_loss == 0 && self.deaf.iter().all(|deaf| *deaf == 0)
    }

    /// Whether everything gets through everywhere.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_clean() && self.cut.iter().all(|cut| *cut == 0)
    }

    /// How long a message takes; none if its connection breaks. Messages may overtake each other, as those of two connections do.
    pub fn delay(&self, random: &mut fastrand::Rng) -> Option<Time> {
        let mut delay = self.latency + random.u64(0..=self.jitter);
        if self.loss > 0 {
            let mut lost = 0;
            while random.u32(..1000) < self.loss {
                delay += RETRANSMIT << lost;
                lost += 1;
                if lost > RETRANSMISSIONS {
                    return None;
                }
            }
        }
        Some(delay)
    }
}
