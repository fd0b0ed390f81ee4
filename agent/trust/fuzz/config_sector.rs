//! What the fuzz target and the short run of the tests do with bytes: read them as the configuration of an image.
//!
//! The input is one byte (1: the checksum is put right first, so that what stands behind it is reached), and a sector; what is missing to its length are
//! zeros.

use sha2::{Digest, Sha256};
use shoal_trust::config::{CONFIG_BYTES, Config};

/// Reads `input`. Says whether it was a configuration.
pub(crate) fn read_config(input: &[u8]) -> bool {
    let Some((mode, sector)) = input.split_first() else { return false };
    let mut sector = sector.to_vec();
    if sector.len() < CONFIG_BYTES {
        sector.resize(CONFIG_BYTES, 0);
    }
    if *mode == 1 && sector.len() == CONFIG_BYTES {
        let checksum = Sha256::digest(&sector[..CONFIG_BYTES - 32]);
        sector[CONFIG_BYTES - 32..].copy_from_slice(&checksum);
    }
    let Ok(config) = Config::parse(&sector) else { return false };
    let again = config.encode().expect("what was read can be written");
    assert!(*again == sector, "a configuration has one encoding");
    true
}
