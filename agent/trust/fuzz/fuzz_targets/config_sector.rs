//! Reads bytes as the configuration of an image: it must not panic, and what it takes must be what it would write.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../config_sector.rs"]
mod config_sector;

fuzz_target!(|input: &[u8]| {
    config_sector::read_config(input);
});
