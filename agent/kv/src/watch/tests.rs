use std::cell::Cell;

use super::*;
use crate::{
    event::WatchEvent,
    request::{Command, CompactionRequest, PutRequest},
};

/// A store and a hub that is told of everything.
struct Fixture {
    store: Store,
    hub: Hub,
}

impl Fixture {
    fn new(limits: HubLimits) -> Self {
        let store = Store::new();
        Self { hub: Hub::new(store.revision(), limits), store }
    }

    /// Returns the streams woken.
    fn put(&mut self, key: &'static str, value: &'static str) -> Vec<StreamId> {
        let request = PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() };
        let batch = self.store.apply(Command::Put(request)).batch.unwrap();
        self.hub.publish(&batch)
    }

    /// A stream with one watcher, whose creation was read.
    fn watch(&mut self, request: &WatchCreateRequest) -> StreamId {
        let stream = self.hub.open().unwrap();
        self.hub.create(stream, request);
        let created = self.hub.poll(stream, 1, || &self.store).responses;
        assert!(matches!(created[..], [WatchResponse::Created { .. }, ..]), "{created:?}");
        stream
    }

    fn poll(&mut self, stream: StreamId, budget_bytes: usize) -> Polled {
        self.hub.poll(stream, budget_bytes, || &self.store)
    }

    /// The revisions of the events that a stream has to send, and whether there are more.
    fn read(&mut self, stream: StreamId, budget_bytes: usize) -> (Vec<i64>, bool) {
        let polled = self.poll(stream, budget_bytes);
        let revisions = |response: &WatchResponse| match response {
            WatchResponse::Events { events, .. } => events.iter().map(|event| event.batch.revision).collect(),
            _ => Vec::new(),
        };
        (polled.responses.iter().flat_map(revisions).collect(), polled.more)
    }
}

fn prefix(key: &'static str) -> WatchCreateRequest {
    let KeyRange::Range { start, end } = KeyRange::prefix(key.into()) else { unreachable!() };
    WatchCreateRequest { key: start, range_end: end, prev_kv: true, ..WatchCreateRequest::default() }
}

fn progress(polled: &Polled) -> Vec<(i64, i64)> {
    let progress = |response: &WatchResponse| match *response {
        WatchResponse::Progress { watch_id, revision } => Some((watch_id, revision)),
        _ => None,
    };
    polled.responses.iter().filter_map(progress).collect()
}

#[test]
fn a_stream_is_woken_once_and_only_by_what_it_watches() {
    let mut fixture = Fixture::new(HubLimits::default());
    let pods = fixture.watch(&prefix("pods/"));
    let nodes = fixture.watch(&prefix("nodes/"));
    assert_eq!(fixture.put("pods/a", ""), [pods]);
    assert_eq!(fixture.put("pods/b", ""), [], "it was woken already");
    assert_eq!(fixture.put("nodes/a", ""), [nodes]);
    assert_eq!(fixture.read(pods, usize::MAX), (vec![2, 3], false));
    assert_eq!(fixture.put("pods/c", ""), [pods], "it waits again");
}

#[test]
fn live_events_are_told_without_a_look_at_the_store() {
    let mut fixture = Fixture::new(HubLimits::default());
    let stream = fixture.watch(&prefix("k"));
    fixture.put("k", "");
    let looked = Cell::new(false);
    let polled = fixture.hub.poll(stream, usize::MAX, || {
        looked.set(true);
        &fixture.store
    });
    assert_eq!((polled.responses.len(), looked.get()), (1, false));
}

#[test]
fn an_event_is_encoded_once_for_all_who_watch_it_alike() {
    let mut fixture = Fixture::new(HubLimits::default());
    let streams: Vec<StreamId> = (0..3).map(|_| fixture.watch(&prefix("k"))).collect();
    let plain = fixture.watch(&WatchCreateRequest { prev_kv: false, ..prefix("k") });
    fixture.put("k", "1");
    fixture.put("k", "2");
    let encoded = Cell::new(0);
    for stream in streams.into_iter().chain([plain]) {
        for response in fixture.poll(stream, usize::MAX).responses {
            let WatchResponse::Events { events, .. } = response else { panic!("{response:?}") };
            for event in &events {
                let with_prev_kv = event.with_prev_kv;
                let bytes = event.encoded(|event| {
                    encoded.set(encoded.get() + 1);
                    Bytes::from(format!("{}, {with_prev_kv}", event.kv.mod_revision))
                });
                assert_eq!(bytes, &format!("{}, {with_prev_kv}", event.batch.revision));
            }
        }
    }
    assert_eq!(encoded.get(), 4, "two events, each with and without what was before");
}

