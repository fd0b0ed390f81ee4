//! What the nodes of a cluster share, as keys of its store beside those of Kubernetes: its authorities, and which node has which number.
//!
//! | key | value |
//! |---|---|
//! | `/shoal/authorities` | [`Authorities`], made once |
//! | `/shoal/nodes/N` | [`Seat`] of the node with number N: who has it, where it is reached, what it runs |

use std::net::Ipv4Addr;

use anyhow::Context;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shoal_cluster::Replica;
use shoal_kv::{Command, Compare, CompareResult, CompareTarget, Outcome, PutRequest, RangeRequest, RequestOp, TxnRequest};

use super::authorities::Authorities;

const AUTHORITIES: &str = "/shoal/authorities";
const NODES: &str = "/shoal/nodes/";
/// What comes behind all keys that begin with [`NODES`]: `/` is followed by `0` in ASCII.
const NODES_END: &str = "/shoal/nodes0";

/// Nodes that a cluster can have: each has a part of the pods' range (`shoal_plane::ranges`).
const NODES_MAX: u32 = 256;

/// What a node says of itself to the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Seat {
    /// Its name in the cluster.
    pub(crate) node: String,
    /// Where it is reached; nowhere while it has no address.
    pub(crate) address: Option<Ipv4Addr>,
    /// Whether it runs a kube-apiserver.
    pub(crate) serves_api: bool,
}

/// The cluster's authorities; if it has none, `make` gives them. Whoever asks, on whatever node, is given the same.
///
/// # Errors
/// If the store does not answer, or what it has is damaged.
pub(crate) async fn authorities(store: &dyn Replica, make: impl FnOnce() -> anyhow::Result<Authorities>) -> anyhow::Result<Authorities> {
    let bytes = match get(store, AUTHORITIES).await? {
        Some(bytes) => bytes,
        None => {
            if put(store, AUTHORITIES, make()?.to_bytes(), Version::Absent).await? {
                tracing::info!("this node has made the cluster's authorities");
            }
            // Another one may have been first.
            get(store, AUTHORITIES).await?.context("the cluster's authorities are gone from its store")?
        }
    };
    Ok(Authorities::from_bytes(&bytes)?)
}

/// The number of the node with this name: the one it has, else the lowest that nobody has. What it says of itself is written down with it.
///
/// # Errors
/// If the store does not answer, or all numbers are taken.
pub(crate) async fn take_seat(store: &dyn Replica, seat: &Seat) -> anyhow::Result<u32> {
    loop {
        store.read_barrier().await.context("the store does not answer")?;
        let seats = seats(store);
        let own = seats.iter().find(|(_, other, _)| other.node == seat.node);
        let (number, version) = match own {
            Some((number, known, _)) if known == seat => return Ok(*number),
            Some((number, _, revision)) => (*number, Version::At(*revision)),
            None => {
                let free = (0..NODES_MAX).find(|number| seats.iter().all(|(taken, ..)| taken != number));
                (free.with_context(|| format!("this cluster has {NODES_MAX} nodes already, and can have no more"))?, Version::Absent)
            }
        };
        let value = serde_json::to_vec(seat).context("a seat is plain data")?;
        if put(store, &format!("{NODES}{number}"), value, version).await? {
            return Ok(number);
        }
        // Somebody else was first.
    }
}

/// What all nodes say of themselves, by their numbers, as this member knows it.
pub(crate) fn others(store: &dyn Replica, node: &str) -> Vec<(u32, Seat)> {
    seats(store).into_iter().filter(|(_, seat, _)| seat.node != node).map(|(number, seat, _)| (number, seat)).collect()
}

