//! Reads bytes as an operator's fleet file: it must not panic, and what it takes must be what it would write.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../fleet_file.rs"]
mod fleet_file;

fuzz_target!(|input: &[u8]| {
    fleet_file::read_fleet_file(input);
});
