//! Transactions as etcd does them.

use std::collections::BTreeSet;

use bytes::Bytes;
use shoal_kv::{
    Compare, CompareResult, CompareTarget, DeleteRangeRequest, KeyValue, PutRequest, RequestOp, ResponseOp, TxnError, TxnRequest,
    TxnResponse,
};

use crate::oracle::{Oracle, in_range};

impl Oracle {
    /// A transaction is tried on a copy of the world, and looks back at the world as it was.
    pub(crate) fn txn(&mut self, request: &TxnRequest) -> Result<TxnResponse, TxnError> {
        if self.is_full() && puts_something(request) {
            return Err(TxnError::NoSpace);
        }
        self.check(request)?;
        let before = self.clone();
        let mut changed = false;
        let mut response = self.execute(&before, request, &mut changed);
        if changed {
            self.revision += 1;
        }
        response.revision = self.revision;
        Ok(response)
    }

    fn branch<'a>(&self, request: &'a TxnRequest) -> (bool, &'a [RequestOp]) {
        let succeeded = request.compare.iter().all(|compare| self.holds(compare));
        (succeeded, if succeeded { &request.success } else { &request.failure })
    }

    fn check(&self, request: &TxnRequest) -> Result<(), TxnError> {
        for op in self.branch(request).1 {
            match op {
                RequestOp::Range(range) if range.revision > self.revision => return Err(TxnError::FutureRevision),
                RequestOp::Range(range) if range.revision != 0 && range.revision < self.compacted => return Err(TxnError::Compacted),
                RequestOp::Range(_) | RequestOp::DeleteRange(_) => {}
                RequestOp::Put(put) => self.check_put(put)?,
                RequestOp::Txn(txn) => self.check(txn)?,
            }
        }
        Ok(())
    }

    fn execute(&mut self, before: &Self, request: &TxnRequest, changed: &mut bool) -> TxnResponse {
        let (succeeded, branch) = before.branch(request);
        let main = before.revision + 1;
        let mut responses = Vec::new();
        for op in branch {
            responses.push(match op {
                RequestOp::Range(range) => {
                    let newest = if *changed { main } else { before.revision };
                    let at = if range.revision <= 0 { newest } else { range.revision };
                    ResponseOp::Range(self.range_at(range, at, newest))
                }
                RequestOp::Put(put) => {
                    *changed = true;
                    ResponseOp::Put(self.put_at(put, main))
                }
                RequestOp::DeleteRange(delete) => {
                    let (mut response, deleted) = self.delete_range_at(delete, main);
                    *changed |= deleted;
                    response.revision = if *changed { main } else { before.revision };
                    ResponseOp::DeleteRange(response)
                }
                RequestOp::Txn(txn) => ResponseOp::Txn(self.execute(before, txn, changed)),
            });
        }
        TxnResponse { revision: 0, succeeded, responses }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let kvs = self.alive_in(&compare.key, &compare.range_end, self.revision);
        if kvs.is_empty() {
            !matches!(compare.target, CompareTarget::Value(_)) && holds_for(compare, &KeyValue::default())
        } else {
            kvs.iter().all(|kv| holds_for(compare, kv))
        }
    }
}

fn holds_for(compare: &Compare, kv: &KeyValue) -> bool {
    fn relate<T: PartialOrd>(result: CompareResult, a: T, b: T) -> bool {
        match result {
            CompareResult::Equal => a == b,
            CompareResult::Greater => a > b,
            CompareResult::Less => a < b,
            CompareResult::NotEqual => a != b,
            CompareResult::Unrecognized => true,
        }
    }
    let result = compare.result;
    match &compare.target {
        CompareTarget::Version(operand) => relate(result, kv.version, *operand),
        CompareTarget::CreateRevision(operand) => relate(result, kv.create_revision, *operand),
        CompareTarget::ModRevision(operand) => relate(result, kv.mod_revision, *operand),
        CompareTarget::Value(operand) => relate(result, &kv.value, operand),
        CompareTarget::Lease(operand) => relate(result, kv.lease, *operand),
        CompareTarget::Unrecognized => relate(result, 0, 0),
    }
}

fn puts_something(request: &TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).any(|op| match op {
        RequestOp::Put(_) => true,
        RequestOp::Txn(txn) => puts_something(txn),
        _ => false,
    })
}

