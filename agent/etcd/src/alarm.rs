//! `Maintenance.Alarm`.

use shoal_kv::{Alarm, AlarmAction as Change, Command, Outcome};

use crate::{
    response,
    shared::Shared,
    status::Error,
    wire::etcdserverpb::{AlarmRequest, AlarmResponse, AlarmType, alarm_request::AlarmAction},
};

pub(crate) async fn alarm(shared: &Shared, request: AlarmRequest) -> Result<AlarmResponse, Error> {
    let kind = match AlarmType::try_from(request.alarm) {
        Ok(AlarmType::Nospace) => Some(Alarm::NoSpace),
        Ok(AlarmType::Corrupt) => Some(Alarm::Corrupt),
        Ok(AlarmType::None) | Err(_) => None,
    };
    let alarms = match (AlarmAction::try_from(request.action), kind) {
        (Ok(AlarmAction::Get), kind) => {
            shared.replica.read_barrier().await?;
            let store = shared.replica.store();
            store.alarms().filter(|alarm| kind.is_none_or(|kind| alarm.alarm == kind)).collect()
        }
        (Ok(AlarmAction::Activate), Some(alarm)) => change(shared, request.member_id, alarm, Change::Activate).await?,
        (Ok(AlarmAction::Deactivate), Some(alarm)) => change(shared, request.member_id, alarm, Change::Deactivate).await?,
        // As in etcd, nothing is done and nothing is said.
        (Ok(AlarmAction::Activate | AlarmAction::Deactivate), None) | (Err(_), _) => Vec::new(),
    };
    Ok(AlarmResponse { header: Some(shared.header_now()), alarms: alarms.into_iter().map(response::alarm).collect() })
}

async fn change(shared: &Shared, member: u64, alarm: Alarm, action: Change) -> Result<Vec<shoal_kv::AlarmMember>, Error> {
    match shared.replica.propose(Command::Alarm(shoal_kv::AlarmRequest { action, member, alarm })).await? {
        Outcome::Alarm(response) => Ok(response.alarms),
        other => unreachable!("an alarm has no outcome like {other:?}"),
    }
}
