//! What is applied to the cluster itself, with the image's own kubectl, from one file: names and rights that its parts need, and its DNS.

mod dns;
mod rights;

use serde_json::json;

use crate::certificates::{self, Authority};
use crate::inputs::Inputs;
use crate::kubeconfig;
use crate::output::{Draft, NewUnit};

/// Whose fields they are, to server-side apply.
const FIELD_MANAGER: &str = "shoal";

pub(crate) fn add(inputs: &Inputs<'_>, plan: &mut Draft) {
    plan.certificate(certificates::admin());
    let kubeconfig = kubeconfig::add(inputs, plan, "admin");
    let items: Vec<_> = rights::objects().into_iter().chain(dns::objects(inputs)).collect();
    let objects = plan.json(&inputs.run("addons.json"), &json!({"apiVersion": "v1", "kind": "List", "items": items}));
    plan.unit(NewUnit {
        name: "addons",
        program: inputs.program("kubectl"),
        arguments: vec![
            format!("--kubeconfig={kubeconfig}"),
            "apply".to_owned(),
            "--server-side".to_owned(),
            // The API knows what it takes, and refuses the rest. Before it is asked, kubectl would fetch a description of all that there is, which takes
            // kube-apiserver seconds of a real processor to make, at the worst of times.
            "--validate=ignore".to_owned(),
            // What the image says of its own add-ons holds, whoever edited them.
            "--force-conflicts".to_owned(),
            format!("--field-manager={FIELD_MANAGER}"),
            format!("--filename={objects}"),
        ],
        files: vec![kubeconfig, objects],
        certificates: vec!["admin"],
        waits_for_api: Some(inputs.authority(Authority::Kubernetes)),
    });
}
