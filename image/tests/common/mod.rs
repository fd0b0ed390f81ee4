//! What several test programs of this crate share.

#![allow(dead_code, reason = "every test program compiles it, and uses a part")]

use std::path::PathBuf;

use shoal::events::Style;
use shoal::run::{Session, open_cache};

/// A session that draws nothing, with the cache of whoever runs the tests: tools and kernels are large, and builds have fetched them already.
pub(crate) fn session() -> Session {
    let named = std::env::var_os("SHOAL_CACHE").map(PathBuf::from);
    let cache = open_cache(named.as_deref()).expect("the cache can be written");
    Session::with(cache, Style::Silent, Vec::new(), false)
}