#[test]
fn a_client_that_does_not_read_holds_nobody_up_and_loses_nothing() {
    let limits = HubLimits { stream_bytes: 500, recent_bytes: 2000, ..HubLimits::default() };
    let mut fixture = Fixture::new(limits);
    let slow = fixture.watch(&prefix("k"));
    let quick = fixture.watch(&prefix("k"));
    for revision in 2..200 {
        fixture.put("k", "a value");
        assert_eq!(fixture.read(quick, usize::MAX), (vec![revision], false));
        let place = fixture.hub.place(slow).unwrap();
        assert!(fixture.hub.streams[place].queued_bytes() <= limits.stream_bytes);
        assert!(fixture.hub.recent_bytes <= limits.recent_bytes);
    }
    assert_eq!(fixture.hub.lagging_watchers(), 1);
    let mut read = Vec::new();
    loop {
        let (revisions, more) = fixture.read(slow, 300);
        assert!(revisions.len() < 10, "no more than the budget");
        read.extend(revisions);
        if !more {
            break;
        }
    }
    assert_eq!(read, (2..200).collect::<Vec<_>>());
    assert_eq!(fixture.hub.lagging_watchers(), 0);
    assert_eq!(fixture.put("k", "").len(), 2, "it is woken again like everybody");
}

#[test]
fn a_queue_holds_as_much_as_it_may() {
    let event = {
        let mut fixture = Fixture::new(HubLimits::default());
        fixture.put("k", "v");
        fixture.store.batch(2).unwrap().events[0].size(true)
    };
    let mut fixture = Fixture::new(HubLimits { stream_bytes: 2 * event, ..HubLimits::default() });
    // Without previous values, all events are alike.
    fixture.watch(&WatchCreateRequest { prev_kv: false, ..prefix("k") });
    fixture.put("k", "v");
    fixture.put("k", "v");
    assert_eq!(fixture.hub.lagging_watchers(), 0);
    fixture.put("k", "v");
    assert_eq!(fixture.hub.lagging_watchers(), 1);
}

#[test]
fn a_client_that_does_not_read_for_too_long_is_told_so() {
    let mut fixture = Fixture::new(HubLimits { stream_bytes: 500, ..HubLimits::default() });
    let slow = fixture.watch(&prefix("k"));
    (0..100).for_each(|_| drop(fixture.put("k", "a value")));
    fixture.store.apply(Command::Compact(CompactionRequest { revision: 50 }));
    assert_eq!(fixture.poll(slow, usize::MAX).responses, [WatchResponse::Compacted { watch_id: 0, compact_revision: 50 }]);
    assert_eq!(fixture.hub.watchers(), 0);
}

#[test]
fn who_watches_from_the_compaction_on_is_not_told_what_was_before() {
    // From history, and from the recent batches.
    for recent_bytes in [0, usize::MAX] {
        let mut fixture = Fixture::new(HubLimits { recent_bytes, ..HubLimits::default() });
        (2..=4).for_each(|_| drop(fixture.put("k", "")));
        fixture.store.apply(Command::Compact(CompactionRequest { revision: 3 }));
        let stream = fixture.hub.open().unwrap();
        fixture.hub.create(stream, &WatchCreateRequest { start_revision: 3, prev_kv: true, ..prefix("k") });
        let [_, WatchResponse::Events { events, .. }] = &fixture.poll(stream, usize::MAX).responses[..] else { panic!("two events") };
        let told: Vec<_> = events.iter().map(|event| (event.batch.revision, event.prev_kv().map(|kv| kv.mod_revision))).collect();
        assert_eq!(told, [(3, None), (4, Some(3))]);
    }
}

