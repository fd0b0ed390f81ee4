//! Time passes, and leases end.

use std::time::Duration;

use proptest::prelude::*;
use shoal_kv::{
    Command, LeaseRevokeRequest, Now,
    lessor::{LessorConfig, RenewError},
};

use crate::{clients::Checked, world::World};

pub(crate) const LESSOR: LessorConfig =
    LessorConfig { revocations_at_once: 1, revocation_interval: Duration::from_secs(1), retry_after: Duration::from_secs(1000) };

impl World<'_> {
    pub(crate) fn after(&self, seconds: i64) -> Now {
        self.now.plus(Duration::from_secs(seconds.try_into().unwrap()))
    }

    pub(crate) fn pass(&mut self, seconds: u64) -> Checked {
        self.now = self.now.plus(Duration::from_secs(seconds));
        let expired = self.lessor.expired(self.now);
        let now = self.now;
        let over = |deadline: &Now| *deadline <= now;
        let due = self.deadlines.iter().filter(|(id, deadline)| over(deadline) && !self.revoking.contains(id)).count();
        prop_assert_eq!(expired.len(), due.min(LESSOR.revocations_at_once));
        if expired.len() < due {
            self.seen.note("a lease has to wait for its end");
        }
        for id in expired {
            prop_assert!(over(&self.deadlines[&id]), "lease {id} has time left");
            self.revoking.insert(id);
            // One revocation in four is lost on its way.
            if (id + self.oracle.revision) % 4 != 0 {
                self.apply(Command::LeaseRevoke(LeaseRevokeRequest { id }))?;
            }
        }
        Ok(())
    }

    pub(crate) fn keep_alive(&mut self, id: i64) -> Checked {
        let renewed = self.lessor.renew(self.now, id);
        self.seen.note_result("keep-alive", &renewed);
        let expected = match self.deadlines.get(&id) {
            None => Err(RenewError::NotFound),
            Some(&deadline) if deadline <= self.now => Err(RenewError::Expired),
            Some(_) => Ok(self.oracle.leases[&id]),
        };
        prop_assert_eq!(renewed, expected);
        if let Ok(ttl) = renewed {
            self.deadlines.insert(id, self.after(ttl));
        }
        Ok(())
    }

    pub(crate) fn change_leader(&mut self) -> Checked {
        self.lessor.demote();
        prop_assert_eq!(self.lessor.renew(self.now, 1), Err(RenewError::NotPrimary));
        self.lessor.promote(self.now, self.store.leases());
        self.revoking.clear();
        self.deadlines = self.oracle.leases.iter().map(|(&id, &ttl)| (id, self.after(ttl))).collect();
        Ok(())
    }
}
