//! The messages and services as they are on the wire, generated from `proto/`.

#![allow(missing_docs, unreachable_pub, rust_2018_idioms, clippy::all, clippy::allow_attributes_without_reason, reason = "generated code")]

/// Keys and events.
pub mod mvccpb {
    tonic::include_proto!("mvccpb");
}

/// Requests, responses and services.
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}
