//! This box as a node of its fleet: started, watched, and put into words.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use shoal_cluster::Node;
use shoal_formation::{State, settings::Medium, why::Reason};
use shoal_formation_shell::status::Status;
use shoal_node::{Running, Settings};
use tokio::{sync::watch, time::Instant};

use crate::{
    health::{Health, Severity},
    owner,
};

/// Where the node keeps its files, on the state medium.
const DIRECTORY: &str = "/var/lib/shoal";

/// How long after a start that has failed the next one is tried. What keeps a node from starting is seldom gone by itself; meanwhile the box shows what it is.
const RETRY: Duration = Duration::from_secs(30);

/// How long the box shows why its node has ended before the agent ends, too, and begins again. Long enough that PID 1 does not give the agent up (ten ends within
/// ten minutes), and reboot a box whose medium is full for as long as it is full.
const SHOW_END: Duration = Duration::from_secs(90);

/// Voters that a cluster needs so that one of them may fail.
const VOTERS_FOR_ONE_FAILURE: usize = 3;

/// What is known of this box as a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Membership {
    /// Its files are being read.
    Starting,
    /// It does not start, or has ended. Why, for people.
    Failed(String),
    /// What it says of itself.
    Node(Box<Status>),
}

impl Membership {
    /// In a sentence for people.
    pub(crate) fn health(&self) -> Health {
        match self {
            Self::Starting => Health { severity: Severity::Warning, text: "the node is starting".to_owned() },
            Self::Failed(why) => Health { severity: Severity::Error, text: why.clone() },
            Self::Node(status) => Health { severity: severity(status), text: words(status) },
        }
    }
}

/// One box alone is as well as it can be; whoever has lost others is not.
fn severity(status: &Status) -> Severity {
    if !status.alarms.is_empty() || status.why.iter().any(|reason| matches!(reason, Reason::Conflict(..))) {
        return Severity::Error;
    }
    let misses = status.why.iter().any(|reason| matches!(reason, Reason::NoLeader { .. } | Reason::VoterMissing(_) | Reason::Sleepers(_)));
    if misses || !status.has_leader { Severity::Warning } else { Severity::Ok }
}

fn words(status: &Status) -> String {
    let why = status.why.first().map(ToString::to_string);
    let mut words = match (status.state, status.member) {
        (State::Member, Some((cluster, node))) => {
            let (voters, members) = (count(status.voters.len(), "voter"), count(status.members.len(), "member"));
            let rest =
                why.unwrap_or_else(|| if status.voters.len() < VOTERS_FOR_ONE_FAILURE { "well" } else { "highly available" }.to_owned());
            format!("cluster {cluster}, node {node}, {voters} of {members}: {rest}")
        }
        _ => why.unwrap_or_else(|| "the node is starting".to_owned()),
    };
    for alarm in &status.alarms {
        words = format!("{alarm}; {words}");
    }
    words
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// What the node is told of its box.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Image {
    /// Whether its files survive the power.
    pub(crate) medium: Medium,
    /// Whether the image has something that runs in its cluster by itself.
    pub(crate) workloads: bool,
}

/// Where is said what is known of the node.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) membership: watch::Sender<Membership>,
    /// The member of the cluster's store that it is, while it is one.
    pub(crate) store: watch::Sender<Option<Arc<Node>>>,
}

