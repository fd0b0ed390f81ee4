//! Frames have one encoding, a bound, and statements that nobody believes unverified.

use std::{net::SocketAddr, sync::Arc};

use proptest::prelude::*;
use shoal_formation::{BootId, ClusterId, Message, NodeId, NodeKey, Peer, Standing, disk::PAST_LIVES};
use shoal_formation_wire::{
    ADDRESSES_MAX, EXCHANGE_MAX, FRAME_BYTES_MAX, Frame, Malformed, PeerAddresses, UnverifiedMessage, VIEW_MAX, encode_message,
    introduction::Introduction, is_told,
};
use shoal_trust::fleet;

use crate::sample;

fn decoded(bytes: &[u8]) -> UnverifiedMessage {
    match Frame::decode(bytes).unwrap() {
        Frame::Message(message) => message,
        Frame::Addresses(_) => panic!("a message"),
    }
}

/// All that a node believes which knows the keys of the samples.
fn believed(message: UnverifiedMessage, signer: &sample::Node) -> Option<Message> {
    let key = signer.0.public();
    message.verify(
        |past_life| past_life.verify(key).ok(),
        |removed| removed.verify_from(fleet::ClusterId(0x1234_u128.to_be_bytes()), key, fleet::NodeId(5)).ok(),
    )
}

#[test]
fn every_message_comes_back_and_no_changed_bit_means_the_same() {
    let node = sample::node(1);
    for message in sample::messages() {
        let bytes = encode_message(&message, &node);
        assert_eq!(believed(decoded(&bytes), &node), Some(message.clone()), "it comes back");
        is_canonical(&bytes);
    }
    is_canonical(&Frame::Addresses(sample::addresses()).encode());
}

/// What is changed is refused, or is something else with one encoding of its own.
fn is_canonical(bytes: &[u8]) {
    let original = Frame::decode(bytes).unwrap();
    assert_eq!(original.encode(), bytes);
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(frame) = Frame::decode(&changed) {
            assert_eq!(frame.encode(), changed, "bit {bit}");
            assert_ne!(frame, original, "bit {bit}");
        }
    }
    for length in 0..bytes.len() {
        assert_eq!(Frame::decode(&bytes[..length]), Err(Malformed("frame")), "{length} bytes");
    }
    assert!(Frame::decode(&[bytes, &[0]].concat()).is_err(), "one more");
}

#[test]
fn the_longest_frames_fit_and_longer_lists_are_refused() {
    let node = sample::node(1);
    let hello = |view, lives| encode_message(&Message::Hello(Arc::new(sample::hello(view, lives))), &node);
    let most = hello(VIEW_MAX as u16, PAST_LIVES as u64);
    assert!(most.len() <= FRAME_BYTES_MAX && Frame::decode(&most).is_ok(), "{} bytes", most.len());
    assert!(Frame::decode(&hello(0, PAST_LIVES as u64 + 1)).is_err(), "a past life too many");
    // A writer leaves out what is over the limit; a reader takes none of it. The count of the view stands behind what has a fixed length.
    let short = hello(1, 0);
    let at = short.len() - 1 - 75 - 2;
    assert_eq!(short[at..at + 2], [0, 1], "the count of the view");
    let last = shoal_formation::message::Hello {
        view: vec![sample::sighting(VIEW_MAX as u16, Standing::Member(sample::membership()))],
        ..sample::hello(0, 0)
    };
    let last = encode_message(&Message::Hello(Arc::new(last)), &node);
    let full = hello(VIEW_MAX as u16, 0);
    let mut long = full[..at].to_vec();
    long.extend_from_slice(&(VIEW_MAX as u16 + 1).to_be_bytes());
    long.extend_from_slice(&full[at + 2..full.len() - 1]);
    long.extend_from_slice(&last[at + 2..]);
    assert!(Frame::decode(&full).is_ok() && Frame::decode(&last).is_ok() && Frame::decode(&long).is_err(), "a sighting too many");

    let address = |number: u8| SocketAddr::from(([10, 0, 0, number], 1));
    let addresses = (0..ADDRESSES_MAX as u8).map(|number| format!("[fd00::{number:x}]:1").parse().unwrap());
    let all: Vec<_> = addresses.collect();
    let of = |number: u16| PeerAddresses::new(sample::sighting(number, Standing::Virgin).peer.key, all.clone()).unwrap();
    let exchange = Frame::Addresses((0..EXCHANGE_MAX as u16).map(of).collect()).encode();
    assert!(exchange.len() <= FRAME_BYTES_MAX && Frame::decode(&exchange).is_ok(), "{} bytes", exchange.len());
    let many = PeerAddresses::new(NodeKey([1; 32]), (0..20).map(address)).unwrap();
    assert_eq!(many.addresses.len(), ADDRESSES_MAX);
}

