//! Who is who: every certificate of a node, with names that are computed here.
//!
//! There are three authorities, so that none of their certificates is worth anything to another: that of Kubernetes, the front proxy's, whose holder
//! may speak in anybody's name to aggregated APIs, and the store's, whose holder may read and write everything.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::inputs::Inputs;

/// Who signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authority {
    /// Kubernetes' own: users, nodes, kube-apiserver.
    Kubernetes,
    /// That of kube-apiserver towards aggregated APIs.
    FrontProxy,
    /// The store's.
    Store,
}

impl Authority {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kubernetes, Self::FrontProxy, Self::Store];

    /// Its name, which is also that of its files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes-ca",
            Self::FrontProxy => "front-proxy-ca",
            Self::Store => "store-ca",
        }
    }
}

/// A certificate that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Certificate {
    /// Its name on this node, and that of its files.
    pub name: String,
    /// Who signs.
    pub authority: Authority,
    /// Common name: the user, to Kubernetes.
    pub common_name: String,
    /// Organisation: the group, to Kubernetes.
    pub organization: Option<String>,
    /// DNS names of a server.
    pub dns_names: Vec<String>,
    /// Addresses of a server.
    pub addresses: Vec<IpAddr>,
    /// To be shown by a server.
    pub server: bool,
    /// To be shown by a client.
    pub client: bool,
    /// The authority's own certificate is shown with it, for who does not know the authority yet.
    pub with_authority: bool,
}

impl fmt::Display for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.name, self.common_name)?;
        if let Some(organization) = &self.organization {
            write!(formatter, " of {organization}")?;
        }
        write!(formatter, ", by {}", self.authority.name())?;
        if self.server {
            let addresses = self.addresses.iter().map(IpAddr::to_string);
            let names: Vec<String> = self.dns_names.iter().cloned().chain(addresses).collect();
            write!(formatter, ", server at {}", names.join(" "))?;
        }
        if self.with_authority {
            formatter.write_str(", with its authority")?;
        }
        if self.client { formatter.write_str(", client") } else { Ok(()) }
    }
}

/// Group whose members may do everything, whatever RBAC says.
const MASTERS: &str = "system:masters";
/// Who has a certificate that the fleet's operator has signed (`shoal-access`).
pub const OWNER: &str = "shoal:owner";
/// Group of those; `addons` gives it its rights.
pub const OWNERS: &str = "shoal:owners";
/// Group of nodes.
const NODES: &str = "system:nodes";
/// What kube-apiserver calls itself towards kubelets; `addons` gives it its rights.
pub(crate) const KUBELET_CLIENT: &str = "shoal:kube-apiserver-kubelet-client";
/// The only name that aggregated APIs take from a front proxy.
pub(crate) const FRONT_PROXY: &str = "front-proxy-client";

fn client(name: &str, authority: Authority, common_name: &str, organization: Option<&str>) -> Certificate {
    Certificate {
        name: name.to_owned(),
        authority,
        common_name: common_name.to_owned(),
        organization: organization.map(str::to_owned),
        dns_names: Vec::new(),
        addresses: Vec::new(),
        server: false,
        client: true,
        with_authority: false,
    }
}

fn server(name: &str, authority: Authority, common_name: &str, dns_names: Vec<String>, addresses: Vec<IpAddr>) -> Certificate {
    Certificate { dns_names, addresses, server: true, client: false, ..client(name, authority, common_name, None) }
}

/// The store's member towards its clients, on its own node.
pub(crate) fn store() -> Certificate {
    server("store", Authority::Store, "shoal-store", vec!["localhost".to_owned()], vec![IpAddr::from([127, 0, 0, 1])])
}

/// kube-apiserver towards the store.
pub(crate) fn store_client() -> Certificate {
    client("store-client", Authority::Store, "kube-apiserver", None)
}

/// kube-apiserver towards everybody. The only one with addresses that may change, and the only one whom somebody asks who has never seen the cluster.
pub(crate) fn apiserver(inputs: &Inputs<'_>) -> Certificate {
    let domain = &inputs.policy.domain;
    let names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned);
    let names = names.into_iter().chain([format!("kubernetes.default.svc.{domain}"), "localhost".to_owned(), inputs.observed.node.clone()]);
    let names = names.chain(inputs.policy.owner.as_ref().map(|owner| owner.voucher.clone()));
    let mut addresses = vec![IpAddr::from([127, 0, 0, 1]), inputs.api_service().into()];
    addresses.extend(inputs.observed.addresses.iter().copied().map(IpAddr::from));
    addresses.extend(inputs.address_to_hold().map(IpAddr::from));
    let certificate = server("kube-apiserver", Authority::Kubernetes, "kube-apiserver", names.collect(), addresses);
    Certificate { with_authority: true, ..certificate }
}

/// kube-apiserver towards kubelets.
pub(crate) fn kubelet_client() -> Certificate {
    client("kubelet-client", Authority::Kubernetes, KUBELET_CLIENT, None)
}

/// kube-apiserver towards aggregated APIs.
pub(crate) fn front_proxy() -> Certificate {
    client("front-proxy", Authority::FrontProxy, FRONT_PROXY, None)
}

/// A part of the control plane or of a node, by its name in RBAC's bootstrap policy.
pub(crate) fn component(name: &str) -> Certificate {
    client(name, Authority::Kubernetes, &format!("system:{name}"), None)
}

/// Who applies the add-ons, before RBAC gives anybody a right.
pub(crate) fn admin() -> Certificate {
    client("admin", Authority::Kubernetes, "shoal:admin", Some(MASTERS))
}

/// The node towards the API.
pub(crate) fn kubelet(inputs: &Inputs<'_>) -> Certificate {
    client("kubelet", Authority::Kubernetes, &format!("system:node:{}", inputs.observed.node), Some(NODES))
}

/// The node towards kube-apiserver, which comes to its address for logs and the like.
pub(crate) fn kubelet_server(inputs: &Inputs<'_>) -> Certificate {
    let (node, address) = (inputs.observed.node.clone(), inputs.address().into());
    server("kubelet-server", Authority::Kubernetes, &format!("system:node:{node}"), vec![node], vec![address])
}
