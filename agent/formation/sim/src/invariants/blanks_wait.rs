//! A blank box does not found beside a cluster that it can talk to, asleep or awake, a removed one never does, and nobody
//! does without a link who expects somebody. (S8, and rule 2)

use shoal_formation::{Role, Standing};

use crate::{boxes::Computer, raft::Time, world::SECOND};

/// Time within which two boxes that reach each other must have met: the slowest reconnection, and a hello.
const MEET: Time = 12 * SECOND;

/// Somebody founds.
pub(crate) fn founds(now: Time, network_changed: Time, index: usize, boxes: &[Computer]) -> Result<(), String> {
    let computer = &boxes[index];
    if let Role::ExMember(cluster) = computer.stick.role {
        return Err(format!("box {index}, which was removed from {cluster}, founds"));
    }
    let Some(process) = &computer.process else { return Ok(()) };
    if computer.settings.expect == Some(1) {
        return Ok(());
    }
    if !process.leased {
        return Err(format!("box {index} founds without a link"));
    }
    for (other, beside) in boxes.iter().enumerate().filter(|(other, _)| *other != index) {
        let Some(member) = &beside.process else { continue };
        if !matches!(member.standing, Some(Standing::Member(_))) {
            continue;
        }
        // Nothing has changed between the two for long enough; or they have met, and the core was told.
        let has_met = process.core.knows(member.core.peer()) && member.core.knows(process.core.peer());
        if has_met && now >= network_changed + MEET && now >= member.standing_since + MEET {
            return Err(format!("box {index} founds although box {other} is {:?}", member.standing));
        }
    }
    Ok(())
}