/// Runs the node, and says what is known of it, until `stop` says so. Returns when it has ended in order.
///
/// # Errors
/// If the node cannot go on from what it has in memory: the process must end and begin again from its files.
pub(crate) async fn run(config: &Path, image: Image, told: &Told, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let stopped = async |stop: &mut watch::Receiver<bool>| drop(stop.wait_for(|stop| *stop).await);
    loop {
        // The secrets in it are read anew each time, and kept nowhere else.
        let started = match owner::read(config) {
            Ok(config) => {
                let Image { medium, workloads } = image;
                let settings = Settings { config, directory: DIRECTORY.into(), medium, workloads, sysfs: "/sys".into() };
                shoal_node::start(settings).await.map_err(anyhow::Error::from)
            }
            Err(error) => Err(anyhow::Error::from(error).context("this box looks for no others: it is not known whose it is")),
        };
        match started {
            Ok(running) => {
                let Err(error) = watch_over(running, told, stop.clone()).await else { return Ok(()) };
                tracing::error!("{error:#}");
                told.membership.send_replace(Membership::Failed(format!("{error:#}")));
                tokio::select! {
                    () = stopped(&mut stop) => return Ok(()),
                    () = tokio::time::sleep(SHOW_END) => return Err(error),
                }
            }
            Err(error) => {
                tracing::error!("the node does not start: {error:#}");
                told.membership.send_replace(Membership::Failed(format!("{error:#}")));
            }
        }
        tokio::select! {
            () = stopped(&mut stop) => return Ok(()),
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// Passes on what a node says of itself, until it ends.
async fn watch_over(running: Running, told: &Told, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let Running { handle, mut store, plane, mut task } = running;
    let mut status = handle.status();
    // It ends in order when nobody speaks with it any more.
    let mut handle = Some(handle);
    let mut milestones = Milestones::default();
    loop {
        let now = status.borrow_and_update().clone();
        milestones.pass(Instant::now(), &now);
        told.membership.send_replace(Membership::Node(Box::new(now)));
        told.store.send_replace(store.borrow_and_update().clone());
        tokio::select! {
            ended = &mut task => {
                told.store.send_replace(None);
                drop(plane);
                return ended.context("the node has panicked")?.context("the node has ended");
            }
            Ok(()) = status.changed() => {}
            Ok(()) = store.changed() => {}
            _ = stop.wait_for(|stop| *stop), if handle.is_some() => {
                shoal_node::hand_over(&store).await;
                handle = None;
            }
        }
    }
}

/// How long it took to what a box is for. Each is said once; `shoal bench formation` reads it.
#[derive(Debug, Default)]
struct Milestones {
    usable: Option<Instant>,
    has_leader: bool,
    is_available: bool,
}

impl Milestones {
    fn pass(&mut self, now: Instant, status: &Status) {
        if status.why.first() == Some(&Reason::NoLink) {
            return;
        }
        let took = now.duration_since(*self.usable.get_or_insert(now)).as_secs_f64();
        if status.has_leader && !std::mem::replace(&mut self.has_leader, true) {
            tracing::info!("the first leader was heard {took:.1} s after the network was usable");
        }
        let is_available = status.has_leader && status.why.is_empty() && status.voters.len() >= VOTERS_FOR_ONE_FAILURE;
        if is_available && !std::mem::replace(&mut self.is_available, true) {
            tracing::info!("highly available {took:.1} s after the network was usable");
        }
    }
}

#[cfg(test)]
mod tests {
    use shoal_formation::{BootId, ClusterId, NodeId, NodeKey, Peer};

    use super::*;

    fn status() -> Status {
        Status {
            own: Peer { key: NodeKey([1; 32]), boot: BootId(1) },
            state: State::Member,
            member: Some((ClusterId(0x1234_5678 << 96), NodeId(7))),
            has_leader: true,
            is_born: true,
            is_sealed: false,
            members: vec![NodeId(1), NodeId(7), NodeId(9)],
            voters: vec![NodeId(1), NodeId(7), NodeId(9)],
            why: Vec::new(),
            alarms: Vec::new(),
        }
    }

    fn said(status: Status) -> (Severity, String) {
        let health = Membership::Node(Box::new(status)).health();
        (health.severity, health.text)
    }

    #[test]
    fn three_voters_that_answer_are_highly_available() {
        let text = "cluster 12345678, node n7, 3 voters of 3 members: highly available".to_owned();
        assert_eq!(said(status()), (Severity::Ok, text));
    }

    #[test]
    fn a_box_alone_is_well_and_says_what_is_missing() {
        let alone = Status { members: vec![NodeId(7)], voters: vec![NodeId(7)], why: vec![Reason::TooFewNodes(1)], ..status() };
        let (severity, text) = said(alone);
        assert_eq!(severity, Severity::Ok);
        assert!(text.starts_with("cluster 12345678, node n7, 1 voter of 1 member: 1 of the 3 nodes"), "{text}");
    }

    #[test]
    fn who_misses_others_is_not_well() {
        let missing = Status { why: vec![Reason::VoterMissing(NodeId(9))], ..status() };
        assert_eq!(said(missing).0, Severity::Warning);
        let alarmed = Status { alarms: vec![shoal_formation::Alarm::NoQuorum], ..status() };
        let (severity, text) = said(alarmed);
        assert!(severity == Severity::Error && text.starts_with("there was no leader for ten minutes"), "{text}");
        let listening = Status { state: State::Listening, member: None, has_leader: false, why: vec![Reason::NoLink], ..status() };
        let (severity, text) = said(listening);
        assert!(severity == Severity::Warning && text.contains("no network"), "{text}");
    }

    #[test]
    fn time_begins_with_a_usable_network_and_each_milestone_is_passed_once() {
        let began = Instant::now();
        let mut milestones = Milestones::default();
        let listening = |why| Status { state: State::Listening, member: None, has_leader: false, why: vec![why], ..status() };
        milestones.pass(began, &listening(Reason::NoLink));
        assert_eq!(milestones.usable, None);
        milestones.pass(began + Duration::from_secs(5), &listening(Reason::Looking));
        milestones.pass(began + Duration::from_secs(9), &listening(Reason::NoLink));
        assert!(milestones.usable == Some(began + Duration::from_secs(5)) && !milestones.has_leader);
        milestones
            .pass(began + Duration::from_secs(10), &Status { voters: vec![NodeId(7)], why: vec![Reason::TooFewNodes(1)], ..status() });
        assert!(milestones.has_leader && !milestones.is_available);
        milestones.pass(began + Duration::from_secs(20), &status());
        assert!(milestones.is_available);
    }

    #[tokio::test]
    async fn a_box_that_does_not_know_whose_it_is_says_so_and_ends_when_it_is_told() {
        let place = tempfile::tempdir().unwrap();
        let (membership, mut heard) = watch::channel(Membership::Starting);
        let told = Told { membership, store: watch::channel(None).0 };
        let (stop, stopped) = watch::channel(false);
        let config = place.path().join("config");
        let run = run(&config, Image { medium: Medium::Memory, workloads: false }, &told, stopped);
        let end = async {
            let failed = heard.wait_for(|membership| matches!(membership, Membership::Failed(_))).await.unwrap().clone();
            stop.send_replace(true);
            failed
        };
        let (ended, failed) = tokio::join!(run, end);
        ended.unwrap();
        assert_eq!(failed.health().severity, Severity::Error);
        assert!(failed.health().text.contains("not known whose it is"));
    }
}
