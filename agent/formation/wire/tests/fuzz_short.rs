//! Short runs of the fuzz targets, see [`shoal_fuzz_short`].

use std::path::Path;

use shoal_formation::{ClusterId, Message, NodeId, Role};
use shoal_formation_wire::{Frame, UnverifiedMessage, encode_message, record};
use shoal_fuzz_short::{Rng, limit_memory, mutate, mutations};

#[path = "../fuzz/frame.rs"]
mod frame;
#[path = "wire/sample.rs"]
mod sample;

/// Mutations: some seconds' worth.
const MUTATIONS: usize = 100_000;

#[test]
fn frames_and_records_of_any_bytes_are_read_or_refused() {
    limit_memory();
    let with = |kind: u8, bytes: Vec<u8>| [vec![kind], bytes].concat();
    let node = sample::node(1);
    let mut made: Vec<(String, Vec<u8>)> = sample::messages()
        .into_iter()
        .enumerate()
        .map(|(number, message)| (format!("message-{number}"), with(0, encode_message(&message, &node))))
        .collect();
    made.push(("addresses".into(), with(0, Frame::Addresses(sample::addresses()).encode())));
    made.push(("member".into(), with(1, record::encode_role(&Role::Member(ClusterId(7), NodeId(9)), &node))));
    made.push(("leaving".into(), with(1, record::encode_role(&sample::leaving(), &node))));
    made.push(("past-lives".into(), with(2, record::encode_past_lives(&sample::past_lives(2), &node))));
    made.push(("floors".into(), with(3, record::encode_floors(&sample::floors()))));
    let seeds = shoal_fuzz_short::seeds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/frame"), made);
    assert!(seeds.iter().all(|seed| frame::read(seed)));
    let mut rng = Rng::with_seed(1);
    let tried = mutations(MUTATIONS);
    let read = (0..tried).filter(|_| frame::read(&mutate(&seeds, &mut rng))).count();
    assert!(read > 0 && read < tried, "mutations neither all pass nor all fail: {read}");
    // A message that needs nothing verified is one without further ado.
    assert_eq!(UnverifiedMessage::of(&Message::Challenge, &node).verify(|_| None, |_| None), Some(Message::Challenge));
}
