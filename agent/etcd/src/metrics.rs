//! What `/metrics` says, in Prometheus' text format. Where a figure means the same as one of etcd's, it has etcd's name, so that dashboards and
//! alerts made for etcd work; what etcd does not have begins with `shoal_`.
//!
//! Most figures are read from the replica when somebody asks. Kept here is only what the services themselves see: calls and health checks.

use std::{collections::HashSet, sync::Mutex};

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder, proto::MetricFamily};
use shoal_cluster::Replica;

use crate::version::{CLUSTER_VERSION, SERVER_VERSION};

/// Versions of clients told apart. A client says whatever it likes, and each version is a line for ever: what comes later is counted as "other".
const CLIENT_VERSIONS: usize = 32;

/// The longest version of a client that is written down, in bytes. A longer one is counted as "other".
const CLIENT_VERSION_BYTES: usize = 32;

/// Counters of the services.
#[derive(Debug)]
pub(crate) struct ServiceMetrics {
    registry: Registry,
    started: IntCounterVec,
    handled: IntCounterVec,
    client_requests: IntCounterVec,
    client_versions: Mutex<HashSet<String>>,
    pub(crate) health_success: IntCounter,
    pub(crate) health_failures: IntCounter,
}

/// A method, in the words of grpc's metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Method<'a> {
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
    /// `unary`, `server_stream` or `bidi_stream`.
    pub(crate) kind: &'static str,
}

impl ServiceMetrics {
    pub(crate) fn new() -> Self {
        const METHOD: [&str; 3] = ["grpc_type", "grpc_service", "grpc_method"];
        const HANDLED: [&str; 4] = ["grpc_type", "grpc_service", "grpc_method", "grpc_code"];
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels).expect("names and labels are constants");
            registry.register(Box::new(counters.clone())).expect("each name is registered once");
            counters
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help).expect("names are constants");
            registry.register(Box::new(counter.clone())).expect("each name is registered once");
            counter
        };
        Self {
            started: counters("grpc_server_started_total", "Calls that have begun.", &METHOD),
            handled: counters("grpc_server_handled_total", "Calls that have ended, by how.", &HANDLED),
            client_requests: counters(
                "etcd_server_client_requests_total",
                "Calls, by the client's version.",
                &["type", "client_api_version"],
            ),
            client_versions: Mutex::default(),
            health_success: counter("etcd_server_health_success", "Health checks that found everything well."),
            health_failures: counter("etcd_server_health_failures", "Health checks that did not."),
            registry,
        }
    }

    /// A call begins.
    pub(crate) fn started(&self, method: Method<'_>, client_version: Option<&str>) {
        self.started.with_label_values(&[method.kind, method.service, method.name]).inc();
        let stream = if method.kind == "unary" { "unary" } else { "stream" };
        self.client_requests.with_label_values(&[stream, &self.known_version(client_version)]).inc();
    }

    /// A call ends. `code` in grpc's spelling.
    pub(crate) fn handled(&self, method: Method<'_>, code: &str) {
        self.handled.with_label_values(&[method.kind, method.service, method.name, code]).inc();
    }

    fn known_version(&self, version: Option<&str>) -> String {
        let Some(version) = version else { return "unknown".to_owned() };
        let mut known = self.client_versions.lock().expect("nobody panics while holding it");
        let fits = version.len() <= CLIENT_VERSION_BYTES;
        if known.contains(version) || fits && known.len() < CLIENT_VERSIONS && known.insert(version.to_owned()) {
            version.to_owned()
        } else {
            "other".to_owned()
        }
    }

    /// Everything, as `/metrics` says it.
    pub(crate) fn text(&self, replica: &dyn Replica) -> String {
        let mut families = self.registry.gather();
        families.extend(of_replica(replica));
        families.extend(of_process());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        TextEncoder::new().encode_to_string(&families).expect("writing to memory does not fail")
    }
}

/// Figures that are read when somebody asks, and then forgotten.
struct Sheet(Registry);

impl Sheet {
    fn gauge(&self, name: &str, help: &str, value: u64) {
        self.labelled(Opts::new(name, help), value);
    }

    fn labelled(&self, opts: Opts, value: u64) {
        let gauge = IntGauge::with_opts(opts).expect("names are constants");
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        self.0.register(Box::new(gauge)).expect("each name is used once with the same labels");
    }

    fn counter(&self, name: &str, help: &str, value: u64) {
        self.counters(Opts::new(name, help), value);
    }

    fn counters(&self, opts: Opts, value: u64) {
        let counter = IntCounter::with_opts(opts).expect("names are constants");
        counter.inc_by(value);
        self.0.register(Box::new(counter)).expect("each name is used once with the same labels");
    }
}

