use shoal_cluster::local::LocalConfig;
use shoal_etcd::{
    status::Error,
    wire::etcdserverpb::{MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest},
};

use crate::server::{Server, assert_refused};

fn urls(url: &str) -> Vec<String> {
    vec![url.to_owned()]
}

#[tokio::test]
async fn members_are_listed_with_all_that_is_known() {
    let server = Server::start().await;
    let config = LocalConfig::default();
    for linearizable in [true, false] {
        let mut response = server.cluster().member_list(MemberListRequest { linearizable }).await.expect("they are listed").into_inner();
        let member = response.members.remove(0);
        assert_eq!((member.id, member.name, member.is_learner), (config.identity.member, config.name.clone(), false));
        assert_eq!((member.peer_ur_ls, member.client_ur_ls), (config.peer_urls.clone(), config.client_urls.clone()));
        let header = response.header.expect("a header");
        assert_eq!((header.cluster_id, header.revision), (config.identity.cluster, 0), "as in etcd, of no revision");
    }
}

#[tokio::test]
async fn members_are_added_updated_and_removed() {
    let server = Server::start().await;
    let mut client = server.cluster();
    let request = MemberAddRequest { peer_ur_ls: urls("http://two:2380"), is_learner: true };
    let response = client.member_add(request).await.expect("it is added").into_inner();
    let added = response.member.expect("the new one");
    assert_eq!((added.name.as_str(), added.is_learner, response.members.len()), ("", true, 2));
    let request = MemberUpdateRequest { id: added.id, peer_ur_ls: urls("http://three:2380") };
    let response = client.member_update(request).await.expect("it is updated").into_inner();
    assert_eq!(response.members[1].peer_ur_ls, urls("http://three:2380"));
    let response = client.member_remove(MemberRemoveRequest { id: added.id }).await.expect("it is removed").into_inner();
    assert_eq!(response.members.len(), 1);
}

#[tokio::test]
async fn changes_of_members_are_refused_as_etcd_does() {
    let server = Server::start().await;
    let own = LocalConfig::default();
    let mut client = server.cluster();
    let add = |peer_ur_ls, is_learner| MemberAddRequest { peer_ur_ls, is_learner };
    assert_refused(client.member_add(add(Vec::new(), false)).await, Error::MemberBadUrls);
    assert_refused(client.member_add(add(own.peer_urls.clone(), false)).await, Error::PeerUrlExist);
    assert_refused(client.member_remove(MemberRemoveRequest { id: 99 }).await, Error::MemberNotFound);
    assert_refused(client.member_remove(MemberRemoveRequest { id: own.identity.member }).await, Error::MemberNotEnoughStarted);
    assert_refused(client.member_update(MemberUpdateRequest { id: 99, peer_ur_ls: urls("http://x:1") }).await, Error::MemberNotFound);
    assert_refused(client.member_promote(MemberPromoteRequest { id: 99 }).await, Error::MemberNotFound);
    assert_refused(client.member_promote(MemberPromoteRequest { id: own.identity.member }).await, Error::MemberNotLearner);
    let learner = client.member_add(add(urls("http://two:2380"), true)).await.expect("it is added").into_inner().member.expect("it");
    assert_refused(client.member_promote(MemberPromoteRequest { id: learner.id }).await, Error::LearnerNotReady);
}
