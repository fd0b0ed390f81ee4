//! The store's member: on loopback only, and to nobody without a certificate of the store's own authority.

use crate::certificates::{self, Authority};
use crate::inputs::Inputs;
use crate::output::{Draft, NewUnit};

/// Where clients reach the member of their own node.
pub(crate) const CLIENT_URL: &str = "https://127.0.0.1:2379";
/// Where other members reach it, once there are any.
const PEER_URL: &str = "https://127.0.0.1:2380";

pub(crate) fn add(inputs: &Inputs<'_>, plan: &mut Draft) {
    plan.certificate(certificates::store(inputs));
    let (certificate, key, authority) = (inputs.certificate("store"), inputs.key("store"), inputs.authority(Authority::Store));
    let arguments = vec![
        format!("--name={}", inputs.observed.node),
        format!("--data-dir={}", inputs.state("store")),
        format!("--listen-client-urls={CLIENT_URL}"),
        format!("--advertise-client-urls={CLIENT_URL}"),
        format!("--listen-peer-urls={PEER_URL}"),
        format!("--initial-advertise-peer-urls={PEER_URL}"),
        format!("--initial-cluster-token={}", inputs.cluster.id),
        format!("--cert-file={certificate}"),
        format!("--key-file={key}"),
        format!("--trusted-ca-file={authority}"),
        "--client-cert-auth=true".to_owned(),
        format!("--peer-cert-file={certificate}"),
        format!("--peer-key-file={key}"),
        format!("--peer-trusted-ca-file={authority}"),
        "--peer-client-cert-auth=true".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    plan.unit(NewUnit { name: "store", program: inputs.program("shoal-store"), arguments, files: Vec::new(), certificates: vec!["store"] });
}
