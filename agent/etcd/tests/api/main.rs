//! A server on a replica that is alone, asked by raw clients of gRPC and HTTP: one file for each verb. etcd's own
//! clients ask in `conformance/`.

mod auth;
mod cluster;
mod compact;
mod delete;
mod http;
mod lease;
mod limits;
mod maintenance;
mod put;
mod range;
mod range_stream;
mod require_leader;
mod server;
mod tls;
mod txn;
mod watch;
