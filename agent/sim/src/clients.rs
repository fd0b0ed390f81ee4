//! Clients: they read and write registers through whatever node they like, and record what they are told.

use std::rc::Rc;

use bytes::Bytes;
use shoal_cluster::{Node, ProposeError, Replica};
use shoal_kv::{
    Command, Compare, CompareResult, CompareTarget, DeleteRangeRequest, KeyValue, Outcome, PutRequest, RangeRequest, RequestOp, ResponseOp,
    TxnRequest,
};

use crate::{
    history::{Answer, Operation, Value},
    world::World,
};

/// Registers. Few, so that clients meet.
pub(crate) const KEYS: usize = 4;

/// Bytes added to values, so that logs fill segments and checkpoints are written.
const PADDING: usize = 200;

pub(crate) fn key(number: usize) -> Bytes {
    format!("key-{number}").into()
}

fn encode(value: Value) -> Bytes {
    format!("{value:020}{}", "x".repeat(PADDING)).into()
}

fn decode(kv: &KeyValue) -> (Value, i64) {
    let digits = kv.value.get(..20).and_then(|digits| std::str::from_utf8(digits).ok());
    (digits.and_then(|digits| digits.parse().ok()).unwrap_or(Value::MAX), kv.mod_revision)
}

/// What became of an operation.
enum Became {
    Answered(Answer),
    Never,
    Unknown,
}

/// Does operations until the simulation is over.
pub(crate) async fn run(world: Rc<World>, client: u64) {
    let mut next = client << 32;
    let mut known = [0; KEYS];
    while !world.over.get() {
        tokio::time::sleep(world.between(1, 120)).await;
        let running = world.running();
        if running.is_empty() {
            continue;
        }
        let node = running[world.below(running.len())];
        let key = world.below(KEYS);
        next += 1;
        let operation = match world.below(10) {
            0..4 => Operation::Get,
            4..7 => Operation::Put(next),
            7 => Operation::Delete,
            _ => Operation::Swap(known[key], next),
        };
        match perform(&world, node, key, operation).await {
            Some(Answer::Got(Some((_, revision))) | Answer::Written(revision) | Answer::NotSwapped(Some((_, revision)))) => {
                known[key] = revision
            }
            Some(_) => known[key] = 0,
            None => {}
        }
    }
}

/// One operation through one node, recorded.
pub(crate) async fn perform(world: &World, number: usize, key: usize, operation: Operation) -> Option<Answer> {
    let (node, life) = world.node(number)?;
    let call = world.history.call(key, number, operation, world.now());
    let became = ask(&node, key, operation).await;
    if !world.lives(number, life) {
        // Its connection broke.
        return None;
    }
    match became {
        Became::Answered(answer) => {
            world.history.answer(call, answer);
            Some(answer)
        }
        Became::Never => {
            world.history.fail(call);
            None
        }
        Became::Unknown => None,
    }
}

async fn ask(node: &Node, number: usize, operation: Operation) -> Became {
    let key = key(number);
    let range = RangeRequest { key: key.clone(), ..RangeRequest::default() };
    let command = match operation {
        Operation::Get => {
            if node.read_barrier().await.is_err() {
                return Became::Never;
            }
            let Ok(response) = node.store().range(&range) else { return Became::Never };
            return Became::Answered(Answer::Got(response.kvs.first().map(decode)));
        }
        Operation::Put(value) => Command::Put(PutRequest { key, value: encode(value), ..PutRequest::default() }),
        Operation::Delete => Command::DeleteRange(DeleteRangeRequest { key, ..DeleteRangeRequest::default() }),
        Operation::Swap(revision, value) => Command::Txn(TxnRequest {
            compare: vec![Compare {
                key: key.clone(),
                range_end: Bytes::new(),
                result: CompareResult::Equal,
                target: CompareTarget::ModRevision(revision),
            }],
            success: vec![RequestOp::Put(PutRequest { key, value: encode(value), ..PutRequest::default() })],
            failure: vec![RequestOp::Range(range)],
        }),
    };
    match node.propose(command).await {
        Ok(Outcome::Put(Ok(put))) => Became::Answered(Answer::Written(put.revision)),
        Ok(Outcome::DeleteRange(Ok(deleted))) if deleted.deleted == 0 => Became::Answered(Answer::Absent),
        Ok(Outcome::DeleteRange(Ok(deleted))) => Became::Answered(Answer::Written(deleted.revision)),
        Ok(Outcome::Txn(Ok(txn))) if txn.succeeded => Became::Answered(Answer::Written(txn.revision)),
        Ok(Outcome::Txn(Ok(txn))) => match txn.responses.first() {
            Some(ResponseOp::Range(range)) => Became::Answered(Answer::NotSwapped(range.kvs.first().map(decode))),
            _ => Became::Unknown,
        },
        // The store refused: for lack of space.
        Ok(_) => Became::Never,
        Err(ProposeError::NoLeader | ProposeError::TooManyRequests | ProposeError::Corrupt) => Became::Never,
        Err(_) => Became::Unknown,
    }
}