/// What etcd's server says of a transaction before it looks at the state.
pub(crate) fn validate(request: &TxnRequest, operations: usize) -> Result<(), TxnError> {
    check_fields(request, operations as i64)?;
    for branch in [&request.success, &request.failure] {
        changes(branch)?;
        for path in paths(branch) {
            keeps_what_is_gone(&path)?;
        }
    }
    Ok(())
}

/// All ways in which nested transactions may turn out, each as the list of what is done one after the other.
fn paths(ops: &[RequestOp]) -> Vec<Vec<&RequestOp>> {
    let mut all: Vec<Vec<&RequestOp>> = vec![Vec::new()];
    for op in ops {
        let ways = match op {
            RequestOp::Txn(txn) => [paths(&txn.success), paths(&txn.failure)].concat(),
            op => vec![vec![op]],
        };
        all = all.iter().flat_map(|path| ways.iter().map(move |way| [&path[..], way].concat())).collect();
    }
    all
}

/// What etcd crashes of: the value of a key that was deleted by a deletion from a key on is to be kept.
fn keeps_what_is_gone(path: &[&RequestOp]) -> Result<(), TxnError> {
    for (index, op) in path.iter().enumerate() {
        let RequestOp::Put(put) = op else { continue };
        let gone = |op: &&RequestOp| match op {
            RequestOp::DeleteRange(delete) => delete.range_end.as_ref() == [0] && put.key >= delete.key,
            _ => false,
        };
        if (put.ignore_value || put.ignore_lease) && path[..index].iter().any(gone) {
            return Err(TxnError::DuplicateKey);
        }
    }
    Ok(())
}

pub(crate) fn check_put_fields(put: &PutRequest) -> Result<(), TxnError> {
    if put.key.is_empty() {
        Err(TxnError::EmptyKey)
    } else if put.ignore_value && !put.value.is_empty() {
        Err(TxnError::ValueProvided)
    } else if put.ignore_lease && put.lease != 0 {
        Err(TxnError::LeaseProvided)
    } else {
        Ok(())
    }
}

fn check_fields(request: &TxnRequest, operations: i64) -> Result<(), TxnError> {
    let lengths = [request.compare.len(), request.success.len(), request.failure.len()];
    let left = operations - *lengths.iter().max().unwrap() as i64;
    if left < 0 {
        return Err(TxnError::TooManyOperations);
    }
    for compare in &request.compare {
        if compare.key.is_empty() {
            return Err(TxnError::EmptyKey);
        }
    }
    for op in request.success.iter().chain(&request.failure) {
        match op {
            RequestOp::Range(range) if range.key.is_empty() => return Err(TxnError::EmptyKey),
            RequestOp::DeleteRange(delete) if delete.key.is_empty() => return Err(TxnError::EmptyKey),
            RequestOp::Range(_) | RequestOp::DeleteRange(_) => {}
            RequestOp::Put(put) => check_put_fields(put)?,
            RequestOp::Txn(txn) => check_fields(txn, left)?,
        }
    }
    Ok(())
}

/// What a list of requests puts and deletes.
#[derive(Default)]
struct Changes {
    puts: BTreeSet<Bytes>,
    deletes: Vec<DeleteRangeRequest>,
}

impl Changes {
    fn conflicts(&self, other: &Self) -> bool {
        other.puts.iter().any(|key| {
            let deleted = |delete: &DeleteRangeRequest| {
                // etcd takes the end of "from here on" for the smallest key, so that it never overlaps with anything.
                delete.range_end.as_ref() != [0] && in_range(&delete.key, &delete.range_end, key)
            };
            self.puts.contains(key) || self.deletes.iter().any(deleted)
        })
    }

    fn add(&mut self, other: Self) {
        self.puts.extend(other.puts);
        self.deletes.extend(other.deletes);
    }
}

fn changes(ops: &[RequestOp]) -> Result<Changes, TxnError> {
    let mut all = Changes::default();
    for op in ops {
        if let RequestOp::DeleteRange(delete) = op {
            all.deletes.push(delete.clone());
        }
    }
    for op in ops {
        if let RequestOp::Txn(txn) = op {
            let success = changes(&txn.success)?;
            let failure = changes(&txn.failure)?;
            if all.conflicts(&success) || all.conflicts(&failure) {
                return Err(TxnError::DuplicateKey);
            }
            all.add(success);
            all.add(failure);
        }
    }
    for op in ops {
        if let RequestOp::Put(put) = op {
            let mut one = Changes::default();
            one.puts.insert(put.key.clone());
            if all.conflicts(&one) {
                return Err(TxnError::DuplicateKey);
            }
            all.add(one);
        }
    }
    Ok(all)
}