/// Numbers, seats, and the revisions that wrote them. What is not readable is passed over: a newer version may say more than this one understands.
fn seats(store: &dyn Replica) -> Vec<(u32, Seat, i64)> {
    let request = RangeRequest { key: NODES.into(), range_end: NODES_END.into(), ..RangeRequest::default() };
    let Ok(response) = store.store().range(&request) else { return Vec::new() };
    let read = |kv: &shoal_kv::KeyValue| {
        let number = std::str::from_utf8(kv.key.strip_prefix(NODES.as_bytes())?).ok()?.parse().ok()?;
        Some((number, serde_json::from_slice(&kv.value).ok()?, kv.mod_revision))
    };
    response.kvs.iter().filter_map(read).collect()
}

async fn get(store: &dyn Replica, key: &'static str) -> anyhow::Result<Option<Bytes>> {
    store.read_barrier().await.context("the store does not answer")?;
    let request = RangeRequest { key: key.into(), ..RangeRequest::default() };
    let response = store.store().range(&request).context("the store cannot be read")?;
    Ok(response.kvs.into_iter().next().map(|kv| kv.value))
}

/// What a key must be for something to be written.
#[derive(Debug, Clone, Copy)]
enum Version {
    /// It is not there.
    Absent,
    /// This revision wrote it.
    At(i64),
}

/// Writes a key if it is what it is taken for; says whether it was.
async fn put(store: &dyn Replica, key: &str, value: Vec<u8>, version: Version) -> anyhow::Result<bool> {
    let key = Bytes::copy_from_slice(key.as_bytes());
    let target = match version {
        Version::Absent => CompareTarget::CreateRevision(0),
        Version::At(revision) => CompareTarget::ModRevision(revision),
    };
    let compare = Compare { key: key.clone(), range_end: Bytes::new(), result: CompareResult::Equal, target };
    let put = PutRequest { key, value: value.into(), ..PutRequest::default() };
    let request = TxnRequest { compare: vec![compare], success: vec![RequestOp::Put(put)], failure: Vec::new() };
    match store.propose(Command::Txn(request)).await.context("the store takes no writes")? {
        Outcome::Txn(response) => Ok(response.context("the store refuses what the cluster shares")?.succeeded),
        other => unreachable!("a transaction has no outcome like {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use shoal_cluster::local::{Local, LocalConfig};

    use super::*;
    use crate::cluster::authorities::tests::authorities as some;

    fn seat(node: &str) -> Seat {
        Seat { node: node.to_owned(), address: Some([10, 0, 0, 5].into()), serves_api: true }
    }

    #[tokio::test]
    async fn authorities_are_made_once_and_everybody_is_given_the_same() {
        let store = Local::new(LocalConfig::default());
        let first = authorities(&store, || Ok(some())).await.unwrap();
        let second = authorities(&store, || panic!("they are there")).await.unwrap();
        assert_eq!(first, second);
    }

    #[tokio::test]
    async fn nodes_have_numbers_of_their_own_and_keep_them() {
        let store = Local::new(LocalConfig::default());
        assert_eq!(take_seat(&store, &seat("a")).await.unwrap(), 0);
        let (b, c) = (seat("b"), seat("c"));
        let (b, c) = tokio::join!(take_seat(&store, &b), take_seat(&store, &c));
        let mut numbers = [b.unwrap(), c.unwrap()];
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2]);
        let moved = Seat { address: None, ..seat("a") };
        assert_eq!(take_seat(&store, &moved).await.unwrap(), 0);
        assert_eq!(others(&store, "b").into_iter().filter(|(_, seat)| *seat == moved).count(), 1);
        assert_eq!(others(&store, "b").len(), 2);
    }

    #[tokio::test]
    async fn a_cluster_that_is_full_says_so() {
        let store = Local::new(LocalConfig::default());
        for number in 0..NODES_MAX {
            let value = serde_json::to_vec(&seat(&format!("n{number}"))).unwrap();
            assert!(put(&store, &format!("{NODES}{number}"), value, Version::Absent).await.unwrap());
        }
        assert!(take_seat(&store, &seat("one more")).await.unwrap_err().to_string().contains("256 nodes"));
        assert_eq!(take_seat(&store, &seat("n7")).await.unwrap(), 7);
    }
}
