//! From the store's answers to those of the wire.

use bytes::Bytes;
use prost::Message;
use shoal_kv::{
    AlarmMember, CompactionResponse, DeleteRangeResponse, Event, EventKind, KeyValue, PutResponse, RangeResponse, ResponseOp, TxnResponse,
};

use crate::wire::{
    etcdserverpb::{self as wire, ResponseHeader, response_op::Response},
    mvccpb::{self, event::EventType},
};

pub(crate) fn range(response: RangeResponse, header: ResponseHeader) -> wire::RangeResponse {
    let header = ResponseHeader { revision: response.revision, ..header };
    wire::RangeResponse { header: Some(header), ..range_without_header(response) }
}

pub(crate) fn range_without_header(response: RangeResponse) -> wire::RangeResponse {
    wire::RangeResponse { header: None, kvs: response.kvs.into_iter().map(key_value).collect(), more: response.more, count: response.count }
}

pub(crate) fn put(response: PutResponse, header: ResponseHeader) -> wire::PutResponse {
    let header = ResponseHeader { revision: response.revision, ..header };
    wire::PutResponse { header: Some(header), prev_kv: response.prev_kv.map(key_value) }
}

pub(crate) fn delete_range(response: DeleteRangeResponse, header: ResponseHeader) -> wire::DeleteRangeResponse {
    let header = ResponseHeader { revision: response.revision, ..header };
    wire::DeleteRangeResponse {
        header: Some(header),
        deleted: response.deleted,
        prev_kvs: response.prev_kvs.into_iter().map(key_value).collect(),
    }
}

pub(crate) fn txn(response: TxnResponse, header: ResponseHeader) -> wire::TxnResponse {
    let header = ResponseHeader { revision: response.revision, ..header };
    wire::TxnResponse {
        header: Some(header),
        succeeded: response.succeeded,
        responses: response.responses.into_iter().map(operation).collect(),
    }
}

/// Inside of a transaction a header has a revision only, as in etcd.
fn operation(operation: ResponseOp) -> wire::ResponseOp {
    let none = ResponseHeader::default();
    let response = match operation {
        ResponseOp::Range(response) => Response::ResponseRange(range(response, none)),
        ResponseOp::Put(response) => Response::ResponsePut(put(response, none)),
        ResponseOp::DeleteRange(response) => Response::ResponseDeleteRange(delete_range(response, none)),
        ResponseOp::Txn(response) => Response::ResponseTxn(txn(response, none)),
    };
    wire::ResponseOp { response: Some(response) }
}

pub(crate) fn compaction(response: CompactionResponse, header: ResponseHeader) -> wire::CompactionResponse {
    wire::CompactionResponse { header: Some(ResponseHeader { revision: response.revision, ..header }) }
}

pub(crate) fn alarm(alarm: AlarmMember) -> wire::AlarmMember {
    let kind = match alarm.alarm {
        shoal_kv::Alarm::NoSpace => wire::AlarmType::Nospace,
        shoal_kv::Alarm::Corrupt => wire::AlarmType::Corrupt,
    };
    wire::AlarmMember { member_id: alarm.member, alarm: kind.into() }
}

pub(crate) fn key_value(kv: KeyValue) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: kv.key,
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        value: kv.value,
        lease: kv.lease,
    }
}

/// An event as it stands in a watch response: `mvccpb.Event`, encoded.
pub(crate) fn event(event: &Event, with_prev_kv: bool) -> Bytes {
    let kind = match event.kind {
        EventKind::Put => EventType::Put,
        EventKind::Delete => EventType::Delete,
    };
    let prev_kv = event.prev_kv.as_ref().filter(|_| with_prev_kv);
    let event = mvccpb::Event { r#type: kind.into(), kv: Some(key_value(event.kv.clone())), prev_kv: prev_kv.cloned().map(key_value) };
    event.encode_to_vec().into()
}
