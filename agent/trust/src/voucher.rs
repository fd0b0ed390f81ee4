//! How somebody with the fleet file, who has never seen a cluster, knows that its authority is one of the fleet: a MAC over the authority's certificate
//! that only who has the join secret can compute.
//!
//! It is `HMAC-SHA256(K_voucher, "shoal api voucher v1" ‖ certificate)`, over the certificate in DER, and public: servers show it to everybody. Who has the
//! join secret, which is on every stick, can vouch for an authority of his own (`docs/security.md`).

use hmac::Mac;

use crate::schedule::FleetKeys;

/// Bytes of a voucher.
pub const VOUCHER_BYTES: usize = 32;

/// The fleet's voucher for an authority with this certificate, in DER.
#[must_use]
pub fn voucher(keys: &FleetKeys, certificate: &[u8]) -> [u8; VOUCHER_BYTES] {
    keys.voucher().chain_update(certificate).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fleet::{FleetId, Generation},
        secret::JoinSecret,
    };

    #[test]
    fn a_voucher_is_for_one_authority_of_one_fleet() {
        let keys = |secret| FleetKeys::derive(FleetId([1; 16]), Generation::FIRST, &JoinSecret::from_random([secret; 32]).unwrap());
        let first = voucher(&keys(1), b"certificate");
        assert_eq!(first, voucher(&keys(1), b"certificate"));
        assert_ne!(first, voucher(&keys(1), b"certificatf"));
        assert_ne!(first, voucher(&keys(2), b"certificate"));
    }
}
