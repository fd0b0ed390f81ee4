//! Sends bytes as requests to all services: each is answered, without a panic, and with no more memory than the input accounts for.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../request_decoder.rs"]
mod request_decoder;

fuzz_target!(|input: &[u8]| {
    request_decoder::send(input);
});