#[test]
fn progress_waits_for_every_event_of_every_watcher() {
    let mut fixture = Fixture::new(HubLimits { scan_revisions: 2, ..HubLimits::default() });
    (0..5).for_each(|_| drop(fixture.put("k", "")));
    let stream = fixture.watch(&prefix("other"));
    fixture.hub.create(stream, &WatchCreateRequest { start_revision: 2, ..prefix("k") });
    fixture.hub.request_progress(stream);
    fixture.hub.request_progress(stream);
    let mut read = Vec::new();
    loop {
        let polled = fixture.poll(stream, usize::MAX);
        for response in &polled.responses {
            if let WatchResponse::Events { events, .. } = response {
                read.extend(events.iter().map(|event| event.batch.revision));
            }
        }
        if !polled.more {
            assert_eq!(progress(&polled), [(-1, 6)], "one answer for both requests, with etcd's id for all watchers");
            break;
        }
        assert_eq!(progress(&polled), []);
    }
    assert_eq!(read, [2, 3, 4, 5, 6]);
}

#[test]
fn there_is_no_progress_before_a_start_in_the_future_and_none_without_watchers() {
    let mut fixture = Fixture::new(HubLimits::default());
    let stream = fixture.watch(&WatchCreateRequest { start_revision: 3, progress_notify: true, ..prefix("k") });
    let told = |fixture: &mut Fixture| {
        fixture.hub.request_progress(stream);
        fixture.hub.notify_progress(stream);
        let polled = fixture.poll(stream, usize::MAX);
        (progress(&polled), polled.responses.len())
    };
    fixture.put("k", "");
    assert_eq!(told(&mut fixture), (vec![], 0), "nothing of revision 2");
    fixture.put("other", "");
    assert_eq!(told(&mut fixture), (vec![(0, 3), (NO_WATCH_ID, 3)], 2));
    fixture.hub.cancel(stream, 0);
    assert_eq!(told(&mut fixture).0, []);
}

#[test]
fn only_quiet_watchers_are_notified_of_progress() {
    let mut fixture = Fixture::new(HubLimits::default());
    let stream = fixture.watch(&WatchCreateRequest { progress_notify: true, ..prefix("k") });
    fixture.hub.create(stream, &prefix("k"));
    fixture.poll(stream, usize::MAX);
    fixture.put("k", "");
    fixture.poll(stream, usize::MAX);
    assert!(!fixture.hub.notify_progress(stream), "it has heard something in this interval");
    for _ in 0..2 {
        assert!(fixture.hub.notify_progress(stream));
        assert_eq!(progress(&fixture.poll(stream, usize::MAX)), [(0, 2)]);
    }
}

#[test]
fn those_who_lag_are_not_left_behind_by_a_queue_that_never_empties() {
    let mut fixture = Fixture::new(HubLimits::default());
    (0..20).for_each(|_| drop(fixture.put("old", "")));
    let stream = fixture.watch(&prefix("new"));
    fixture.hub.create(stream, &WatchCreateRequest { start_revision: 2, ..prefix("old") });
    fixture.poll(stream, 1);
    let budget = 200;
    for _ in 0..40 {
        (0..5).for_each(|_| drop(fixture.put("new", "a value that is not very short")));
        fixture.poll(stream, budget);
        let place = fixture.hub.place(stream).unwrap();
        assert!(!fixture.hub.streams[place].is_synced(), "the queue is never empty");
    }
    assert_eq!(fixture.hub.lagging_watchers(), 0);
}

#[test]
fn a_large_revision_is_cut_only_for_those_who_can_take_it() {
    let mut fixture = Fixture::new(HubLimits { fragment_bytes: 1000, ..HubLimits::default() });
    let whole = fixture.watch(&prefix("k"));
    let pieces = fixture.watch(&WatchCreateRequest { fragment: true, ..prefix("k") });
    let op = |number: usize| {
        let key = Bytes::from(format!("k{number}"));
        crate::request::RequestOp::Put(PutRequest { key, value: Bytes::from(vec![0; 400]), ..PutRequest::default() })
    };
    let request = crate::request::TxnRequest { success: (0..5).map(op).collect(), ..Default::default() };
    let batch = fixture.store.apply(Command::Txn(request)).batch.unwrap();
    fixture.hub.publish(&batch);
    let shape = |polled: Polled| -> Vec<(usize, bool)> {
        let shape = |response: &WatchResponse| match response {
            WatchResponse::Events { events, fragment, .. } => (events.len(), *fragment),
            other => panic!("{other:?}"),
        };
        polled.responses.iter().map(shape).collect()
    };
    assert_eq!(shape(fixture.poll(whole, 1)), [(5, false)], "more than the budget, but one revision");
    assert_eq!(shape(fixture.poll(pieces, 1)), [(2, true), (2, true), (1, false)]);
}

