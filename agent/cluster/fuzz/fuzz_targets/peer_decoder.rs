//! Takes bytes for what a peer says: they are understood or refused, without a panic, and what was understood is the same when it is written and
//! read again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = shoal_cluster::fuzzing::take_in(input);
});
