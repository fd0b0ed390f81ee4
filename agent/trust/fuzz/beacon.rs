//! What the fuzz target and the short run of the tests do with bytes: read them as a beacon that came as a datagram.

use shoal_trust::{
    beacon::{Beacon, UnverifiedBeacon},
    fleet::{FleetId, Generation},
    schedule::FleetKeys,
    secret::JoinSecret,
};

/// The fleet of the seeds.
pub(crate) fn keys() -> FleetKeys {
    FleetKeys::derive(FleetId([1; 16]), Generation::FIRST, &JoinSecret::from_random([2; 32]).expect("it is not all zeros"))
}

/// Reads `input`. Says whether it was a beacon, of whomever, and the beacon if it was one of the fleet.
pub(crate) fn read_beacon(input: &[u8]) -> (bool, Option<Beacon>) {
    let Ok(unverified) = UnverifiedBeacon::parse_datagram(input) else { return (false, None) };
    let beacon = unverified.verify(&keys()).ok();
    if let Some(beacon) = &beacon {
        let again = beacon.to_datagram(&keys()).expect("what was taken can be sent");
        assert!(again == input, "a beacon has one encoding");
    }
    (true, beacon)
}
