//! Clients: they read and write registers through one member for a while, and then through another.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fastrand::Rng;
use shoal_etcd::wire::{
    etcdserverpb::{
        CompactionRequest, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest,
        compare::{CompareResult, CompareTarget, TargetUnion},
        kv_client::KvClient,
        request_op::Request as Operation,
        response_op::Response as Done,
    },
    mvccpb::KeyValue,
};
use tonic::{Status, transport::Channel};

use crate::{
    history::{Asked, Key, Scope, State, Told, Value, Version, decode, encode},
    members::SIZE,
    world::World,
};

/// Registers. Few, so that clients meet.
const REGISTERS: u32 = 5;

/// What a client thinks about between two requests, in milliseconds at most: nobody is served faster than others because it is alone.
const PAUSE_MILLISECONDS: u64 = 30;

/// A client that was answered goes on with the same member, but for one time in so many.
const REQUESTS_OF_A_MEMBER: u32 = 100;

/// Milliseconds between compactions.
const COMPACTION_MILLISECONDS: std::ops::Range<u64> = 500..3000;

/// Revisions that a compaction leaves, for the end of the test to compare.
const KEPT_REVISIONS: i64 = 200;

/// Asks until the test is over.
pub(crate) async fn run(world: Arc<World>, client: usize, mut rng: Rng) {
    let channels = world.channels();
    let mut member = rng.usize(..SIZE);
    // Where each register was last changed, as far as this client knows.
    let mut known = [0; REGISTERS as usize];
    while !world.is_over() {
        tokio::time::sleep(Duration::from_millis(rng.u64(..PAUSE_MILLISECONDS))).await;
        let register = rng.u32(..REGISTERS);
        let (key, also) = (Key::Register(register), Key::Register((register + rng.u32(1..REGISTERS)) % REGISTERS));
        let asked = match rng.u32(..20) {
            0..7 => Asked::Read(Scope::Registers),
            7 => Asked::ReadSerializable(Scope::Registers),
            8..14 => Asked::Put(key, world.unique()),
            14..18 => Asked::Swap { key, expected: known[register as usize], also, value: world.unique() },
            _ => Asked::Delete(key),
        };
        match perform(&world, client, member, &channels[member], asked, 0).await {
            Some(told) => {
                learn(&mut known, asked, &told);
                if rng.u32(..REQUESTS_OF_A_MEMBER) == 0 {
                    member = rng.usize(..SIZE);
                }
            }
            None => member = (member + 1) % SIZE,
        }
    }
}

fn learn(known: &mut [i64], asked: Asked, told: &Told) {
    let mut set = |key: Key, revision: i64| {
        if let Key::Register(number) = key {
            known[number as usize] = revision;
        }
    };
    match (asked, told) {
        (Asked::Put(key, _), Told::Written { revision, .. }) => set(key, *revision),
        (Asked::Swap { key, also, .. }, Told::Swapped { revision }) => {
            set(key, *revision);
            set(also, *revision);
        }
        (Asked::Swap { key, .. }, Told::NotSwapped { found, .. }) => set(key, found.map_or(0, |found| found.modified)),
        (Asked::Delete(key), _) => set(key, 0),
        (_, Told::Read { found, .. }) => {
            (0..REGISTERS).map(Key::Register).for_each(|key| set(key, found.get(&key).map_or(0, |version| version.modified)));
        }
        _ => {}
    }
}

/// Forgets, now and then, what all watchers have heard of.
pub(crate) async fn compact(world: Arc<World>, mut rng: Rng) {
    let channels = world.channels();
    let mut last = 0;
    while !world.is_over() {
        tokio::time::sleep(Duration::from_millis(rng.u64(COMPACTION_MILLISECONDS))).await;
        let heard = world.positions.iter().map(|position| position.load(Ordering::SeqCst)).min().unwrap_or_default();
        let revision = heard - KEPT_REVISIONS;
        if revision <= last {
            continue;
        }
        let member = rng.usize(..SIZE);
        let compaction = CompactionRequest { revision, physical: rng.bool() };
        match KvClient::new(channels[member].clone()).compact(compaction).await {
            Ok(_) => last = revision,
            // One that was not answered may have been done.
            Err(status) if status.message().ends_with("required revision has been compacted") => last = revision,
            Err(status) => drop(world.is_refusal(&format!("a compaction at n{member}"), &status)),
        }
    }
}