fn of_replica(replica: &dyn Replica) -> Vec<MetricFamily> {
    let sheet = Sheet(Registry::new());
    let (identity, status, metrics) = (replica.identity(), replica.status(), replica.metrics());
    let (revision, compact_revision, usage) = {
        let store = replica.store();
        (store.revision(), store.compact_revision(), store.usage())
    };
    let hexadecimal = |id: u64| format!("{id:x}");

    sheet.labelled(Opts::new("etcd_server_version", "Which etcd this is.").const_label("server_version", SERVER_VERSION), 1);
    sheet.labelled(Opts::new("etcd_cluster_version", "Which etcd the cluster is.").const_label("cluster_version", CLUSTER_VERSION), 1);
    sheet.labelled(Opts::new("etcd_server_id", "Which member this is.").const_label("server_id", hexadecimal(identity.member)), 1);
    sheet.gauge("etcd_server_has_leader", "Whether a leader is known.", metrics.has_leader.into());
    sheet.gauge("etcd_server_is_leader", "Whether this member leads.", metrics.is_leader.into());
    sheet.gauge("etcd_server_is_learner", "Whether this member has no vote.", metrics.is_learner.into());
    sheet.counter("etcd_server_leader_changes_seen_total", "Times that another leader was seen.", metrics.leader_changes_seen);
    sheet.gauge("etcd_server_proposals_committed_total", "Index of the last entry known to be committed.", metrics.proposals_committed);
    sheet.gauge("etcd_server_proposals_applied_total", "Index of the last entry applied.", metrics.proposals_applied);
    sheet.gauge("etcd_server_proposals_pending", "Proposals that wait.", metrics.proposals_pending);
    sheet.counter("etcd_server_proposals_failed_total", "Proposals that failed.", metrics.proposals_failed);
    sheet.counter("etcd_server_read_indexes_failed_total", "Linearizable reads that failed.", metrics.read_indexes_failed);
    sheet.counter("etcd_debugging_server_lease_expired_total", "Leases that have expired.", metrics.leases_expired);
    sheet.gauge("etcd_server_quota_backend_bytes", "The quota, in bytes; 0 is none.", status.db_size_quota);
    sheet.gauge("etcd_mvcc_db_total_size_in_bytes", "Bytes of the checkpoint's file.", status.db_size);
    sheet.gauge("etcd_mvcc_db_total_size_in_use_in_bytes", "Bytes of all keys and values kept.", status.db_size_in_use);
    sheet.gauge("etcd_debugging_mvcc_keys_total", "Keys.", usage.keys);
    sheet.gauge("etcd_debugging_mvcc_current_revision", "The newest revision.", u64::try_from(revision).unwrap_or_default());
    // Before the first compaction the store says -1, and etcd 0.
    sheet.gauge("etcd_debugging_mvcc_compact_revision", "The last compaction.", u64::try_from(compact_revision).unwrap_or_default());
    sheet.counter("shoal_store_snapshots_sent_total", "Snapshots of the state sent to peers.", metrics.snapshots_sent);
    sheet.counter("shoal_store_snapshots_installed_total", "Snapshots of the state installed.", metrics.snapshots_installed);
    for (peer, bytes) in metrics.peer_sent_bytes {
        let opts = Opts::new("etcd_network_peer_sent_bytes_total", "Bytes sent to a peer.");
        sheet.counters(opts.const_label("To", hexadecimal(peer)), bytes);
    }
    for (peer, bytes) in metrics.peer_received_bytes {
        let opts = Opts::new("etcd_network_peer_received_bytes_total", "Bytes received from a peer.");
        sheet.counters(opts.const_label("From", hexadecimal(peer)), bytes);
    }
    for (cause, written) in metrics.written {
        let cause = format!("{cause:?}").to_lowercase();
        let opts = Opts::new("shoal_store_written_bytes_total", "Bytes written to the medium, by cause.");
        sheet.counters(opts.const_label("cause", &cause), written.bytes);
        let opts = Opts::new("shoal_store_syncs_total", "Calls of fsync and fdatasync, by cause.");
        sheet.counters(opts.const_label("cause", &cause), written.syncs);
    }
    sheet.0.gather()
}

/// Memory, processor time and open files of this process, under the names that all exporters use.
fn of_process() -> Vec<MetricFamily> {
    use prometheus::core::Collector;

    prometheus::process_collector::ProcessCollector::for_self().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_clients_make_up_are_not_written_down_without_end() {
        let metrics = ServiceMetrics::new();
        assert_eq!(metrics.known_version(None), "unknown");
        assert_eq!(metrics.known_version(Some(&"9".repeat(CLIENT_VERSION_BYTES + 1))), "other");
        for version in 0..CLIENT_VERSIONS {
            assert_eq!(metrics.known_version(Some(&version.to_string())), version.to_string());
        }
        assert_eq!(metrics.known_version(Some("one more")), "other");
        assert_eq!(metrics.known_version(Some("0")), "0");
    }
}
