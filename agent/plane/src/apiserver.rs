//! kube-apiserver: its flags, and the files they name.

use serde_json::{Value, json};

use crate::certificates::{self, Authority, FRONT_PROXY};
use crate::inputs::{API_PORT, CLIENT_AUTHORITIES, Inputs, STORE_PORT};
use crate::output::{Draft, NewUnit, Secret};

/// Megabytes of an audit log before the next is begun, and how many of the earlier ones are kept: with the open one, at most 40 MB of the medium.
const AUDIT_MEGABYTES: u32 = 10;
const AUDIT_BACKUPS: u32 = 3;

/// The least version of TLS that anything speaks. Go offers no weak cipher with it, so there is no list of ciphers to keep.
pub(crate) const TLS_MINIMUM: &str = "VersionTLS13";

pub(crate) fn add(inputs: &Inputs<'_>, plan: &mut Draft) {
    for certificate in
        [certificates::store_client(), certificates::apiserver(inputs), certificates::kubelet_client(), certificates::front_proxy()]
    {
        plan.certificate(certificate);
    }
    let authentication = plan.json(&inputs.run("authentication.json"), &authentication());
    let admission = plan.json(&inputs.run("admission.json"), &admission());
    let audit = plan.json(&inputs.run("audit-policy.json"), &audit_policy());
    let encryption = plan.file(&inputs.run("encryption.json"), format!("{:#}\n", encryption()), Some(Secret::EncryptionKey));

    let issuer = format!("https://kubernetes.default.svc.{}", inputs.policy.domain);
    let flags = [
        // Who reaches it, and where.
        ("bind-address", "0.0.0.0".to_owned()),
        ("secure-port", API_PORT.to_string()),
        ("advertise-address", inputs.address().to_string()),
        ("tls-cert-file", inputs.certificate("kube-apiserver")),
        ("tls-private-key-file", inputs.key("kube-apiserver")),
        ("tls-min-version", TLS_MINIMUM.to_owned()),
        ("profiling", "false".to_owned()),
        // Where it keeps everything.
        ("etcd-servers", format!("https://127.0.0.1:{STORE_PORT}")),
        ("etcd-cafile", inputs.authority(Authority::Store)),
        ("etcd-certfile", inputs.certificate("store-client")),
        ("etcd-keyfile", inputs.key("store-client")),
        ("encryption-provider-config", encryption.clone()),
        // Who somebody is.
        ("authentication-config", authentication.clone()),
        ("client-ca-file", inputs.run(&format!("authorities/{CLIENT_AUTHORITIES}"))),
        ("service-account-issuer", issuer),
        ("service-account-key-file", inputs.run("authorities/service-account.pub")),
        ("service-account-signing-key-file", inputs.run("authorities/service-account.key")),
        ("requestheader-client-ca-file", inputs.authority(Authority::FrontProxy)),
        ("requestheader-allowed-names", FRONT_PROXY.to_owned()),
        ("requestheader-username-headers", "X-Remote-User".to_owned()),
        ("requestheader-group-headers", "X-Remote-Group".to_owned()),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-".to_owned()),
        // What somebody may do.
        ("authorization-mode", "Node,RBAC".to_owned()),
        ("enable-admission-plugins", "NodeRestriction".to_owned()),
        ("admission-control-config-file", admission.clone()),
        ("allow-privileged", "true".to_owned()),
        // What was done.
        ("audit-policy-file", audit.clone()),
        ("audit-log-path", format!("{}/audit.log", inputs.policy.directories.log)),
        ("audit-log-mode", "batch".to_owned()),
        ("audit-log-maxsize", AUDIT_MEGABYTES.to_string()),
        ("audit-log-maxbackup", AUDIT_BACKUPS.to_string()),
        // Whom it calls. Nodes' names are in no DNS.
        ("kubelet-preferred-address-types", "InternalIP".to_owned()),
        ("kubelet-certificate-authority", inputs.authority(Authority::Kubernetes)),
        ("kubelet-client-certificate", inputs.certificate("kubelet-client")),
        ("kubelet-client-key", inputs.key("kubelet-client")),
        ("proxy-client-cert-file", inputs.certificate("front-proxy")),
        ("proxy-client-key-file", inputs.key("front-proxy")),
        // Aggregated APIs are called at their pods: a node without a default route has no way to a Service's address.
        ("enable-aggregator-routing", "true".to_owned()),
        ("service-cluster-ip-range", inputs.cluster.services.to_string()),
    ];
    plan.unit(NewUnit {
        name: "kube-apiserver",
        program: inputs.program("kube-apiserver"),
        arguments: flags.into_iter().map(|(flag, value)| format!("--{flag}={value}")).collect(),
        files: vec![authentication, admission, audit, encryption],
        certificates: vec!["store-client", "kube-apiserver", "kubelet-client", "front-proxy"],
        waits_for_api: None,
    });
}

/// Nobody is anonymous, but for questions about health, which probes and balancers ask without a certificate.
fn authentication() -> Value {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "anonymous": {"enabled": true, "conditions": [{"path": "/livez"}, {"path": "/readyz"}, {"path": "/healthz"}]},
    })
}

/// Workloads move in as they are; one that asks for more than the baseline of the Pod Security Standards is let in with a warning.
fn admission() -> Value {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{
            "name": "PodSecurity",
            "configuration": {
                "apiVersion": "pod-security.admission.config.k8s.io/v1",
                "kind": "PodSecurityConfiguration",
                "defaults": {
                    "enforce": "privileged",
                    "enforce-version": "latest",
                    "audit": "baseline",
                    "audit-version": "latest",
                    "warn": "baseline",
                    "warn-version": "latest",
                },
                "exemptions": {"usernames": [], "runtimeClasses": [], "namespaces": ["kube-system"]},
            },
        }],
    })
}

/// Who changed what, and never with which contents: those may be secret. Not what the cluster's own parts do all the time, which would wear the
/// medium out and push what people did out of a log with a bound.
fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "omitManagedFields": true,
        "rules": [
            {"level": "None", "verbs": ["get", "list", "watch"]},
            {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"]},
            {"level": "None", "users": ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy"]},
            {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}, {"group": "events.k8s.io"}]},
            {"level": "Metadata"},
        ],
    })
}

/// Secrets are encrypted in the store, with `secretbox` (XSalsa20 and Poly1305): its nonce is long enough to be random for ever.
fn encryption() -> Value {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{
            "resources": ["secrets"],
            "providers": [
                {"secretbox": {"keys": [{"name": "key1", "secret": Secret::EncryptionKey.placeholder()}]}},
                {"identity": {}},
            ],
        }],
    })
}
