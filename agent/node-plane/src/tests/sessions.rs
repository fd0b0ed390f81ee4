//! Who belongs together meets, once, and can speak.

use shoal_formation::{BootId, Message, NodeKey, Peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fleet::*;
use crate::{Event, LaneError, Limits};

#[tokio::test]
async fn two_nodes_meet_and_speak_whoever_has_connected() {
    let (mut a, mut b) = (node(1).await, node(2).await);
    a.handle.try_address(b.address);
    a.meets(b.peer).await;
    let listens = b.wait(|event| if let Event::Met { peer, address } = event { Some((*peer, *address)) } else { None }).await;
    assert_eq!(listens, (a.peer, Some(a.address)), "who was called knows where to call back");
    a.handle.send(b.peer, frame(&Message::Challenge));
    b.hears(a.peer, &Message::Challenge).await;
    b.handle.send(a.peer, frame(&Message::Present));
    a.hears(b.peer, &Message::Present).await;
    assert_eq!(a.handle.addresses()[0].addresses, [b.address]);
    assert_eq!(b.handle.addresses()[0].addresses, [a.address]);
}

/// Sends a message, and again if the session that it was sent on gave way to the other one, which happens once at most: what was on it is lost with it.
async fn arrives(from: &Node, to: &mut Node, message: &Message) {
    from.handle.send(to.peer, frame(message));
    if tokio::time::timeout(std::time::Duration::from_secs(1), to.hears(from.peer, message)).await.is_err() {
        from.handle.send(to.peer, frame(message));
        to.hears(from.peer, message).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_connect_to_each_other_at_once_have_one_session() {
    for _ in 0..20 {
        let (mut a, mut b) = (node(1).await, node(2).await);
        a.handle.try_address(b.address);
        b.handle.try_address(a.address);
        // Who was called before it could call need not call any more.
        a.meets(b.peer).await;
        b.meets(a.peer).await;
        // The session that gives way may end at one side before the other one is there.
        until("handshakes end", || a.handle.statistics().slots == 0 && b.handle.statistics().slots == 0).await;
        until("they have each other", || a.handle.peers() == [b.peer] && b.handle.peers() == [a.peer]).await;
        arrives(&a, &mut b, &Message::Challenge).await;
        arrives(&b, &mut a, &Message::Present).await;
    }
}

#[tokio::test]
async fn a_session_that_is_lost_is_opened_again() {
    let limits = Limits { backoff_min: std::time::Duration::from_millis(10), ..Limits::default() };
    let mut a = node_with(1, 1, our_keys(), limits).await;
    let mut b = node(2).await;
    a.handle.try_address(b.address);
    a.meets(b.peer).await;
    b.meets(a.peer).await;
    // A frame that is none: the session ends, and is opened again by who has opened it.
    b.handle.send(a.peer, vec![0xff]);
    a.wait(|event| (*event == Event::Closed(b.peer)).then_some(())).await;
    a.meets(b.peer).await;
}

#[tokio::test]
async fn a_node_that_starts_again_is_another_process() {
    let mut a = node(1).await;
    let b = node_with(2, 1, our_keys(), Limits::default()).await;
    a.handle.try_address(b.address);
    a.meets(b.peer).await;
    let (old, key) = (b.peer, b.peer.key);
    drop(b);
    a.wait(|event| (*event == Event::Closed(old)).then_some(())).await;
    let b = node_with(2, 2, our_keys(), Limits::default()).await;
    a.handle.try_address(b.address);
    a.meets(Peer { key, boot: BootId(2) }).await;
}

#[tokio::test]
async fn a_frame_that_is_too_long_or_none_ends_its_session_and_no_other() {
    let (mut a, mut b, mut c) = (node(1).await, node(2).await, node(3).await);
    for other in [&b, &c] {
        a.handle.try_address(other.address);
    }
    b.meets(a.peer).await;
    c.meets(a.peer).await;
    b.handle.send(a.peer, vec![0; shoal_formation_wire::FRAME_BYTES_MAX + 1]);
    a.wait(|event| (*event == Event::Closed(b.peer)).then_some(())).await;
    c.handle.send(a.peer, frame(&Message::Present));
    a.hears(c.peer, &Message::Present).await;
}

#[tokio::test]
async fn a_new_key_ends_all_sessions_and_begins_others() {
    let (a, mut b) = (node(1).await, node(2).await);
    a.handle.try_address(b.address);
    b.meets(a.peer).await;
    assert_eq!(a.handle.set_secret(&secret(9)).unwrap(), [b.peer]);
    b.wait(|event| (*event == Event::Closed(a.peer)).then_some(())).await;
    let renewed = Peer { key: NodeKey(secret(9).public().to_bytes()), ..a.peer };
    a.handle.try_address(b.address);
    b.meets(renewed).await;
}

#[tokio::test]
async fn a_copy_is_noticed_by_both_and_a_node_that_meets_itself_is_none() {
    let mut one = node_with(1, 1, our_keys(), Limits::default()).await;
    let mut two = node_with(1, 2, our_keys(), Limits::default()).await;
    one.handle.try_address(one.address);
    assert_eq!(one.dialled(one.address).await, None);
    one.has_met_nobody();
    one.handle.try_address(two.address);
    let double = |event: &Event| if let Event::Double(peer) = event { Some(*peer) } else { None };
    assert_eq!(one.wait(double).await, two.peer);
    assert_eq!(two.wait(double).await, one.peer);
    assert_eq!((one.handle.peers(), two.handle.peers()), (vec![], vec![]));
}

#[tokio::test]
async fn lanes_carry_whatever_the_ends_make_of_them() {
    let (mut a, mut b) = (node(1).await, node(2).await);
    assert!(matches!(a.handle.open_lane(b.peer.key).await, Err(LaneError::NoAddress)));
    b.handle.try_address(a.address);
    a.meets(b.peer).await;
    // The one who was called knows where the other listens.
    let mut lane = a.handle.open_lane(b.peer.key).await.unwrap();
    let mut accepted = b.lanes.recv().await.unwrap();
    assert_eq!((lane.peer, accepted.peer), (b.peer, a.peer));
    lane.stream.write_all(b"entries").await.unwrap();
    lane.stream.flush().await.unwrap();
    let mut heard = [0; 7];
    accepted.stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"entries");
    drop(lane);
    assert_eq!(accepted.stream.read(&mut heard).await.unwrap_or(0), 0, "it ends");
    b.meets(a.peer).await;
    assert_eq!(b.handle.peers(), [a.peer], "a lane is no session");
}
