//! What a plan is made from.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::ranges::Range;

/// What the image says: the same on every box of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Where things lie.
    pub directories: Directories,
    /// Domain of the cluster's names.
    pub domain: String,
    /// The address that a node without any holds on its loopback link. It must be none that is forwarded anywhere, and none that Kubernetes refuses
    /// as a node's (loopback, link-local): the first of the range that RFC 2544 sets aside for laboratories.
    pub address_alone: Ipv4Addr,
    /// Whose the image is; nobody's where there is none.
    pub owner: Option<Owner>,
}

/// What makes a cluster's API that of its owner (`shoal-access`). Nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// DNS name in kube-apiserver's certificate by which the owner's machine knows that its authority is one of the fleet.
    pub voucher: String,
    /// Certificate, in PEM, of the authority that the owner's machine signs people's certificates with.
    pub authority: String,
}

/// Where things lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directories {
    /// Programs of the image.
    pub programs: String,
    /// What outlives a boot.
    pub state: String,
    /// What begins empty with each boot.
    pub run: String,
    /// Where containerd looks for the pods' network (recipes/kubernetes/containerd.toml): until it is there, the node is not ready.
    pub cni: String,
    /// Logs that outlive a boot, each with a bound.
    pub log: String,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            directories: Directories {
                programs: "/usr/bin".to_owned(),
                state: "/var/lib/shoal/cluster".to_owned(),
                run: "/run/shoal/cluster".to_owned(),
                cni: "/run/cni/net.d".to_owned(),
                log: "/var/log/shoal".to_owned(),
            },
            domain: "cluster.local".to_owned(),
            address_alone: Ipv4Addr::new(198, 18, 0, 1),
            owner: None,
        }
    }
}

/// What was recorded when the cluster was founded, and never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cluster {
    /// Tells clusters apart: 32 hexadecimal digits.
    pub id: String,
    /// Addresses of pods; each node has a part of it.
    pub pods: Range,
    /// Virtual addresses of Services.
    pub services: Range,
}

/// What a node is in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It votes in the store and has a control plane, and runs pods, too.
    ControlPlane,
    /// It runs pods.
    Worker,
}

/// What was seen of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// What it is.
    pub role: Role,
    /// Its name in the cluster: a DNS label, the same for as long as it belongs to it.
    pub node: String,
    /// Its number in the cluster, which gives it its part of the pods' addresses.
    pub ordinal: u32,
    /// Addresses of its links, the one that it is to be reached at first; without loopback, link-local and the pods' own.
    pub addresses: Vec<Ipv4Addr>,
    /// Name servers that its links were given.
    pub name_servers: Vec<IpAddr>,
}

/// Port of kube-apiserver, on all addresses of a node.
pub const API_PORT: u16 = 6443;

/// Name of the file with the authorities of kube-apiserver's clients, beside those of the authorities: Kubernetes' own, and the owner's where there is one.
pub const CLIENT_AUTHORITIES: &str = "clients.crt";

/// Port of the node's own member of the store, on loopback: etcd's.
pub const STORE_PORT: u16 = 2379;

/// All of it, and what follows from it at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) cluster: &'a Cluster,
    pub(crate) observed: &'a Observed,
}

impl Inputs<'_> {
    /// Where the node is reached.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.observed.addresses.first().copied().unwrap_or(self.policy.address_alone)
    }

    /// What the node must give itself because no link has an address.
    pub(crate) fn address_to_hold(&self) -> Option<Ipv4Addr> {
        self.observed.addresses.is_empty().then_some(self.policy.address_alone)
    }

    /// Where the parts of a node reach the API: its own kube-apiserver, and where there is none, what stands in for it at the same place.
    pub(crate) fn api() -> String {
        format!("https://127.0.0.1:{API_PORT}")
    }

    /// The node's part of the pods' addresses.
    pub(crate) fn node_pods(&self) -> Range {
        self.cluster.pods.part(crate::ranges::NODE_PREFIX, self.observed.ordinal)
    }

    /// Address of the API's own Service, `kubernetes.default`: kube-apiserver takes the first one.
    pub(crate) fn api_service(&self) -> Ipv4Addr {
        self.cluster.services.host(1)
    }

    /// Address of the cluster's DNS: the tenth one, as everywhere.
    pub(crate) fn dns_service(&self) -> Ipv4Addr {
        self.cluster.services.host(10)
    }

    pub(crate) fn program(&self, name: &str) -> String {
        format!("{}/{name}", self.policy.directories.programs)
    }

    /// A file that is written anew with each boot.
    pub(crate) fn run(&self, name: &str) -> String {
        format!("{}/{name}", self.policy.directories.run)
    }

    /// A file that outlives a boot.
    pub(crate) fn state(&self, name: &str) -> String {
        format!("{}/{name}", self.policy.directories.state)
    }
}
