//! What the tests of the log share: a naive log, random histories, and a run of them on the simulated disk.

// Every test binary uses a part of it.
#![allow(dead_code, reason = "shared by several test binaries")]
#![allow(unreachable_pub, reason = "a module of each test binary")]

pub mod gate;
pub mod history;
pub mod model;
