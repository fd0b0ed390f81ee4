//! Reads bytes as signed statements: it must not panic, and what it takes must be what it would write.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../statement.rs"]
mod statement;

fuzz_target!(|input: &[u8]| {
    statement::read_statements(input);
});
