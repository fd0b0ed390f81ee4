//! Plans, as they were when somebody last looked at them.

use shoal_plane::{Cluster, Observed, Plan, Policy, Role, plan, ranges};

fn cluster() -> Cluster {
    let (pods, services) = ranges::choose(&[]);
    Cluster { id: "0".repeat(32), pods, services }
}

fn observed() -> Observed {
    Observed { role: Role::ControlPlane, node: "shoal-00000000".into(), ordinal: 0, addresses: Vec::new(), name_servers: Vec::new() }
}

fn planned(observed: &Observed) -> Plan {
    plan(&Policy::default(), &cluster(), observed)
}

/// Every argument, file and certificate of a box that is alone. A change that is meant is stored by
/// `cargo run -p shoal-agent -- plan >agent/plane/tests/stored_plan.txt`.
#[test]
fn a_box_that_is_alone_runs_what_was_stored() {
    let (stored, now) = (include_str!("stored_plan.txt"), planned(&observed()).to_string());
    for (number, (stored, now)) in stored.lines().zip(now.lines()).enumerate() {
        assert_eq!(stored, now, "line {} differs; see `shoal-agent plan`", number + 1);
    }
    assert_eq!(stored, now);
}

#[test]
fn a_plan_follows_from_its_inputs_alone_and_its_generation_tells_plans_apart() {
    let alone = planned(&observed());
    assert_eq!(alone, planned(&observed()));
    let others = [
        Observed { addresses: vec![[10, 0, 0, 5].into()], ..observed() },
        Observed { name_servers: vec![[10, 0, 0, 1].into()], ..observed() },
        Observed { node: "shoal-1".into(), ..observed() },
        Observed { ordinal: 1, ..observed() },
        Observed { role: Role::Worker, ..observed() },
    ];
    for other in others {
        assert_ne!(planned(&other).generation, alone.generation, "{other:?}");
    }
}

/// What a new address restarts, and what it leaves running.
#[test]
fn a_new_address_changes_only_the_units_that_say_or_show_it() {
    let alone = planned(&observed());
    let leased = planned(&Observed { addresses: vec![[10, 0, 0, 5].into()], ..observed() });
    let changed: Vec<&str> = alone
        .units
        .iter()
        .zip(&leased.units)
        .filter(|(before, after)| before.generation != after.generation)
        .map(|(unit, _)| unit.name.as_str())
        .collect();
    assert_eq!(changed, ["kube-apiserver", "kubelet"]);
    assert_eq!((alone.address_to_hold, leased.address_to_hold), (Some([198, 18, 0, 1].into()), None));
}

#[test]
fn a_worker_runs_no_control_plane_and_has_no_certificate_of_one() {
    let worker = planned(&Observed { role: Role::Worker, addresses: vec![[10, 0, 0, 6].into()], ordinal: 1, ..observed() });
    let units: Vec<&str> = worker.units.iter().map(|unit| unit.name.as_str()).collect();
    let certificates: Vec<&str> = worker.certificates.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(
        (units.as_slice(), certificates.as_slice()),
        (&["kubelet", "kube-proxy"][..], &["kubelet", "kubelet-server", "kube-proxy"][..])
    );
}

/// Nothing of a plan that is printed, logged or compared is secret.
#[test]
fn a_plan_names_secrets_and_does_not_hold_them() {
    let plan = planned(&observed());
    let with_secret: Vec<&str> = plan.files.iter().filter(|file| file.secret.is_some()).map(|file| file.path.as_str()).collect();
    assert_eq!(with_secret, ["/run/shoal/cluster/encryption.json"]);
    assert!(plan.files.iter().all(|file| !file.contents.contains("PRIVATE KEY") && file.mode == 0o600));
}
