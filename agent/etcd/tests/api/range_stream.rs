use shoal_etcd::{
    status::Error,
    wire::etcdserverpb::{CompactionRequest, RangeRequest, RangeResponse, range_request::SortOrder},
};
use tonic::{Code, Status};

use crate::server::{Server, assert_refused, get, range};

async fn chunks(server: &Server, request: RangeRequest) -> Result<Vec<RangeResponse>, Status> {
    let mut stream = server.kv().range_stream(request).await?.into_inner();
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.message().await? {
        chunks.push(chunk.range_response.expect("a chunk is a part of a response"));
    }
    Ok(chunks)
}

fn merged(chunks: Vec<RangeResponse>) -> RangeResponse {
    chunks.into_iter().fold(RangeResponse::default(), |mut all, chunk| {
        all.kvs.extend(chunk.kvs);
        RangeResponse { header: chunk.header, more: chunk.more, count: chunk.count, ..all }
    })
}

async fn hundred() -> Server {
    let server = Server::start().await;
    for key in 0..100 {
        server.put(&format!("k{key:02}"), &key.to_string()).await;
    }
    server
}

#[tokio::test]
async fn the_chunks_make_up_the_range() {
    let server = hundred().await;
    for request in [
        range("k", "l"),
        range("x", "y"),
        get("k07"),
        RangeRequest { limit: 25, ..range("k", "l") },
        RangeRequest { limit: 100, ..range("k", "l") },
        RangeRequest { limit: 101, ..range("k", "l") },
        RangeRequest { revision: 40, ..range("k", "l") },
        RangeRequest { keys_only: true, ..range("k1", "\0") },
        RangeRequest { count_only: true, ..range("k", "l") },
        RangeRequest { serializable: true, ..range("k2", "k3") },
    ] {
        let unary = server.kv().range(request.clone()).await.expect("it is read").into_inner();
        assert_eq!(merged(chunks(&server, request.clone()).await.expect("it is read")), unary, "{request:?}");
    }
}

#[tokio::test]
async fn only_the_last_chunk_sums_up() {
    let server = hundred().await;
    let mut chunks = chunks(&server, range("k", "l")).await.expect("it is read");
    assert_eq!(chunks.iter().map(|chunk| chunk.kvs.len()).collect::<Vec<_>>(), [10, 20, 40, 30]);
    let last = chunks.pop().expect("there are some");
    assert_eq!((last.header.expect("a header").revision, last.count, last.more), (101, 100, false));
    for chunk in chunks {
        assert_eq!((chunk.header, chunk.count, chunk.more), (None, 0, false));
    }
}

#[tokio::test]
async fn what_is_written_meanwhile_is_not_in_it() {
    let server = Server::start().await;
    // Values that fill what waits between server and client, so that the later chunks are read later.
    let value = "v".repeat(400_000);
    for key in 0..40 {
        server.put(&format!("k{key:02}"), &value).await;
    }
    let mut stream = server.kv().range_stream(range("k", "l")).await.expect("it begins").into_inner();
    let mut all = vec![stream.message().await.expect("it goes on").expect("there is one").range_response.expect("a part")];
    for key in 10..40 {
        server.put(&format!("k{key:02}"), "new").await;
        server.put(&format!("k{key:02}+"), "new").await;
    }
    while let Some(chunk) = stream.message().await.expect("it goes on") {
        all.push(chunk.range_response.expect("a part"));
    }
    let all = merged(all);
    assert_eq!((all.kvs.len(), all.count, all.header.expect("a header").revision), (40, 40, 41));
    assert!(all.kvs.iter().all(|kv| kv.value.len() == value.len()));
}

#[tokio::test]
async fn streams_are_refused_as_etcd_does() {
    let server = hundred().await;
    for (request, error) in [
        (get(""), Error::EmptyKey),
        (RangeRequest { sort_order: 3, ..get("a") }, Error::InvalidSortOption),
        (RangeRequest { revision: 102, ..get("a") }, Error::FutureRev),
    ] {
        assert_refused(chunks(&server, request).await, error);
    }
    server.kv().compact(CompactionRequest { revision: 50, physical: true }).await.expect("it is compacted");
    assert_refused(chunks(&server, RangeRequest { revision: 49, ..range("k", "l") }).await, Error::Compacted);
    for (request, text) in [
        (RangeRequest { sort_order: SortOrder::Descend.into(), ..range("k", "l") }, "RangeStream does not support custom sort orders"),
        (RangeRequest { min_mod_revision: 1, ..range("k", "l") }, "RangeStream does not support revision filters"),
    ] {
        let status = chunks(&server, request).await.expect_err("it is refused");
        assert_eq!((status.code(), status.message()), (Code::Unimplemented, text));
    }
}
