//! Reads bytes as what a peer says: it must not panic, and what it takes must be what it would write.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../frame.rs"]
mod frame;

fuzz_target!(|input: &[u8]| {
    frame::read(input);
});
