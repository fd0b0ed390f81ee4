use shoal_etcd::{status::Error, wire::etcdserverpb::AuthRequest};

use crate::server::{Server, assert_refused};

#[tokio::test]
async fn authentication_is_told_to_be_off() {
    let server = Server::start().await;
    let status = server.auth().auth_status(AuthRequest {}).await.expect("it is told").into_inner();
    assert_eq!((status.enabled, status.auth_revision), (false, 1));
}

#[tokio::test]
async fn everything_else_is_refused() {
    let server = Server::start().await;
    let mut client = server.auth();
    assert_refused(client.auth_enable(AuthRequest {}).await, Error::AuthNotEnabled);
    assert_refused(client.authenticate(AuthRequest {}).await, Error::AuthNotEnabled);
    assert_refused(client.user_add(AuthRequest {}).await, Error::AuthNotEnabled);
    assert_refused(client.role_list(AuthRequest {}).await, Error::AuthNotEnabled);
}
