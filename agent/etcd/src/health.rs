//! Whether this member can serve: the checks behind `/health`, `/livez` and `/readyz`, with etcd's names and reasons.

use shoal_kv::Alarm;

use crate::{shared::Shared, status::Error};

/// The answer of `/health`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    /// It can serve.
    Well,
    /// It cannot, and why.
    Ill(String),
}

/// Looks for alarms that are not excluded, for a leader, and whether a read succeeds. A `serializable` check asks this member alone.
pub(crate) async fn health(shared: &Shared, excluded: &[&str], serializable: bool) -> Health {
    let alarm = shared.replica.store().alarms().map(|alarm| name(alarm.alarm)).find(|alarm| !excluded.contains(alarm));
    if let Some(alarm) = alarm {
        return Health::Ill(format!("ALARM {alarm}"));
    }
    if serializable {
        return Health::Well;
    }
    if shared.leadership().leader.is_none() {
        return Health::Ill("RAFT NO LEADER".to_owned());
    }
    match shared.replica.read_barrier().await {
        Ok(()) => Health::Well,
        Err(error) => Health::Ill(format!("RANGE ERROR:{error}")),
    }
}

const fn name(alarm: Alarm) -> &'static str {
    match alarm {
        Alarm::NoSpace => "NOSPACE",
        Alarm::Corrupt => "CORRUPT",
    }
}

/// One check of `/livez` or `/readyz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// No member has found its data damaged.
    DataCorruption,
    /// This member answers from what it has.
    SerializableRead,
    /// The cluster agrees on what is newest.
    LinearizableRead,
    /// This member has a vote.
    NonLearner,
}

impl Probe {
    /// Whether the process should go on living.
    pub(crate) const LIVEZ: [Self; 1] = [Self::SerializableRead];

    /// Whether it should be sent requests.
    pub(crate) const READYZ: [Self; 4] = [Self::DataCorruption, Self::SerializableRead, Self::LinearizableRead, Self::NonLearner];

    /// Its name in paths.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DataCorruption => "data_corruption",
            Self::SerializableRead => "serializable_read",
            Self::LinearizableRead => "linearizable_read",
            Self::NonLearner => "non_learner",
        }
    }

    /// Says why not.
    pub(crate) async fn run(self, shared: &Shared) -> Result<(), String> {
        match self {
            Self::DataCorruption => {
                let corrupt = shared.replica.store().alarms().any(|alarm| alarm.alarm == Alarm::Corrupt);
                if corrupt { Err("alarm activated: CORRUPT".to_owned()) } else { Ok(()) }
            }
            // To come by the store is to read it.
            Self::SerializableRead => {
                let _ = shared.replica.store().revision();
                Ok(())
            }
            Self::LinearizableRead => shared.replica.read_barrier().await.map_err(|error| Error::from(error).to_string()),
            Self::NonLearner if shared.replica.status().is_learner => Err("not supported for learner".to_owned()),
            Self::NonLearner => Ok(()),
        }
    }
}
