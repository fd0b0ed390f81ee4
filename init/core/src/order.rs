//! Which service waits for which.
//!
//! `after` of `services.toml` as numbers: a service starts when all its predecessors are ready, and is stopped at shutdown when
//! none of its dependants is left.

use shoal_contract::Services;

/// A service, by its place in `services.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub(crate) usize);

/// The order of services, in both directions.
#[derive(Debug)]
pub(crate) struct Order {
    predecessors: Vec<Vec<ServiceId>>,
    dependants: Vec<Vec<ServiceId>>,
}

impl Order {
    /// Reads the order out of checked services; a name that does not exist (the check refuses it) orders nothing.
    pub(crate) fn new(services: &Services) -> Self {
        let number = |name: &str| services.services.iter().position(|service| service.name == name).map(ServiceId);
        let predecessors: Vec<Vec<ServiceId>> =
            services.services.iter().map(|service| service.after.iter().filter_map(|name| number(name)).collect()).collect();
        let mut dependants = vec![Vec::new(); predecessors.len()];
        for (dependant, before) in predecessors.iter().enumerate() {
            for id in before {
                dependants[id.0].push(ServiceId(dependant));
            }
        }
        Self { predecessors, dependants }
    }

    /// What must be ready before `id` starts.
    pub(crate) fn predecessors(&self, id: ServiceId) -> &[ServiceId] {
        &self.predecessors[id.0]
    }

    /// What must have ended before `id` is stopped at shutdown.
    pub(crate) fn dependants(&self, id: ServiceId) -> &[ServiceId] {
        &self.dependants[id.0]
    }
}
