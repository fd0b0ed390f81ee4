//! Who is who when a cluster begins from a list that all its members are given, and when a member joins one that exists: etcd's
//! `--initial-cluster`, with `--initial-cluster-state` `new` and `existing`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};

use crate::{
    backup::DIGEST_BYTES,
    node::{Begin, FOUNDER_BIT},
    peer::{
        CONNECT_TIMEOUT, Traffic,
        frame::Frames,
        message::{Hello, Introduction, Lane, Welcome},
        transport::Transport,
    },
    replica::Identity,
};

/// How long to wait before members that did not answer are asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Why it is not known which member this is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// The list does not have this member.
    #[error("{0:?} is not in the list of members: give it a name that is, or add it to the list")]
    NotInList(String),
    /// Two members of the list have a URL in common.
    #[error("two members have the peer URL {0}")]
    UrlTwice(String),
    /// The cluster does not have this member.
    #[error("no member of the cluster has the peer URLs {0:?}: add this member to the cluster first (etcdctl member add)")]
    NotAMember(Vec<String>),
}

/// Which member of which cluster `name` is, when a cluster begins with the members in `list` (names and peer URLs). The same list and token give
/// the same ids everywhere; another token gives another cluster, which will not talk to this one.
///
/// # Errors
/// [`BootstrapError`].
pub fn found(name: &str, list: &BTreeMap<String, Vec<String>>, token: &str) -> Result<(Identity, Begin), BootstrapError> {
    begin(name, list, ["member", "cluster"], &[token])
}

/// The same when the cluster is [restored](crate::restore) from a backup with this digest, and with revisions raised by `bump`. Members that were
/// given another backup, another bump or none are another cluster: they would not have the same state. So is the one that the backup was taken
/// from, whatever its token.
///
/// # Errors
/// [`BootstrapError`].
pub fn restored(
    name: &str,
    list: &BTreeMap<String, Vec<String>>,
    token: &str,
    digest: &[u8; DIGEST_BYTES],
    bump: u64,
) -> Result<(Identity, Begin), BootstrapError> {
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    begin(name, list, ["restored member", "restored cluster"], &[token, &digest, &bump.to_string()])
}

/// Ids from hashes of everything that the members have in common.
fn begin(
    name: &str,
    list: &BTreeMap<String, Vec<String>>,
    [member_kind, cluster_kind]: [&str; 2],
    origin: &[&str],
) -> Result<(Identity, Begin), BootstrapError> {
    let mut urls: Vec<&String> = list.values().flatten().collect();
    urls.sort();
    if let Some(twice) = urls.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(BootstrapError::UrlTwice(twice[0].clone()));
    }
    let id = |urls: &[String]| {
        let mut urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        urls.sort_unstable();
        number(&[&[member_kind], origin, &urls].concat()) | FOUNDER_BIT
    };
    let voters: BTreeMap<u64, Vec<String>> = list.values().map(|urls| (id(urls), urls.clone())).collect();
    let member = id(list.get(name).ok_or_else(|| BootstrapError::NotInList(name.into()))?);
    let ids: Vec<String> = voters.keys().map(|id| format!("{id:x}")).collect();
    let cluster = number(&[&[cluster_kind], origin, &ids.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    Ok((Identity { cluster, member }, Begin::Found(voters)))
}

/// The first eight bytes of a hash of some texts, which none of them can shift into another.
fn number(texts: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let hash = hash.finalize();
    hash.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Which member of which cluster has the peer URLs `own`, as the members at `others` know. Asks until one answers that has this member; gives
/// up only when one answers that it has not.
///
/// # Errors
/// [`BootstrapError::NotAMember`].
pub async fn join(own: &[String], others: &[String], transport: &Arc<dyn Transport>) -> Result<(Identity, Begin), BootstrapError> {
    loop {
        for url in others.iter().filter(|url| !own.contains(url)) {
            let Ok(Some(introduction)) = tokio::time::timeout(CONNECT_TIMEOUT, ask(url, transport)).await else { continue };
            if introduction.members.is_empty() {
                // It is about to join, too.
                continue;
            }
            let same = |urls: &[String]| urls.iter().any(|url| own.contains(url));
            let member = introduction.members.iter().find(|member| same(&member.peer_urls));
            let member = member.ok_or_else(|| BootstrapError::NotAMember(own.to_vec()))?;
            let identity = Identity { cluster: introduction.cluster, member: member.id };
            let members = introduction.members.into_iter().map(|member| (member.id, member.peer_urls)).collect();
            return Ok((identity, Begin::Join(members)));
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

async fn ask(url: &str, transport: &Arc<dyn Transport>) -> Option<Introduction> {
    let stream =
        transport.connect(url).await.inspect_err(|error| tracing::info!(url, %error, "cannot ask who belongs to the cluster")).ok()?;
    let mut frames = Frames::new(stream, Arc::new(Traffic::default()));
    frames.send(&Hello::new(0, 0, 0, Lane::Introduction)).await.ok()?;
    let welcome: Welcome = frames.receive().await.ok()??;
    if welcome.refusal().is_some() {
        return None;
    }
    frames.receive().await.ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(members: &[(&str, &str)]) -> BTreeMap<String, Vec<String>> {
        members.iter().map(|(name, url)| ((*name).into(), vec![(*url).into()])).collect()
    }

    #[test]
    fn all_members_of_a_list_agree() {
        let members = list(&[("a", "http://a:1"), ("b", "http://b:1")]);
        let (a, begin) = found("a", &members, "token").expect("a is in the list");
        let (b, same) = found("b", &members, "token").expect("b is in the list");
        assert_eq!((a.cluster, begin), (b.cluster, same.clone()));
        assert_ne!(a.member, b.member);
        let Begin::Found(voters) = same else { panic!("it begins") };
        assert_eq!(voters.get(&a.member), Some(&vec!["http://a:1".to_owned()]));
        assert!(voters.keys().all(|id| id & FOUNDER_BIT != 0), "an index of the log is never the id of a founder");
    }

    #[test]
    fn another_token_is_another_cluster() {
        let members = list(&[("a", "http://a:1")]);
        let (one, other) = (found("a", &members, "1").expect("in the list").0, found("a", &members, "2").expect("in the list").0);
        assert_ne!(one.cluster, other.cluster);
        assert_ne!(one.member, other.member);
    }

    #[test]
    fn a_restored_cluster_is_another_one_for_each_backup_and_bump() {
        let members = list(&[("a", "http://a:1"), ("b", "http://b:1")]);
        let restored = |name, token, digest, bump| restored(name, &members, token, &[digest; DIGEST_BYTES], bump).expect("in the list");
        let (a, begin) = restored("a", "token", 1, 0);
        let (b, same) = restored("b", "token", 1, 0);
        assert_eq!((a.cluster, begin), (b.cluster, same));
        let found = found("a", &members, "token").expect("in the list").0;
        let others = [restored("a", "token", 2, 0).0, restored("a", "token", 1, 5).0, restored("a", "other", 1, 0).0, found];
        for other in others {
            assert_ne!(a.cluster, other.cluster);
            assert_ne!(a.member, other.member);
        }
    }

    #[test]
    fn a_list_with_mistakes_is_refused() {
        let members = list(&[("a", "http://a:1"), ("b", "http://a:1")]);
        assert_eq!(found("a", &members, "token").err(), Some(BootstrapError::UrlTwice("http://a:1".into())));
        assert_eq!(found("c", &list(&[("a", "http://a:1")]), "token").err(), Some(BootstrapError::NotInList("c".into())));
    }
}
