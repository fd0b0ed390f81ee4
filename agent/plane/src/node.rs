//! kubelet and kube-proxy: what every node runs.

use serde_json::{Value, json};

use crate::apiserver::TLS_MINIMUM;
use crate::certificates::{self, Authority};
use crate::inputs::Inputs;
use crate::kubeconfig;
use crate::output::{Draft, NewUnit};

/// What pods cannot have, because the parts of a node need it: the control plane on an idle box takes some 600 MB. A box with less than that left
/// evicts pods before the kernel kills its kube-apiserver.
const RESERVED_CONTROL_PLANE: &str = "700Mi";
const RESERVED_WORKER: &str = "300Mi";

/// Where drivers of volumes may be put that are programs of a node.
pub(crate) const VOLUME_PLUGINS: &str = "/var/lib/kubelet/volume-plugins";

/// How long pods have to end when the box is switched off, and how much of it is kept for those the cluster itself needs. Less than PID 1 waits for
/// whoever delays a shutdown (3 minutes).
const SHUTDOWN: &str = "30s";
const SHUTDOWN_CRITICAL: &str = "10s";

pub(crate) fn add(inputs: &Inputs<'_>, plan: &mut Draft) {
    for certificate in [certificates::kubelet(inputs), certificates::kubelet_server(inputs), certificates::component("kube-proxy")] {
        plan.certificate(certificate);
    }
    let kubeconfig = kubeconfig::add(inputs, plan, "kubelet");
    let configuration = plan.json(&inputs.run("kubelet.json"), &kubelet(inputs));
    plan.unit(NewUnit {
        name: "kubelet",
        program: inputs.program("kubelet"),
        arguments: vec![
            format!("--config={configuration}"),
            format!("--kubeconfig={kubeconfig}"),
            format!("--hostname-override={}", inputs.observed.node),
            format!("--node-ip={}", inputs.address()),
        ],
        files: vec![kubeconfig, configuration],
        certificates: vec!["kubelet", "kubelet-server"],
        waits_for_api: None,
    });

    let kubeconfig = kubeconfig::add(inputs, plan, "kube-proxy");
    let configuration = plan.json(&inputs.run("kube-proxy.json"), &proxy(inputs, &kubeconfig));
    plan.unit(NewUnit {
        name: "kube-proxy",
        program: inputs.program("kube-proxy"),
        arguments: vec![format!("--config={configuration}")],
        files: vec![kubeconfig, configuration],
        certificates: vec!["kube-proxy"],
        waits_for_api: None,
    });
}

fn kubelet(inputs: &Inputs<'_>) -> Value {
    let reserved = match inputs.observed.role {
        crate::Role::ControlPlane => RESERVED_CONTROL_PLANE,
        crate::Role::Worker => RESERVED_WORKER,
    };
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": inputs.address().to_string(),
        "readOnlyPort": 0,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": inputs.authority(Authority::Kubernetes)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": inputs.certificate("kubelet-server"),
        "tlsPrivateKeyFile": inputs.key("kubelet-server"),
        "tlsMinVersion": TLS_MINIMUM,
        "rotateCertificates": false,
        "serverTLSBootstrap": false,
        "enableProfilingHandler": false,
        "enableDebugFlagsHandler": false,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        // PID 1 is not systemd.
        "cgroupDriver": "cgroupfs",
        "clusterDNS": [inputs.dns_service().to_string()],
        "clusterDomain": inputs.policy.domain,
        // Without name servers there may be no such file, and a pod is then given none.
        "resolvConf": if inputs.observed.name_servers.is_empty() { "" } else { "/run/resolv.conf" },
        // Below /usr, upstream's default, nothing can be written.
        "volumePluginDir": VOLUME_PLUGINS,
        // There is no iptables to keep a chain for.
        "makeIPTablesUtilChains": false,
        "containerLogMaxSize": "5Mi",
        "containerLogMaxFiles": 3,
        "systemReserved": {"memory": reserved},
        "shutdownGracePeriod": SHUTDOWN,
        "shutdownGracePeriodCriticalPods": SHUTDOWN_CRITICAL,
    })
}

fn proxy(inputs: &Inputs<'_>, kubeconfig: &str) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": inputs.observed.node,
        "clientConnection": {"kubeconfig": kubeconfig},
        "clusterCIDR": inputs.cluster.pods.to_string(),
        "detectLocalMode": "ClusterCIDR",
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "enableProfiling": false,
    })
}
