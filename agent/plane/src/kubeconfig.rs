//! How a program reaches the API: a kubeconfig (client-go's `clientcmd/api/v1`), with a certificate of its own.

use serde_json::json;

use crate::certificates::Authority;
use crate::inputs::Inputs;
use crate::output::Draft;

/// Adds the kubeconfig that shows the certificate `name`; gives its path.
pub(crate) fn add(inputs: &Inputs<'_>, plan: &mut Draft, name: &str) -> String {
    let value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "shoal", "cluster": {"server": Inputs::api(), "certificate-authority": inputs.authority(Authority::Kubernetes)}}],
        "users": [{"name": name, "user": {"client-certificate": inputs.certificate(name), "client-key": inputs.key(name)}}],
        "contexts": [{"name": "shoal", "context": {"cluster": "shoal", "user": name}}],
        "current-context": "shoal",
    });
    plan.json(&inputs.run(&format!("{name}.kubeconfig")), &value)
}

impl Inputs<'_> {
    /// File of an authority's certificate.
    pub(crate) fn authority(&self, authority: Authority) -> String {
        self.run(&format!("authorities/{}.crt", authority.name()))
    }

    /// File of a certificate.
    pub(crate) fn certificate(&self, name: &str) -> String {
        self.state(&format!("certificates/{name}.crt"))
    }

    /// File of its key.
    pub(crate) fn key(&self, name: &str) -> String {
        self.state(&format!("certificates/{name}.key"))
    }
}
