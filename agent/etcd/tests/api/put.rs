use shoal_cluster::local::LocalConfig;
use shoal_etcd::{
    Options,
    status::Error,
    wire::{
        etcdserverpb::{
            AlarmMember, AlarmRequest, AlarmType, DeleteRangeRequest, LeaseGrantRequest, PutRequest, alarm_request::AlarmAction,
        },
        mvccpb::KeyValue,
    },
};
use shoal_kv::Limits;

use crate::server::{Server, assert_refused, get, put};

#[tokio::test]
async fn what_is_put_is_read() {
    let server = Server::start().await;
    assert_eq!(server.put("key", "value").await, 2, "an empty store is at revision 1");
    let response = server.kv().range(get("key")).await.expect("it is read").into_inner();
    let kv = KeyValue { key: "key".into(), value: "value".into(), create_revision: 2, mod_revision: 2, version: 1, lease: 0 };
    assert_eq!((response.kvs, response.count, response.more), (vec![kv], 1, false));
}

#[tokio::test]
async fn the_header_says_who_answers() {
    let server = Server::start().await;
    let header = server.kv().put(put("key", "")).await.expect("it is put").into_inner().header.expect("a header");
    let identity = LocalConfig::default().identity;
    assert_eq!((header.cluster_id, header.member_id, header.raft_term), (identity.cluster, identity.member, 1));
}

#[tokio::test]
async fn what_was_before_is_told_to_those_who_ask() {
    let server = Server::start().await;
    server.put("key", "old").await;
    let request = PutRequest { prev_kv: true, ..put("key", "new") };
    let before = server.kv().put(request).await.expect("it is put").into_inner().prev_kv.expect("there was something");
    assert_eq!((&before.value[..], before.mod_revision), (&b"old"[..], 2));
}

#[tokio::test]
async fn value_and_lease_can_be_kept() {
    let server = Server::start().await;
    let lease = server.grant().await;
    server.put("key", "value").await;
    let request = PutRequest { lease, ignore_value: true, ..put("key", "") };
    server.kv().put(request).await.expect("only the lease changes");
    let request = PutRequest { ignore_lease: true, ..put("key", "other") };
    server.kv().put(request).await.expect("only the value changes");
    let kv = server.kv().range(get("key")).await.expect("it is read").into_inner().kvs.remove(0);
    assert_eq!((&kv.value[..], kv.lease, kv.version), (&b"other"[..], lease, 3));
}

#[tokio::test]
async fn puts_are_refused_as_etcd_does() {
    let config = LocalConfig { limits: Limits { request_bytes: 1000, ..Limits::default() }, ..LocalConfig::default() };
    let server = Server::with(config, Options::default()).await;
    server.put("key", "value").await;
    for (request, error) in [
        (put("", "value"), Error::EmptyKey),
        (PutRequest { ignore_value: true, ..put("key", "value") }, Error::ValueProvided),
        (PutRequest { ignore_lease: true, lease: 1, ..put("key", "value") }, Error::LeaseProvided),
        (PutRequest { ignore_value: true, ..put("other", "") }, Error::KeyNotFound),
        (PutRequest { ignore_lease: true, ..put("other", "") }, Error::KeyNotFound),
        (PutRequest { lease: 17, ..put("key", "value") }, Error::LeaseNotFound),
        (put("key", &"v".repeat(1000)), Error::RequestTooLarge),
    ] {
        assert_refused(server.kv().put(request).await, error);
    }
    assert_eq!(server.put("key", "value").await, 3, "what is refused takes no revision");
}

#[tokio::test]
async fn puts_beyond_the_quota_are_refused_until_the_alarm_is_disarmed() {
    let server = Server::with(LocalConfig { quota_bytes: 2000, ..LocalConfig::default() }, Options::default()).await;
    server.put("key", "value").await;
    assert_refused(server.kv().put(put("large", &"v".repeat(2000))).await, Error::NoSpace);
    assert_refused(server.kv().put(put("key", "v")).await, Error::NoSpace);
    assert_refused(server.lease().lease_grant(LeaseGrantRequest { id: 0, ttl: 60 }).await, Error::NoSpace);
    let delete = DeleteRangeRequest { key: "key".into(), ..DeleteRangeRequest::default() };
    server.kv().delete_range(delete).await.expect("deleting is the way out");

    let alarms = server.maintenance().alarm(AlarmRequest::default()).await.expect("they are listed").into_inner().alarms;
    let own = AlarmMember { member_id: LocalConfig::default().identity.member, alarm: AlarmType::Nospace.into() };
    assert_eq!(alarms, [own]);
    let disarm = AlarmRequest { action: AlarmAction::Deactivate.into(), member_id: own.member_id, alarm: own.alarm };
    server.maintenance().alarm(disarm).await.expect("it is disarmed");
    server.put("key", "v").await;
}
