//! Watchers: one at each member hears of everything, and goes on where it was when the member comes back. What they were told is the log that
//! answers are checked against, so that it must be one log without holes, whoever is asked.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use prost::Message as _;
use shoal_etcd::wire::{
    etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse, watch_client::WatchClient, watch_request::RequestUnion},
    mvccpb::{Event as WireEvent, event::EventType},
};
use tokio_stream::StreamExt as _;
use tonic::{Status, transport::Channel};

use crate::{
    check::{Event, Log},
    clients::version,
    history::Key,
    world::World,
};

/// What to wait before a watch that has broken is opened again.
const REOPEN_PAUSE: Duration = Duration::from_millis(50);

/// Before all keys, and what follows: as the end of a range, it means that there is none.
const ALL_KEYS: &[u8] = b"\0";

/// All events of `member` from a revision on.
async fn open(channel: &Channel, start_revision: i64) -> Result<tonic::Streaming<WatchResponse>, Status> {
    let create = WatchCreateRequest {
        key: ALL_KEYS.into(),
        range_end: ALL_KEYS.into(),
        start_revision,
        prev_kv: true,
        ..WatchCreateRequest::default()
    };
    // The stream of requests stays open: etcd ends a watch with it.
    let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::once(request).chain(tokio_stream::pending());
    Ok(WatchClient::new(channel.clone()).watch(requests).await?.into_inner())
}

/// Follows a member for ever.
pub(crate) async fn follow(world: Arc<World>, member: usize) {
    let channel = world.patient_channel(member);
    loop {
        let position = &world.positions[member];
        let next = position.load(Ordering::SeqCst) + 1;
        let told = read_from(&channel, next, |revision, events| {
            world.logs[member].lock().expect("nobody panics while holding a log").insert(revision, events);
            position.store(revision, Ordering::SeqCst);
            world.history.see(revision);
            true
        });
        if let Err(wrong) = told.await {
            world.violate(format!("the watcher at n{member} from revision {next}: {wrong}"));
            return;
        }
        tokio::time::sleep(REOPEN_PAUSE).await;
    }
}

/// All that a member tells from one revision through another.
pub(crate) async fn read_between(channel: &Channel, first: i64, last: i64) -> Result<Log, String> {
    let mut log = Log::new();
    if first <= last {
        read_from(channel, first, |revision, events| {
            log.insert(revision, events);
            revision < last
        })
        .await?;
    }
    Ok(log)
}

/// Hands on what a member tells, by revision, until `take` does not want more or the watch breaks.
///
/// # Errors
/// What no watcher may be told.
async fn read_from(channel: &Channel, first: i64, mut take: impl FnMut(i64, Vec<Event>) -> bool) -> Result<(), String> {
    let Ok(mut responses) = open(channel, first).await else { return Ok(()) };
    let mut next = first;
    while let Ok(Some(response)) = responses.message().await {
        if response.canceled {
            return Err(format!("it was cancelled: {response:?}"));
        }
        let events: Vec<WireEvent> =
            response.events.into_iter().map(WireEvent::decode).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        for of_revision in events.chunk_by(|a, b| revision(a) == revision(b)) {
            let at = revision(&of_revision[0]);
            if at != next {
                return Err(format!("revision {at} came where {next} was due"));
            }
            next += 1;
            if !take(at, of_revision.iter().map(event).collect::<Result<_, _>>()?) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn revision(event: &WireEvent) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

fn event(event: &WireEvent) -> Result<Event, String> {
    let kv = event.kv.clone().unwrap_or_default();
    let before = event.prev_kv.as_ref().map(|kv| version(kv).map(|(_, version)| version)).transpose()?;
    if event.r#type == i32::from(EventType::Delete) {
        let key = Key::decode(&kv.key).ok_or_else(|| format!("a key that nobody has written: {kv:?}"))?;
        return Ok(Event { key, now: None, before });
    }
    let (key, now) = version(&kv)?;
    Ok(Event { key, now: Some(now), before })
}
