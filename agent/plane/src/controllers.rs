//! kube-controller-manager and kube-scheduler: on loopback, each with its own certificate, one leader among those of all nodes.

use crate::apiserver::TLS_MINIMUM;
use crate::certificates::{self, Authority, FRONT_PROXY};
use crate::inputs::Inputs;
use crate::kubeconfig;
use crate::node::VOLUME_PLUGINS;
use crate::output::{Draft, NewUnit};

pub(crate) fn add(inputs: &Inputs<'_>, plan: &mut Draft) {
    let flags = vec![
        format!("--cluster-cidr={}", inputs.cluster.pods),
        format!("--service-cluster-ip-range={}", inputs.cluster.services),
        // A node's part of the pods' addresses follows from its number in the cluster, before there is any controller.
        "--allocate-node-cidrs=false".to_owned(),
        format!("--root-ca-file={}", inputs.authority(Authority::Kubernetes)),
        format!("--service-account-private-key-file={}", inputs.run("authorities/service-account.key")),
        "--use-service-account-credentials=true".to_owned(),
        // It makes this directory, and below /usr, upstream's default, it could not.
        format!("--flex-volume-plugin-dir={VOLUME_PLUGINS}"),
        // It signs nothing: names in certificates are computed by the agent and copied from no request, so the authority's key is not given to it.
    ];
    component(inputs, plan, "kube-controller-manager", flags);
    component(inputs, plan, "kube-scheduler", Vec::new());
}

fn component(inputs: &Inputs<'_>, plan: &mut Draft, name: &'static str, mut arguments: Vec<String>) {
    plan.certificate(certificates::component(name));
    let kubeconfig = kubeconfig::add(inputs, plan, name);
    arguments.extend([
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        // From files, and not from the object that kube-apiserver keeps of them: that may be read only once RBAC's own objects are there, and
        // kube-controller-manager ends when it cannot read it.
        "--authentication-skip-lookup=true".to_owned(),
        format!("--client-ca-file={}", inputs.authority(Authority::Kubernetes)),
        format!("--requestheader-client-ca-file={}", inputs.authority(Authority::FrontProxy)),
        format!("--requestheader-allowed-names={FRONT_PROXY}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--tls-min-version={TLS_MINIMUM}"),
        "--leader-elect=true".to_owned(),
        "--profiling=false".to_owned(),
    ]);
    // Both end when they ask for what is not there yet.
    let waits_for_api = Some(inputs.authority(Authority::Kubernetes));
    plan.unit(NewUnit { name, program: inputs.program(name), arguments, files: vec![kubeconfig], certificates: vec![name], waits_for_api });
}
