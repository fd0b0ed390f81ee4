//! Reads bytes as the segments of a log: it must not panic, and must not take more memory than the input accounts for.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../log_reader.rs"]
mod log_reader;

fuzz_target!(|input: &[u8]| {
    log_reader::read_log(input);
});
