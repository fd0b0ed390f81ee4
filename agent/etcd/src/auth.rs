//! The service Auth: there are no users and roles here, so that it answers as an etcd does whose authentication is not enabled.

use tonic::{Request, Response, Status};

use crate::{
    shared::Shared,
    status::Error,
    wire::etcdserverpb::{AuthRequest, AuthResponse, AuthStatusResponse, auth_server::Auth},
};

/// etcd counts changes of users and roles from 1.
const INITIAL_AUTH_REVISION: u64 = 1;

/// `etcdserverpb.Auth`.
#[derive(Debug, Clone)]
pub(crate) struct AuthService(pub(crate) Shared);

macro_rules! refused {
    ($($method:ident)*) => {
        #[tonic::async_trait]
        impl Auth for AuthService {
            async fn auth_status(&self, _: Request<AuthRequest>) -> Result<Response<AuthStatusResponse>, Status> {
                let header = Some(self.0.header_now());
                Ok(Response::new(AuthStatusResponse { header, enabled: false, auth_revision: INITIAL_AUTH_REVISION }))
            }

            $(async fn $method(&self, _: Request<AuthRequest>) -> Result<Response<AuthResponse>, Status> {
                Err(Error::AuthNotEnabled.into())
            })*
        }
    };
}

refused! {
    auth_enable auth_disable authenticate
    user_add user_get user_list user_delete user_change_password user_grant_role user_revoke_role
    role_add role_get role_list role_delete role_grant_permission role_revoke_permission
}
