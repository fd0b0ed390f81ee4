//! The leadership, handed to another member.

use crate::{
    Replica,
    error::MoveLeaderError,
    node::{Inner, Node},
};

impl Node {
    /// Hands the leadership to some other voter, if this member has it: before it is ended in order, so that nobody waits for an election. If nobody can take
    /// it, the others elect one. The caller bounds the time.
    pub async fn hand_over(&self) {
        if !self.leadership().borrow().is_self {
            return;
        }
        let own = self.identity().member;
        for member in self.members().into_iter().filter(|member| member.id != own && !member.is_learner) {
            match self.move_leader(member.id).await {
                Ok(()) => return tracing::info!(to = format!("{:x}", member.id), "another member leads"),
                Err(error) => tracing::info!(to = format!("{:x}", member.id), %error, "cannot hand over"),
            }
        }
    }
}

impl Inner {
    /// Waits until a member is connected and has nearly everything, but for no longer than an election would take. The leadership is only
    /// handed to one that can take it at once: until it does, nobody is answered.
    async fn is_ready_to_lead(&self, id: u64) -> bool {
        let ready = async {
            while !(self.is_connected(id) && self.has_caught_up(id)) {
                tokio::time::sleep(self.config.heartbeat_interval / 4).await;
            }
        };
        tokio::time::timeout(self.config.election_timeout, ready).await.is_ok()
    }

    /// [`Replica::move_leader`](crate::Replica::move_leader).
    pub(super) async fn move_leader(&self, to: u64) -> Result<(), MoveLeaderError> {
        let mut leadership = self.leadership.subscribe();
        if !leadership.borrow().is_self {
            return Err(MoveLeaderError::NotLeader);
        }
        if to == self.member() {
            return Ok(());
        }
        let votes = self.effective_membership().membership().voter_ids().any(|voter| voter == to);
        if !votes || !self.is_ready_to_lead(to).await {
            return Err(MoveLeaderError::BadTransferee);
        }
        let moving = async {
            self.raft.trigger().transfer_leader(to).await.map_err(|_| MoveLeaderError::Stopped)?;
            leadership.wait_for(|now| now.leader == Some(to)).await.map(|_| ()).map_err(|_| MoveLeaderError::Stopped)
        };
        tokio::select! {
            biased;
            () = self.until_ended() => Err(MoveLeaderError::Stopped),
            moved = tokio::time::timeout(self.request_timeout(), moving) => moved.unwrap_or(Err(MoveLeaderError::Timeout)),
        }
    }
}
