//! Reads bytes as a beacon: it must not panic, and what it takes must be what it would write.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../beacon.rs"]
mod beacon;

fuzz_target!(|input: &[u8]| {
    beacon::read_beacon(input);
});
