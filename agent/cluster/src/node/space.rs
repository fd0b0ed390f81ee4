//! Room for what clients add: by the quota, and in the log.
//!
//! | there is | what happens |
//! |---|---|
//! | room | nothing |
//! | no next segment, but more than the reserve left in this one | checkpoints are written and the log is purged, see [`super::housekeeping`] |
//! | less than the reserve, or not by the quota | this member raises the alarm NOSPACE, which is everybody's |
//! | the alarm | what adds something is refused before it takes a place in any log; reads, deletions, compactions and the end of leases go on |
//!
//! As in etcd, the alarm stays until an operator disarms it, however much room there is by then, and comes back if there is none.
//!
//! A member raises it for its own log, whoever writes: a follower has no say in what its leader sends it, and its log would fail, which ends it.

use std::{sync::Arc, time::Duration};

use shoal_kv::{Alarm, AlarmAction, AlarmRequest, Command};
use shoal_store_files::log::Space;
use tokio::time::Instant;

use super::Inner;
use crate::raft::entry::Content;

/// Bytes of the log's last segment that are left to what goes on under the alarm, and to what was on its way when it was raised. An entry takes
/// 4 KiB at least, so these are two thousand deletions, or revocations of leases, or changes of members. With half a segment, if that is less.
///
/// It is not certain to be enough: proposals for a hundred MiB may be on their way (`PROPOSAL_BYTES_MAX`). If they are, the log
/// fails before it has acknowledged them, which ends this member and loses nothing. When it starts again it can still vote, and has its reads.
const LOG_RESERVE_BYTES: u64 = 8 << 20;

/// How often room is looked for when nothing is applied, and how long an alarm that could not be raised is left alone.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Raises this member's alarm whenever its log has less than the reserve.
pub(super) async fn watch(inner: Arc<Inner>) {
    let mut applied = inner.machine.applied.subscribe();
    loop {
        if inner.log_lacks_room() {
            inner.raise_no_space().await;
        }
        let changed = tokio::time::timeout(LOOK_INTERVAL, applied.changed()).await;
        if matches!(changed, Ok(Err(_))) || inner.has_ended() {
            return;
        }
    }
}

impl Inner {
    pub(super) fn has_alarm(&self, alarm: Alarm) -> bool {
        self.machine.state.read().store.alarms().any(|raised| raised.alarm == alarm)
    }

    /// Whether there is no room for so many bytes more, here or anywhere. If it is here, everybody is told.
    pub(super) async fn is_out_of_space(self: &Arc<Self>, added: u64) -> bool {
        let quota = self.config.quota_bytes;
        let is_over = quota > 0 && self.machine.state.read().store.usage().bytes + added > quota;
        if is_over || self.log_lacks_room() {
            self.raise_no_space().await;
            return true;
        }
        if !self.has_alarm(Alarm::NoSpace) {
            return false;
        }
        // Whoever applies it would refuse it, too. But first it would take room in all logs, and in one there is none. The alarm may have been
        // disarmed without this member having heard of it: whoever has seen that must not be refused.
        self.read_barrier().await.is_err() || self.has_alarm(Alarm::NoSpace)
    }

    /// Whether the log has less than the reserve.
    fn log_lacks_room(&self) -> bool {
        let reserve = LOG_RESERVE_BYTES.min(u64::from(self.config.storage.log.segment_bytes) / 2);
        matches!(self.log.log().space(), Space::Low { left, .. } if left < reserve)
    }

    /// Raises this member's alarm, unless it is raised, or that has just failed.
    async fn raise_no_space(&self) {
        let member = self.member();
        let is_raised = || self.machine.state.read().store.alarms().any(|raised| raised.member == member && raised.alarm == Alarm::NoSpace);
        // All who are refused at the same time want it raised once, and wait for that once.
        let mut failed = self.raising_alarm.lock().await;
        if is_raised() || failed.is_some_and(|at| at.elapsed() < LOOK_INTERVAL) {
            return;
        }
        let raise = AlarmRequest { action: AlarmAction::Activate, member, alarm: Alarm::NoSpace };
        let raised = self.propose(Content::Command(Command::Alarm(raise))).await;
        if let Err(error) = &raised {
            tracing::warn!(%error, "the alarm for lack of space was not raised");
        }
        *failed = raised.is_err().then(Instant::now);
    }
}
