//! D: as far as it is formation's.

use shoal_formation_sim::invariants::liveness;

use crate::boxes::*;

#[test]
fn d7_a_link_that_flaps_costs_nothing_but_time() {
    each_seed(|world| {
        formed(world, 3);
        let first = cluster(world, 0);
        for down in [30, 600] {
            world.set_cable(0, false);
            world.run_for(down * SECOND);
            world.set_cable(0, true);
            within(world, MINUTE, "one cluster", liveness::is_one);
        }
        is(world, (0..3).all(|index| cluster(world, index) == first), "the same as before");
    });
}

#[test]
fn d8_with_a_third_of_multicasts_lost_boxes_take_twice_as_long_at_most() {
    each_seed(|world| {
        world.network.multicast_loss = 300;
        fleet(world, 3);
        all_on(world);
        world.run_until(6 * SECOND);
        let end = world.checks.last_link + 40 * SECOND;
        let so = world.run_until_so(end, |world| (0..3).all(|index| member(world, index).is_some_and(|member| member.live)));
        is(world, so, "all are members in time");
        within(world, 30 * SECOND, "one cluster", liveness::is_one);
    });
}
