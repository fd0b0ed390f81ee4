//! A short run of the fuzz target, see [`shoal_fuzz_short`].

use std::path::Path;

use prost::Message;
use shoal_etcd::wire::etcdserverpb::{
    AlarmRequest, CompactionRequest, Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseKeepAliveRequest, LeaseTimeToLiveRequest,
    MemberAddRequest, MemberUpdateRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest, WatchRequest,
    compare::TargetUnion, request_op::Request as Operation, watch_request::RequestUnion,
};
use shoal_fuzz_short::{Rng, limit_memory, mutate, mutations};

#[path = "../fuzz/request_decoder.rs"]
mod request_decoder;

/// Some seconds' worth.
const MUTATIONS: usize = 4000;

fn call(method: &str, message: &impl Message) -> Vec<u8> {
    let number = request_decoder::METHODS.iter().position(|known| *known == method).expect("it is a method");
    let bytes = message.encode_to_vec();
    let mut call = vec![u8::try_from(number).expect("there are few")];
    call.extend_from_slice(&u32::try_from(bytes.len()).expect("it is short").to_le_bytes());
    call.extend_from_slice(&bytes);
    call
}

/// Calls that are answered well, by name, and how many of them end.
fn seeds() -> Vec<(&'static str, Vec<u8>, usize)> {
    let put = |key: &'static str| PutRequest { key: key.into(), value: "value".into(), prev_kv: true, ..PutRequest::default() };
    let range = RangeRequest { key: "a".into(), range_end: "z".into(), limit: 10, ..RangeRequest::default() };
    let delete = DeleteRangeRequest { key: "a".into(), range_end: "b".into(), prev_kv: true };
    let compare = Compare { key: "a".into(), target_union: Some(TargetUnion::Version(1)), ..Compare::default() };
    let operation = |request| RequestOp { request: Some(request) };
    let inner = TxnRequest { success: vec![operation(Operation::RequestPut(put("b")))], ..TxnRequest::default() };
    let txn = TxnRequest {
        compare: vec![compare],
        success: vec![operation(Operation::RequestRange(range.clone())), operation(Operation::RequestTxn(inner))],
        failure: vec![operation(Operation::RequestDeleteRange(delete.clone()))],
    };
    let watch =
        WatchCreateRequest { key: "a".into(), range_end: "z".into(), start_revision: 1, prev_kv: true, ..WatchCreateRequest::default() };
    let watch = WatchRequest { request_union: Some(RequestUnion::CreateRequest(watch)) };
    let compaction = CompactionRequest { revision: 2, physical: true };
    let written = [call("KV/Put", &put("a")), call("KV/Put", &put("a")), call("KV/Txn", &txn)].concat();
    let grant = call("Lease/LeaseGrant", &LeaseGrantRequest { id: 7, ttl: 60 });
    let leased = call("KV/Put", &PutRequest { lease: 7, ..put("l") });
    let keep = call("Lease/LeaseKeepAlive", &LeaseKeepAliveRequest { id: 7 });
    let left = call("Lease/LeaseTimeToLive", &LeaseTimeToLiveRequest { id: 7, keys: true });
    let add = call("Cluster/MemberAdd", &MemberAddRequest { peer_ur_ls: vec!["http://n2:2380".to_owned()], is_learner: true });
    let update = call("Cluster/MemberUpdate", &MemberUpdateRequest { id: 1, peer_ur_ls: vec!["http://n3:2380".to_owned()] });
    vec![
        ("range", [written.clone(), call("KV/Range", &range), call("KV/RangeStream", &range)].concat(), 5),
        ("delete", [written.clone(), call("KV/DeleteRange", &delete), call("KV/Compact", &compaction)].concat(), 5),
        ("watch", [written, call("Watch/Watch", &watch)].concat(), 3),
        ("lease", [grant, leased, keep, left].concat(), 4),
        ("members", [add, update].concat(), 1),
        ("alarm", call("Maintenance/Alarm", &AlarmRequest { action: 1, member_id: 1, alarm: 1 }), 1),
    ]
}

#[test]
fn every_request_is_answered_whatever_is_in_it() {
    limit_memory();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/request_decoder");
    let (made, expected): (Vec<_>, Vec<_>) = seeds().into_iter().map(|(name, input, answered)| ((name, input), (name, answered))).unzip();
    let inputs = shoal_fuzz_short::seeds(&corpus, made);
    for (input, (name, answered)) in inputs.iter().zip(expected) {
        assert_eq!(request_decoder::send(input), answered, "the seed {name}");
    }
    let (mut rng, mutations) = (Rng::with_seed(1), mutations(MUTATIONS));
    let answered = (0..mutations).filter(|_| request_decoder::send(&mutate(&inputs, &mut rng)) > 0).count();
    assert!(answered > 0 && answered < mutations, "mutations are neither all answered well nor all refused: {answered}");
}
