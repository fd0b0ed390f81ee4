//! What runs of Kubernetes on a box: a pure function of its role, its cluster and what was seen of it.
//!
//! [`plan`] takes a [`Policy`] (what the image says), a [`Cluster`] (what was recorded when it was founded) and [`Observed`] (this node's name,
//! addresses and name servers), and gives a [`Plan`]: files with their contents, certificates that are wanted, and [`Unit`]s, each a program with
//! its arguments, in the order in which they start. There is no choice left in a plan: an executor writes and issues what it says and starts what
//! changed, which it knows by the units' generations. A plan can be printed (`shoal-agent plan`); `tests/stored_plan.rs` compares one with a stored
//! one, so that a change of any argument is seen in review.
//!
//! | module | what it decides |
//! |---|---|
//! | [`ranges`] | addresses of pods and Services that collide with nothing the node sees |
//! | `apiserver`, `controllers`, `node`, `pods` | the programs, one file a group. The store runs in the agent itself, which shows the certificate `store` |
//! | `addons` | what is applied to the cluster itself: DNS, and the rights that the parts need |
//! | [`certificates`] | who is who: subject, names and usages of every certificate, computed here and copied from no request |
//! | [`renewal`] | when a certificate is issued anew |
//!
//! It does no I/O, reads no clock and makes no key: secrets come into files by name ([`Secret`]), and are put in by the executor.
//! Why it is so, and what else was considered: `docs/design/0015-one-box-is-a-cluster.md`.

mod addons;
mod apiserver;
pub mod certificates;
mod controllers;
mod inputs;
mod kubeconfig;
mod node;
mod output;
mod pods;
pub mod ranges;
pub mod renewal;

pub use inputs::{API_PORT, CLIENT_AUTHORITIES, Cluster, Directories, Observed, Owner, Policy, Role, STORE_PORT};
pub use output::{Plan, PlannedFile, Secret, Unit};

/// Decides what runs on a node.
#[must_use]
pub fn plan(policy: &Policy, cluster: &Cluster, observed: &Observed) -> Plan {
    let inputs = inputs::Inputs { policy, cluster, observed };
    let mut plan = output::Draft::default();
    if observed.role == Role::ControlPlane {
        plan.certificate(certificates::store());
        apiserver::add(&inputs, &mut plan);
        controllers::add(&inputs, &mut plan);
        addons::add(&inputs, &mut plan);
    }
    pods::add(&inputs, &mut plan);
    node::add(&inputs, &mut plan);
    plan.finish(inputs.address_to_hold())
}