#[test]
fn views_and_exchanges_out_of_order_are_refused() {
    let node = sample::node(1);
    let (one, two) = (sample::sighting(1, Standing::Virgin), sample::sighting(2, Standing::Joining));
    let with = |view| {
        let hello = shoal_formation::message::Hello { view, ..sample::hello(0, 0) };
        Frame::decode(&encode_message(&Message::Hello(Arc::new(hello)), &node))
    };
    assert!(with(vec![one, two]).is_ok());
    let twice = Peer { boot: BootId(8), ..one.peer };
    let twice = shoal_formation::message::Sighting { peer: twice, ..one };
    assert!(with(vec![two, one]).is_err() && with(vec![one, one]).is_err() && with(vec![one, twice]).is_err());

    let [first, second]: [_; 2] = sample::addresses().try_into().unwrap();
    assert!(Frame::decode(&Frame::Addresses(vec![second.clone(), first.clone()]).encode()).is_err());
    let backwards = PeerAddresses { addresses: first.addresses.iter().rev().copied().collect(), ..first };
    assert!(Frame::decode(&Frame::Addresses(vec![backwards]).encode()).is_err());
    let none = PeerAddresses { addresses: Vec::new(), ..second };
    assert!(Frame::decode(&Frame::Addresses(vec![none]).encode()).is_err());
}

#[test]
fn only_addresses_that_mean_the_same_everywhere_are_told() {
    let table = [
        ("10.0.0.1:1", true),
        ("[fd00::1]:1", true),
        ("10.0.0.1:0", false),
        ("[::ffff:10.0.0.1]:1", false),
        ("[fe80::1]:1", false),
        ("[fe80::1%3]:1", false),
        ("0.0.0.0:1", false),
    ];
    for (address, expected) in table {
        let address: SocketAddr = address.parse().unwrap();
        assert_eq!(is_told(&address), expected, "{address}");
        let node = PeerAddresses { node: NodeKey([1; 32]), addresses: vec![address] };
        assert_eq!(Frame::decode(&Frame::Addresses(vec![node]).encode()).is_ok(), expected, "{address}");
    }
}

#[test]
fn what_is_not_signed_by_whom_it_should_be_is_not_believed() {
    let (signer, other) = (sample::node(1), sample::node(2));
    let hello = Message::Hello(Arc::new(sample::hello(1, 2)));
    let Some(Message::Hello(heard)) = believed(decoded(&encode_message(&hello, &other)), &signer) else { panic!("a hello") };
    assert!(heard.past_lives.is_empty() && heard.view.len() == 1, "the hello stays, its past lives go");
    let removed = Message::Removed(shoal_formation::statement::Verified::by_signature(sample::removed()));
    assert_eq!(believed(decoded(&encode_message(&removed, &other)), &signer), None);
    assert_eq!(believed(decoded(&encode_message(&removed, &signer)), &signer), Some(removed));
}

proptest! {
    #[test]
    fn whatever_is_read_is_what_would_be_written(kind in 0..20_u8, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let bytes = [&[kind][..], &bytes].concat();
        if let Ok(frame) = Frame::decode(&bytes) {
            prop_assert_eq!(frame.encode(), bytes);
        }
    }

    #[test]
    fn numbers_of_any_size_come_back(id: u128, node: u64, boot: u64, port: u16) {
        let message = Message::Admitted(ClusterId(id), NodeId(node));
        let signer = sample::node(1);
        prop_assert_eq!(believed(decoded(&encode_message(&message, &signer)), &signer), Some(message));
        let introduction = Introduction { boot: BootId(boot), port };
        prop_assert_eq!(Introduction::decode(&introduction.encode()), introduction);
    }
}
