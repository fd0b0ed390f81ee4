//! Who leads, as far as this member can know.
//!
//! raft remembers the leader it last voted for or heard of until there is another. That says nothing about whether it is still there: here a
//! leader counts while it is heard, and a member that leads while a majority answers it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use openraft::{Instant as _, ServerState, async_runtime::WatchReceiver};
use tokio::time::Instant;

use super::{Counters, Ended, Inner, answer::is_removed};
use crate::{peer::message::Lane, status::Leadership};

/// When this member last heard of a leader.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Option<(u64, Instant)>>);

impl Heard {
    /// A member that leads has sent something.
    pub(crate) fn note(&self, leader: u64) {
        *self.0.lock().expect("nobody panics while noting") = Some((leader, Instant::now()));
    }

    fn within(&self, leader: u64, patience: Duration) -> bool {
        let heard = *self.0.lock().expect("nobody panics while noting");
        heard.is_some_and(|(from, at)| from == leader && at.elapsed() < patience)
    }
}

/// Keeps [`Inner::leadership`] as it should be, and notices when raft has ended.
pub(super) async fn watch(inner: Arc<Inner>) {
    let mut server = inner.raft.server_metrics();
    let mut ticks = tokio::time::interval(inner.config.heartbeat_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut removed = inner.peers.removed().subscribe();
    loop {
        update(&inner);
        let mut is_over = false;
        tokio::select! {
            biased;
            // The last thing that raft says is why it has ended.
            changed = server.changed() => is_over = changed.is_err(),
            _ = ticks.tick() => {}
            removed = removed.wait_for(|removed| *removed), if inner.config.formed.is_none() => {
                if removed.is_ok() {
                    inner.end(Ended::Removed);
                }
                break;
            }
        }
        let metrics = inner.metrics();
        // A leader that is removed hands over first.
        // A node of a cluster that forms itself leaves when its core says so.
        let goes_by_configuration = inner.config.formed.is_none();
        if goes_by_configuration && is_removed(&metrics.committed_membership_config, inner.member()) && metrics.state != ServerState::Leader
        {
            inner.end(Ended::Removed);
            break;
        }
        if let Err(fatal) = metrics.running_state {
            let shutdown = matches!(fatal, openraft::errors::Fatal::Stopped);
            inner.end(if shutdown { Ended::Shutdown } else { Ended::Failed(crate::checkpoint::chain(&fatal)) });
            break;
        }
        if is_over {
            break;
        }
    }
    // A task that panicked could not say why it ended; whoever asks it for anything is told.
    let why =
        inner.raft.with_raft_state(|_| ()).await.err().map_or_else(String::new, |fatal| format!(": {}", crate::checkpoint::chain(&fatal)));
    inner.end(Ended::Failed(format!("raft has ended{why}")));
    inner.leadership.send_modify(|leadership| leadership.leader = None);
}

/// Asks the others whether this member still belongs to them, while it hears of no leader. A voter finds out when it stands for election; a learner
/// never does, and is sent nothing any more when it was removed while it was away.
pub(super) async fn ask_whether_removed(inner: Arc<Inner>) {
    let mut leadership = inner.leadership.subscribe();
    loop {
        if leadership.wait_for(|now| now.leader.is_none()).await.is_err() {
            return;
        }
        // Longer than an election takes, after which there is somebody to hear of.
        tokio::time::sleep(4 * inner.config.election_timeout).await;
        if leadership.borrow().leader.is_some() {
            continue;
        }
        for id in inner.peers.known() {
            // Whoever is asked says so when it is greeted, and that is noted there.
            if let Err(error) = inner.peers.connect(id, Lane::Control).await {
                tracing::debug!(error = crate::checkpoint::chain(&error), "a member was asked whether this one belongs to it");
            }
        }
    }
}

fn update(inner: &Inner) {
    let metrics = inner.metrics();
    let member = inner.member();
    // A leader's lease, and the longest a follower waits before it stands for election.
    let patience = 2 * inner.config.election_timeout;
    let leads = metrics.state == ServerState::Leader && metrics.current_leader == Some(member);
    let is_alone = metrics.membership_config.membership().voter_ids().eq([member]);
    let leader = metrics.current_leader.filter(|&leader| {
        if leader == member {
            let acknowledged = metrics.last_quorum_acked.as_ref().is_some_and(|at| at.elapsed() < patience);
            leads && (is_alone || acknowledged)
        } else {
            inner.heard.within(leader, patience)
        }
    });
    let now = Leadership { leader, term: metrics.current_term, is_self: leader == Some(member) };
    let before = inner.leadership.send_replace_if_changed(now);
    let Some(before) = before else { return };
    if now.leader.is_some() && now.leader != before.leader {
        Counters::count(&inner.counters.leader_changes);
        tracing::info!(leader = now.leader.map(|id| format!("{id:x}")), term = now.term, "there is a leader");
    }
    if before.leader.is_some() && now.leader.is_none() {
        tracing::warn!(term = now.term, "no leader is known");
    }
}

trait SendChanged {
    fn send_replace_if_changed(&self, now: Leadership) -> Option<Leadership>;
}

impl SendChanged for tokio::sync::watch::Sender<Leadership> {
    /// Tells of the change, and returns what was before, if there is any.
    fn send_replace_if_changed(&self, now: Leadership) -> Option<Leadership> {
        let mut before = None;
        self.send_if_modified(|leadership| {
            let changed = *leadership != now;
            if changed {
                before = Some(std::mem::replace(leadership, now));
            }
            changed
        });
        before
    }
}
