//! Rights that RBAC's bootstrap policy gives to nobody by itself.

use serde_json::{Value, json};

use crate::certificates::{KUBELET_CLIENT, OWNERS};

pub(super) fn objects() -> Vec<Value> {
    vec![
        // kube-apiserver towards kubelets: logs, exec, port-forward, and no more than that.
        binding("shoal:kubelet-api", "system:kubelet-api-admin", "User", KUBELET_CLIENT),
        // The fleet's owner. By RBAC and not as `system:masters`, whom no rule concerns: what an owner may do can be read, and audited by name.
        binding("shoal:owners", "cluster-admin", "Group", OWNERS),
    ]
}

fn binding(name: &str, role: &str, kind: &str, subject: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": subject}],
    })
}
