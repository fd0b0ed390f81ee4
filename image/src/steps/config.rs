//! The configuration that every image is built with: nobody's, so that the same inputs give the same bits. Its owner's comes in with `shoal stamp`.

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};
use shoal_contract::{CONFIG_BYTES, CONFIG_PARTITION_TYPE};
use shoal_format::{gpt, sector};
use shoal_trust::config::{Config, Owner};
use shoal_trust::fleet::{self, Policy};
use zeroize::Zeroizing;

use crate::build::Build;

// Both sides of the seam mean the same partition, and the same sector.
const _: () = assert!(gpt::TYPE_CONFIG.as_u128() == CONFIG_PARTITION_TYPE.as_u128());
const _: () = assert!(sector::BYTES == CONFIG_BYTES && sector::BYTES == shoal_trust::config::CONFIG_BYTES);

/// The sector of an image that belongs to nobody. It is the same for all architectures, for boxes of one build form a cluster whatever they are.
///
/// # Errors
/// If the recipe's time is before 1970, or the lock cannot be read.
pub fn unclaimed(build: &Build<'_>) -> Result<Zeroizing<Vec<u8>>> {
    let id = Sha256::new_with_prefix(b"shoal build v1")
        .chain_update(build.recipe.to_expanded())
        .chain_update([0])
        .chain_update(build.project.lock()?.to_toml())
        .finalize()
        .into();
    let config = Config {
        build: fleet::Build { id, time: build.epoch()?.seconds() },
        policy: Policy::default(),
        seeds: Vec::new(),
        owner: Owner::Unclaimed,
    };
    config.encode().context("the recipe's `epoch` cannot be the time of an image; write a date after 1970")
}
