//! `KV.RangeStream`: a range in chunks, each read when the client has taken the one before (KEP-5966).
//!
//! The first chunk is small so that it comes soon; the next ones double or halve until they are about as large as a request may be. All are read
//! at the revision of the first one. Only the last has the header, `more` and `count`.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, stream};
use prost::Message;
use tonic::Status;

use crate::{
    request, response,
    shared::Shared,
    status::Error,
    wire::etcdserverpb::{RangeRequest, RangeResponse, RangeStreamResponse, ResponseHeader},
};

/// Keys of the first chunk, as in etcd.
const FIRST_CHUNK_KEYS: i64 = 10;

pub(crate) async fn range_stream(
    shared: &Shared,
    request: RangeRequest,
) -> Result<impl Stream<Item = Result<RangeStreamResponse, Status>> + use<>, Status> {
    let serializable = request.serializable;
    let request = request::range(request).map_err(Error::from)?;
    // What has to be sorted or sifted has to be gathered first, so that a stream would be of no use.
    if !request.has_default_order() {
        return Err(Status::unimplemented("RangeStream does not support custom sort orders"));
    }
    if request.has_revision_filters() {
        return Err(Status::unimplemented("RangeStream does not support revision filters"));
    }
    if !serializable {
        shared.replica.read_barrier().await.map_err(Error::from)?;
    }
    let left = if request.limit > 0 { request.limit } else { i64::MAX };
    let chunks = Chunks { shared: shared.clone(), request, left, chunk_keys: FIRST_CHUNK_KEYS, first: None };
    Ok(stream::unfold(Some(chunks), |chunks| async move {
        let (chunk, rest) = chunks?.next();
        Some((chunk.map_err(Status::from), rest))
    }))
}

struct Chunks {
    shared: Shared,
    request: shoal_kv::RangeRequest,
    /// Keys that the limit still allows.
    left: i64,
    chunk_keys: i64,
    /// What the first chunk has said: the newest revision then, and the count of the whole range.
    first: Option<(i64, i64)>,
}

impl Chunks {
    /// The next chunk, and what comes after it.
    fn next(mut self) -> (Result<RangeStreamResponse, Error>, Option<Self>) {
        self.request.limit = self.chunk_keys.min(self.left);
        let read = self.shared.replica.store().range(&self.request);
        let read = match read {
            Ok(read) => read,
            Err(error) => return (Err(error.into()), None),
        };
        let (revision, count) = *self.first.get_or_insert((read.revision, read.count));
        if self.request.revision <= 0 {
            self.request.revision = revision;
        }
        self.left -= read.kvs.len() as i64;
        let more = read.more;
        let mut chunk = RangeResponse { count: 0, more: false, ..response::range_without_header(read) };
        let rest = match chunk.kvs.last() {
            Some(last) if more && self.left > 0 && !self.request.count_only => {
                self.request.key = successor(&last.key);
                self.chunk_keys = next_chunk_keys(self.chunk_keys, chunk.encoded_len(), self.shared.replica.limits().request_bytes);
                Some(self)
            }
            _ => {
                chunk.header = Some(ResponseHeader { revision, ..self.shared.header() });
                chunk.more = more;
                chunk.count = count;
                None
            }
        };
        (Ok(RangeStreamResponse { range_response: Some(chunk) }), rest)
    }
}

/// The smallest key above `key`.
fn successor(key: &Bytes) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}

/// Half to twice the target is left as it is, so that sizes near it do not swing.
const fn next_chunk_keys(keys: i64, bytes: usize, target_bytes: usize) -> i64 {
    if bytes < target_bytes / 2 {
        keys.saturating_mul(2)
    } else if bytes > target_bytes * 2 && keys > 1 {
        keys / 2
    } else {
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_near_the_target_and_never_to_nothing() {
        let table = [(10, 49, 20), (10, 50, 10), (10, 200, 10), (10, 201, 5), (1, 1000, 1), (i64::MAX, 0, i64::MAX)];
        for (keys, bytes, next) in table {
            assert_eq!(next_chunk_keys(keys, bytes, 100), next, "{keys} keys of {bytes} bytes");
        }
    }

    #[test]
    fn nothing_lies_between_a_key_and_its_successor() {
        assert_eq!(successor(&Bytes::from_static(b"a")), Bytes::from_static(b"a\0"));
    }
}
