//! Opens a checkpoint that was changed in some places: what is read is what was written, or the damage is reported.
//!
//! `ASAN_OPTIONS=detect_leaks=0 cargo +nightly fuzz run -O checkpoint_opener`: a damaged database is not closed, on purpose; and without `-O` redb's
//! debug assertions walk it before anything is checked, and take as much memory as a damaged page says.
#![no_main]

use std::sync::Once;

use libfuzzer_sys::fuzz_target;

#[path = "../checkpoint_opener.rs"]
mod checkpoint_opener;

static OUR_HOOK: Once = Once::new();

fuzz_target!(|input: &[u8]| {
    // libFuzzer's hook ends the process at every panic, and redb panics at some damage, which the opener catches and tells of. What it does not
    // catch ends the process all the same.
    OUR_HOOK.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    checkpoint_opener::open_changed(input);
});