/// One request, recorded. `None` if it was not answered. A put takes a lease, or 0.
pub(crate) async fn perform(world: &World, client: usize, member: usize, channel: &Channel, asked: Asked, lease: i64) -> Option<Told> {
    let call = world.history.call(client, member, asked);
    match ask(channel, asked, lease).await {
        Ok(Ok(told)) => {
            world.history.answer(call, told.clone());
            Some(told)
        }
        Ok(Err(wrong)) => {
            world.violate(format!("{asked:?} at n{member} was answered with {wrong}"));
            None
        }
        Err(status) => {
            if world.is_refusal(&format!("{asked:?} at n{member}"), &status) {
                world.history.refuse(call);
            }
            None
        }
    }
}

/// The inner error is an answer that makes no sense.
async fn ask(channel: &Channel, asked: Asked, lease: i64) -> Result<Result<Told, String>, Status> {
    let mut client = KvClient::new(channel.clone());
    Ok(match asked {
        Asked::Put(key, value) => {
            let response = client.put(PutRequest { lease, prev_kv: true, ..put(key, value) }).await?.into_inner();
            versions(response.prev_kv)
                .map(|before| Told::Written { revision: response.header.unwrap_or_default().revision, before: before.into_values().next() })
        }
        Asked::Delete(key) => {
            let delete = DeleteRangeRequest { key: key.encode().into(), prev_kv: true, ..DeleteRangeRequest::default() };
            let response = client.delete_range(delete).await?.into_inner();
            let revision = response.header.unwrap_or_default().revision;
            versions(response.prev_kvs).map(|before| match response.deleted {
                0 => Told::Absent { revision },
                _ => Told::Deleted { revision, before: before.into_values().next() },
            })
        }
        Asked::Read(scope) => client.range(range(scope, false)).await.map(|response| read(response.into_inner()))?,
        Asked::ReadSerializable(scope) => client.range(range(scope, true)).await.map(|response| read(response.into_inner()))?,
        Asked::Swap { key, expected, also, value } => {
            let response = client.txn(swap(key, expected, also, value)).await?.into_inner();
            let revision = response.header.unwrap_or_default().revision;
            match response.responses.into_iter().next().and_then(|response| response.response) {
                Some(Done::ResponsePut(_)) if response.succeeded => Ok(Told::Swapped { revision }),
                Some(Done::ResponseRange(range)) if !response.succeeded => {
                    versions(range.kvs).map(|found| Told::NotSwapped { revision, found: found.into_values().next() })
                }
                other => Err(format!("{other:?}")),
            }
        }
        Asked::Revoke(_) => Err("a lease is not revoked here".to_owned()),
    })
}

fn put(key: Key, value: Value) -> PutRequest {
    PutRequest { key: key.encode().into(), value: encode(value).into(), ..PutRequest::default() }
}

fn range(scope: Scope, serializable: bool) -> RangeRequest {
    let (key, range_end) = match scope {
        Scope::Registers => (Key::REGISTERS.0.to_owned(), Key::REGISTERS.1.to_owned()),
        Scope::Key(key) => (key.encode(), String::new()),
    };
    RangeRequest { key: key.into(), range_end: range_end.into(), serializable, ..RangeRequest::default() }
}

fn swap(key: Key, expected: i64, also: Key, value: Value) -> TxnRequest {
    let compare = Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Mod.into(),
        key: key.encode().into(),
        target_union: Some(TargetUnion::ModRevision(expected)),
        ..Compare::default()
    };
    let operation = |operation| RequestOp { request: Some(operation) };
    TxnRequest {
        compare: vec![compare],
        success: [key, also].map(|key| operation(Operation::RequestPut(put(key, value)))).into(),
        failure: vec![operation(Operation::RequestRange(range(Scope::Key(key), false)))],
    }
}

fn read(response: RangeResponse) -> Result<Told, String> {
    let revision = response.header.unwrap_or_default().revision;
    versions(response.kvs).map(|found| Told::Read { revision, found })
}

/// # Errors
/// What no client has written.
pub(crate) fn versions(kvs: impl IntoIterator<Item = KeyValue>) -> Result<State, String> {
    kvs.into_iter().map(|kv| version(&kv)).collect()
}

pub(crate) fn version(kv: &KeyValue) -> Result<(Key, Version), String> {
    let key = Key::decode(&kv.key).ok_or_else(|| format!("a key that nobody has written: {kv:?}"))?;
    let value = decode(&kv.value).ok_or_else(|| format!("a value that nobody has written: {kv:?}"))?;
    Ok((key, Version { value, created: kv.create_revision, modified: kv.mod_revision, version: kv.version }))
}
