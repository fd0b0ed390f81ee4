//! etcd's rules about what may be changed.

use crate::{error::MembershipError, membership::Member, peer::transport::parse_url};

/// Whether a member may have these URLs.
pub(super) fn check_urls(urls: &[String], members: &[Member], but: Option<u64>) -> Result<(), MembershipError> {
    if urls.is_empty() || urls.iter().any(|url| parse_url(url).is_err()) {
        return Err(MembershipError::BadUrls);
    }
    let taken = |url| members.iter().any(|member| Some(member.id) != but && member.peer_urls.contains(url));
    if urls.iter().any(taken) { Err(MembershipError::PeerUrlExists) } else { Ok(()) }
}

fn voters(members: &[Member]) -> impl Iterator<Item = &Member> {
    members.iter().filter(|member| !member.is_learner)
}

/// etcd's `IsReadyToAddVotingMember`: after the change, those that have started must still be a majority. A member alone may be joined by one
/// that has not started.
pub(super) fn may_add_voter(members: &[Member]) -> Result<(), MembershipError> {
    let started = voters(members).filter(|member| !member.name.is_empty()).count();
    let all = voters(members).count() + 1;
    let is_first = started == 1 && all == 2;
    if is_first || started > all / 2 { Ok(()) } else { Err(MembershipError::NotEnoughStarted) }
}

/// etcd's `IsReadyToRemoveVotingMember`.
pub(super) fn may_remove_voter(id: u64, members: &[Member]) -> Result<(), MembershipError> {
    let others = || voters(members).filter(|member| member.id != id);
    let started = others().filter(|member| !member.name.is_empty()).count();
    if started > others().count() / 2 { Ok(()) } else { Err(MembershipError::NotEnoughStarted) }
}
