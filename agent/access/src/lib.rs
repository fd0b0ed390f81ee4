//! How the owner of a fleet and the Kubernetes APIs of its clusters know each other, with nothing but what `shoal stamp` writes into an image and what the
//! owner's fleet file has. Both directions, for both ends; no file, socket, clock or randomness.
//!
//! | direction | the box, from its configuration | the owner's machine, from the fleet file |
//! |---|---|---|
//! | the API knows the owner | [`operator::authority`]: a trust anchor with the operator's public key | [`operator::issue`]: a client certificate, signed with the operator's key |
//! | the owner knows the API | [`voucher::name`]: a DNS name in its certificate that only who has the join secret can compute | [`server::verify`]: whether the name is right, and for which authority |
//!
//! [`owner`] gives a box what it needs of both. Why it is so, and what else was considered: `docs/design/0020-the-owner-is-a-user.md`.
//!
//! # What it does not do
//! It says nothing of what a user may do: that is RBAC's, by the group that [`operator::issue`] writes into a certificate. It does not revoke: a certificate
//! is short-lived, and who signs has a key that is in no image.

pub mod operator;
pub mod server;
pub mod voucher;

use rustls::pki_types::CertificateDer;
pub use shoal_plane::API_PORT;
use shoal_plane::Owner;
use shoal_trust::config::{self, Config};

/// What makes the API of a cluster with this authority (its certificate) that of the owner of this configuration; nothing if it is nobody's.
///
/// # Errors
/// If the trust anchor cannot be written down.
pub fn owner(config: &Config, authority: &CertificateDer<'_>) -> Result<Option<Owner>, rcgen::Error> {
    let config::Owner::Fleet(stamp) = &config.owner else { return Ok(None) };
    Ok(Some(Owner { voucher: voucher::name(&config.keys(), authority), authority: operator::authority(&stamp.operator)?.pem() }))
}