#[test]
fn a_new_store_is_read_on_from_where_everybody_was() {
    let mut fixture = Fixture::new(HubLimits::default());
    let told = fixture.watch(&prefix("k"));
    let behind = fixture.watch(&prefix("k"));
    fixture.put("k", "");
    assert_eq!(fixture.read(told, usize::MAX).0, [2]);
    // A snapshot from the leader: nobody has published these.
    for _ in 0..3 {
        fixture.store.apply(Command::Put(PutRequest { key: "k".into(), ..PutRequest::default() }));
    }
    assert_eq!(fixture.hub.reset(fixture.store.revision()), [told], "the other one was woken before");
    assert_eq!(fixture.read(told, usize::MAX), (vec![3, 4, 5], false));
    assert_eq!(fixture.read(behind, usize::MAX), (vec![2, 3, 4, 5], false));
    assert_eq!(fixture.put("k", "").len(), 2);
}

#[test]
fn a_client_that_asks_but_does_not_read_is_congested() {
    let mut fixture = Fixture::new(HubLimits { stream_controls: 3, ..HubLimits::default() });
    let stream = fixture.hub.open().unwrap();
    for asked in 0..3 {
        assert!(!fixture.hub.is_congested(stream), "{asked}");
        fixture.hub.create(stream, &prefix("k"));
    }
    assert!(fixture.hub.is_congested(stream));
    fixture.poll(stream, 1);
    assert!(!fixture.hub.is_congested(stream));
}

#[test]
fn a_closed_stream_leaves_nothing_behind() {
    let mut fixture = Fixture::new(HubLimits { streams: 1, ..HubLimits::default() });
    fixture.put("k", "");
    let stream = fixture.watch(&prefix("k"));
    fixture.hub.create(stream, &WatchCreateRequest { start_revision: 2, ..prefix("k") });
    fixture.put("k", "");
    assert_eq!(fixture.hub.open(), None);
    fixture.hub.close(stream);
    assert_eq!((fixture.hub.streams(), fixture.hub.watchers(), fixture.hub.lagging_watchers()), (0, 0, 0));
    let next = fixture.hub.open().unwrap();
    assert_eq!(fixture.put("k", ""), []);
    fixture.hub.create(stream, &prefix("k"));
    assert_eq!(fixture.poll(stream, usize::MAX), Polled::default(), "its name means nobody, although its place is taken again");
    assert_eq!(fixture.poll(next, usize::MAX), Polled::default());
}

#[test]
#[should_panic(expected = "every revision is published, in order")]
fn a_revision_that_was_left_out_is_a_bug() {
    let mut fixture = Fixture::new(HubLimits::default());
    fixture.hub.publish(&Arc::new(RevisionBatch { revision: 3, events: Vec::new() }));
}

#[test]
fn a_thousand_watchers_share_one_batch() {
    let mut fixture = Fixture::new(HubLimits::default());
    let streams: Vec<StreamId> = (0..1000).map(|_| fixture.watch(&prefix("k"))).collect();
    assert_eq!((fixture.hub.streams(), fixture.hub.watchers()), (1000, 1000));
    assert_eq!(fixture.put("k", "").len(), 1000);
    let polled = fixture.poll(streams[0], usize::MAX);
    let [WatchResponse::Events { events, .. }] = &polled.responses[..] else { panic!("{polled:?}") };
    let [WatchEvent { batch, .. }] = &events[..] else { panic!("{events:?}") };
    // One for each who waits, one for the recent ones, one here.
    assert_eq!(Arc::strong_count(batch), 999 + 1 + 1);
}
