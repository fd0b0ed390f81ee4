//! The network of a node's pods: CNI's `bridge`, `host-local` and `portmap`, on nftables.

use serde_json::json;

use crate::inputs::Inputs;
use crate::output::Draft;

/// The first file in its directory counts.
const FILE: &str = "10-shoal.conflist";

pub(crate) fn add(inputs: &Inputs<'_>, plan: &mut Draft) {
    let value = json!({
        "cniVersion": "1.0.0",
        "name": "shoal",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                // A pod may be a client of a Service that it serves.
                "hairpinMode": true,
                "ipMasq": true,
                "ipMasqBackend": "nftables",
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": inputs.node_pods().to_string()}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    // Forgotten with each boot, as the pods are that had them.
                    "dataDir": inputs.run("addresses"),
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}, "backend": "nftables"},
        ],
    });
    plan.json(&format!("{}/{FILE}", inputs.policy.directories.cni), &value);
}
