//! Rights that RBAC's bootstrap policy gives to nobody by itself.

use serde_json::{Value, json};

use crate::certificates::KUBELET_CLIENT;

pub(super) fn objects() -> Vec<Value> {
    // kube-apiserver towards kubelets: logs, exec, port-forward, and no more than that.
    vec![json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "shoal:kubelet-api"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:kubelet-api-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": KUBELET_CLIENT}],
    })]
}
