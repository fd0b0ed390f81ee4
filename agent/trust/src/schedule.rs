//! The keys that follow from a join secret.
//!
//! `HKDF-SHA256` (RFC 5869) with the salt `"shoal fleet v1" ‖ fleet id ‖ generation` and the join secret as key material. Each key is the expansion of a
//! label of its own:
//!
//! | key | label | for |
//! |---|---|---|
//! | K_disc | `shoal discovery v1` | the MAC of beacons |
//! | K_join | `shoal join v1` | the proof at the beginning of a session |
//! | K_hint | `shoal hardware hint v1` | hints of which box a node runs on |
//! | K_voucher | `shoal voucher v1` | the MAC by which an owner's machine knows a cluster's API |
//!
//! Fleet and generation are in the salt, so that two fleets, or two generations, whose secrets were the same by mistake have nothing in common.

use core::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::ZeroizeOnDrop;

use crate::{
    fleet::{Build, FleetId, Generation},
    secret::{JoinSecret, SECRET_BYTES, Secret},
};

/// A MAC that is being computed.
pub(crate) type Authentication = Hmac<Sha256>;

/// Expands one key of a schedule.
pub(crate) fn expand<const N: usize>(schedule: &Hkdf<Sha256>, label: &[u8]) -> [u8; N] {
    let mut key = [0; N];
    schedule.expand(label, &mut key).expect("HKDF-SHA256 gives up to 8160 bytes");
    key
}

/// The keys of one generation of a fleet.
pub struct FleetKeys {
    fleet: FleetId,
    generation: Generation,
    discovery: Secret,
    join: Secret,
    hint: Secret,
    voucher: Secret,
}

impl FleetKeys {
    /// Those that follow from a join secret.
    #[must_use]
    pub fn derive(fleet: FleetId, generation: Generation, secret: &JoinSecret) -> Self {
        Self::from_material(fleet, generation, secret.0.expose())
    }

    /// Those of all unclaimed boxes with the same build. **Everybody who has the image can compute them**: they keep builds apart, and nobody out.
    #[must_use]
    pub fn unclaimed(build: &Build) -> Self {
        Self::from_material(build.unclaimed_fleet(), Generation::FIRST, &build.id)
    }

    fn from_material(fleet: FleetId, generation: Generation, material: &[u8; SECRET_BYTES]) -> Self {
        let mut salt = [0; 34];
        salt[..14].copy_from_slice(b"shoal fleet v1");
        salt[14..30].copy_from_slice(&fleet.0);
        salt[30..].copy_from_slice(&generation.get().to_be_bytes());
        let schedule = Hkdf::new(Some(&salt), material);
        let key = |label| Secret::new(expand(&schedule, label));
        let (discovery, join) = (key(b"shoal discovery v1"), key(b"shoal join v1"));
        let (hint, voucher) = (key(b"shoal hardware hint v1"), key(b"shoal voucher v1"));
        Self { fleet, generation, discovery, join, hint, voucher }
    }

    /// Whose they are.
    #[must_use]
    pub const fn fleet(&self) -> FleetId {
        self.fleet
    }

    /// Which join secret they follow from.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    pub(crate) fn beacon(&self) -> Authentication {
        authentication(&self.discovery, b"shoal beacon v1")
    }

    pub(crate) fn join(&self) -> Authentication {
        authentication(&self.join, b"shoal join proof v1")
    }

    pub(crate) fn hint(&self) -> Authentication {
        authentication(&self.hint, b"shoal hardware hint v1")
    }

    pub(crate) fn voucher(&self) -> Authentication {
        authentication(&self.voucher, b"shoal api voucher v1")
    }
}

fn authentication(key: &Secret, label: &[u8]) -> Authentication {
    let mut authentication = Authentication::new_from_slice(key.expose()).expect("HMAC takes keys of every length");
    authentication.update(label);
    authentication
}

impl ZeroizeOnDrop for FleetKeys {}

impl fmt::Debug for FleetKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FleetKeys").field("fleet", &self.fleet).field("generation", &self.generation).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn tags(keys: &FleetKeys) -> Vec<Vec<u8>> {
        [keys.beacon(), keys.join(), keys.hint(), keys.voucher()].map(|mac| mac.finalize().into_bytes().to_vec()).to_vec()
    }

    #[test]
    fn no_two_purposes_fleets_generations_or_secrets_share_a_key() {
        let secret = |byte| JoinSecret::from_random([byte; 32]).unwrap();
        let generation = |number| Generation::new(number).unwrap();
        let mut all: Vec<Vec<u8>> = [
            FleetKeys::derive(FleetId([1; 16]), generation(1), &secret(1)),
            FleetKeys::derive(FleetId([2; 16]), generation(1), &secret(1)),
            FleetKeys::derive(FleetId([1; 16]), generation(2), &secret(1)),
            FleetKeys::derive(FleetId([1; 16]), generation(1), &secret(2)),
            FleetKeys::unclaimed(&Build { id: [1; 32], time: 1 }),
            FleetKeys::unclaimed(&Build { id: [2; 32], time: 1 }),
        ]
        .iter()
        .flat_map(tags)
        .collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!((all.len(), count), (24, 24));
    }

    #[test]
    fn unclaimed_keys_follow_from_what_the_image_is_made_of() {
        let keys = |time| tags(&FleetKeys::unclaimed(&Build { id: [1; 32], time }));
        assert_eq!(keys(1), keys(2), "the time says nothing more");
    }
}
