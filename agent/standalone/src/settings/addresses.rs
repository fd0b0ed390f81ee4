//! Who is where: the members of `--initial-cluster`, and where clients are told to come to.

use std::collections::BTreeMap;

use super::SettingsError;
use crate::url::MemberUrl;

/// The members of `--initial-cluster`, which is that of the member `name` with the peer URLs `advertised`; without the flag, that member alone. One
/// that has several URLs is there several times.
///
/// # Errors
/// [`SettingsError`] if the two flags do not go together.
pub(crate) fn cluster_of(name: &str, flag: Option<&str>, advertised: &[MemberUrl]) -> Result<Vec<(String, MemberUrl)>, SettingsError> {
    let cluster = match flag {
        Some(text) => initial_cluster(text)?,
        None => advertised.iter().map(|url| (name.to_owned(), url.clone())).collect(),
    };
    check_membership(&cluster, name, advertised)?;
    Ok(cluster)
}

/// The peer URLs of each member.
pub(crate) fn by_name(cluster: &[(String, MemberUrl)]) -> BTreeMap<String, Vec<String>> {
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, url) in cluster {
        members.entry(name.clone()).or_default().push(url.to_string());
    }
    members
}

fn initial_cluster(text: &str) -> Result<Vec<(String, MemberUrl)>, SettingsError> {
    text.split(',')
        .map(|entry| match entry.split_once('=') {
            Some((name, url)) if !name.is_empty() => Ok((name.to_owned(), url.parse().map_err(SettingsError::InitialClusterUrl)?)),
            _ => Err(SettingsError::InitialCluster { entry: entry.to_owned() }),
        })
        .collect()
}

fn check_membership(cluster: &[(String, MemberUrl)], name: &str, advertised: &[MemberUrl]) -> Result<(), SettingsError> {
    let sorted = |urls: Vec<&MemberUrl>| {
        let mut urls: Vec<String> = urls.into_iter().map(MemberUrl::to_string).collect();
        urls.sort();
        urls.join(",")
    };
    let own: Vec<&MemberUrl> = cluster.iter().filter(|(member, _)| member == name).map(|(_, url)| url).collect();
    if own.is_empty() {
        return Err(SettingsError::NotInInitialCluster { name: name.to_owned() });
    }
    let (cluster, advertised) = (sorted(own), sorted(advertised.iter().collect()));
    if cluster == advertised { Ok(()) } else { Err(SettingsError::PeerUrlsDiffer { name: name.to_owned(), cluster, advertised }) }
}

/// Where clients are told to come to: where this member listens, if nothing else is said.
pub(super) fn advertised(given: Vec<MemberUrl>, listening: &[MemberUrl]) -> Result<Vec<MemberUrl>, SettingsError> {
    if !given.is_empty() {
        return Ok(given);
    }
    match listening.iter().find(|url| url.is_unspecified()) {
        Some(url) => Err(SettingsError::Advertise { url: url.to_string() }),
        None => Ok(listening.to_vec()),
    }
}
