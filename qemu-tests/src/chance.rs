//! Numbers from a seed: the same on every machine, so that a moment that broke something can be tried again.

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). Not for secrets.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// A sequence of its own for each seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `2^bits`, whose *order of magnitude* is uniform: small ones are as likely as large ones. `bits` is at most 63.
    pub fn magnitude(&mut self, bits: u32) -> u64 {
        let below = 1_u64 << (self.next() % u64::from(bits + 1));
        self.next() % below
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_published_sequence() {
        let mut chance = Chance::new(1_234_567);
        assert_eq!([chance.next(), chance.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn magnitudes_are_spread_and_bounded() {
        let mut chance = Chance::new(1);
        let numbers: Vec<u64> = (0..1000).map(|_| chance.magnitude(10)).collect();
        assert!(numbers.iter().all(|number| *number < 1024));
        assert!(numbers.iter().filter(|number| **number < 8).count() > 200);
        assert!(numbers.iter().filter(|number| **number >= 128).count() > 120);
    }
}
