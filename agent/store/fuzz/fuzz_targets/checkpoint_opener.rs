//! Opens a checkpoint that was changed in some places: what is read is what was written, or the damage is reported. Run it with
//! `-detect_leaks=0`: a damaged database is not closed, on purpose.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checkpoint_opener.rs"]
mod checkpoint_opener;

fuzz_target!(|input: &[u8]| {
    checkpoint_opener::open_changed(input);
});
