//! What happens to the members, as it follows from a seed.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use shoal_etcd::wire::etcdserverpb::{StatusRequest, StatusResponse, maintenance_client::MaintenanceClient};
use tokio::time::sleep;

use crate::{
    members::{Members, SIZE},
    world::World,
};

/// Milliseconds: of undisturbed work before a fault, of absence, between two restarts, and from a start to a kill that falls into it.
const WORK: std::ops::Range<u64> = 50..600;
const ABSENCE: std::ops::Range<u64> = 0..1500;
const BETWEEN_RESTARTS: std::ops::Range<u64> = 0..200;
const STARTING: std::ops::Range<u64> = 0..400;

/// Milliseconds of a pause that is longer than the election timeout, which is a second: another member leads then.
const LONGER_THAN_AN_ELECTION: std::ops::Range<u64> = 2000..3000;

/// Milliseconds of a pause that is longer than the life of a lease, too, counted anew by the next leader.
const LONGER_THAN_A_LEASE: std::ops::Range<u64> = 5500..7000;

/// Who is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom {
    Leader,
    Anybody,
}

/// What happens while a member is stopped, and in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// Another one is killed and started again, so that there is no majority for a while.
    AnotherIsKilled,
    /// It does not go on, but is killed.
    ItIsKilled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// So many are killed at once.
    Kill {
        whom: Whom,
        members: usize,
        absence: Duration,
    },
    /// One is killed so many times while it starts.
    KillStarting {
        times: usize,
    },
    Pause {
        whom: Whom,
        length: Duration,
        meanwhile: Meanwhile,
    },
}

impl Fault {
    fn next(rng: &mut Rng) -> Self {
        let whom = if rng.bool() { Whom::Leader } else { Whom::Anybody };
        let absence = milliseconds(rng, ABSENCE);
        match rng.u32(..20) {
            0..5 => Self::Kill { whom, members: 1, absence },
            5..9 => Self::Kill { whom, members: 2, absence },
            9..12 => Self::Kill { whom, members: SIZE, absence },
            12..15 => Self::KillStarting { times: rng.usize(1..4) },
            _ => {
                let length = if rng.u32(..3) == 0 { LONGER_THAN_A_LEASE } else { LONGER_THAN_AN_ELECTION };
                let meanwhile = match rng.u32(..4) {
                    0 => Meanwhile::AnotherIsKilled,
                    1 => Meanwhile::ItIsKilled,
                    _ => Meanwhile::Nothing,
                };
                Self::Pause { whom, length: milliseconds(rng, length), meanwhile }
            }
        }
    }
}

fn milliseconds(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

/// Has faults happen to the members until so many were killed. Mostly it waits until all is well before the next fault.
pub(crate) async fn run(world: &Arc<World>, members: &mut Members, mut rng: Rng, kills: usize) {
    world.until_healed(members).await;
    while members.kills < kills {
        sleep(milliseconds(&mut rng, WORK)).await;
        let fault = Fault::next(&mut rng);
        println!("{:?} after {} kills: {fault:?}", world.elapsed(), members.kills);
        strike(world, members, fault, &mut rng).await;
        for member in order(&mut rng) {
            sleep(milliseconds(&mut rng, BETWEEN_RESTARTS)).await;
            members.restart(member);
        }
        members.assert_none_has_ended();
        world.assert_no_violation();
        if rng.u32(..4) > 0 {
            world.until_healed(members).await;
        }
    }
    world.until_healed(members).await;
}

async fn strike(world: &Arc<World>, members: &mut Members, fault: Fault, rng: &mut Rng) {
    let mut order = order(rng);
    match fault {
        Fault::Kill { whom, members: count, absence } => {
            put_first(world, members, whom, &mut order).await;
            members.kill(&order[..count]);
            sleep(absence).await;
        }
        Fault::KillStarting { times } => {
            members.kill(&order[..1]);
            for _ in 0..times {
                members.restart(order[0]);
                sleep(milliseconds(rng, STARTING)).await;
                members.assert_none_has_ended();
                members.kill(&order[..1]);
            }
        }
        Fault::Pause { whom, length, meanwhile } => {
            put_first(world, members, whom, &mut order).await;
            members.stop(order[0]);
            sleep(length / 2).await;
            if meanwhile == Meanwhile::AnotherIsKilled {
                members.kill(&order[1..2]);
                sleep(milliseconds(rng, STARTING)).await;
                members.restart(order[1]);
            }
            sleep(length / 2).await;
            if meanwhile == Meanwhile::ItIsKilled {
                members.kill(&order[..1]);
            } else {
                members.resume(order[0]);
            }
        }
    }
}

fn order(rng: &mut Rng) -> [usize; SIZE] {
    let mut order = std::array::from_fn(|member| member);
    rng.shuffle(&mut order);
    order
}

/// Puts the leader first, if that is who is wanted and there is one.
async fn put_first(world: &World, members: &Members, whom: Whom, order: &mut [usize; SIZE]) {
    if whom == Whom::Leader
        && let Some(leader) = world.leader(members).await
        && let Some(place) = order.iter().position(|&member| member == leader)
    {
        order.swap(0, place);
    }
}

impl World {
    async fn status(&self, member: usize) -> Option<StatusResponse> {
        let status = MaintenanceClient::new(self.channel(member)).status(StatusRequest {}).await;
        status.ok().map(tonic::Response::into_inner)
    }

    /// Who says that it leads.
    async fn leader(&self, members: &Members) -> Option<usize> {
        for member in members.awake() {
            if let Some(status) = self.status(member).await
                && status.header.is_some_and(|header| header.member_id == status.leader)
            {
                return Some(member);
            }
        }
        None
    }
}
