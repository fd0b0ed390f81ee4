//! A short run of the fuzz target, see [`shoal_fuzz_short`].

use std::path::Path;

use shoal_fuzz_short::{Rng, mutate, mutations};

use super::{seeds, take_in};

/// Mutations: some seconds' worth.
const MUTATIONS: usize = 50_000;

#[test]
fn what_peers_say_is_understood_or_refused_whatever_it_is() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/peer_decoder");
    let inputs = shoal_fuzz_short::seeds(&corpus, seeds());
    for (input, (name, _)) in inputs.iter().zip(seeds()) {
        assert!(take_in(input), "the seed {name} is a message");
    }
    let (mut rng, mutations) = (Rng::with_seed(1), mutations(MUTATIONS));
    let understood = (0..mutations).filter(|_| take_in(&mutate(&inputs, &mut rng))).count();
    assert!(understood > 0 && understood < mutations, "mutations neither all pass nor all fail: {understood}");
}
