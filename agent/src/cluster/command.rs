//! `shoal-agent plan`: what would run on a node, for people and for tests.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use shoal_plane::ranges::{self, Range};
use shoal_plane::{Cluster, Observed, Policy, Role, plan};

use super::authorities::Authorities;
use super::{files, now, prepare};

/// `shoal-agent plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct PlanCommand {
    /// What the node is.
    #[arg(long, value_enum, default_value_t = RoleFlag::ControlPlane)]
    role: RoleFlag,
    /// Name of the node.
    #[arg(long, default_value = "shoal-00000000")]
    node: String,
    /// Number of the node in its cluster.
    #[arg(long, default_value_t = 0)]
    ordinal: u32,
    /// Address of the node; none for a node that is alone.
    #[arg(long = "address", value_name = "ADDRESS")]
    addresses: Vec<Ipv4Addr>,
    /// Name server of the node's site.
    #[arg(long = "name-server", value_name = "ADDRESS")]
    name_servers: Vec<IpAddr>,
    /// Addresses of pods.
    #[arg(long, value_name = "RANGE", default_value_t = ranges::choose(&[]).0)]
    pods: Range,
    /// Addresses of Services.
    #[arg(long, value_name = "RANGE", default_value_t = ranges::choose(&[]).1)]
    services: Range,
    /// Directory of the programs.
    #[arg(long, value_name = "DIRECTORY", default_value_t = Policy::default().directories.programs)]
    programs: String,
    /// Write all files below this directory, with certificates of authorities that are made there the first time, ready for `shoal-agent run --units
    /// DIRECTORY/run/units`.
    #[arg(long, value_name = "DIRECTORY")]
    write: Option<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum RoleFlag {
    ControlPlane,
    Worker,
}

/// Permissions of the file that has the authorities' keys.
const SECRET: u32 = 0o600;

/// What stands in the place of the cluster's id.
const EXAMPLE_ID: &str = "00000000000000000000000000000000";

impl PlanCommand {
    /// Prints the plan.
    ///
    /// # Errors
    /// If it is to be written and cannot.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self { role, node, ordinal, addresses, name_servers, pods, services, programs, write } = self;
        let role = match role {
            RoleFlag::ControlPlane => Role::ControlPlane,
            RoleFlag::Worker => Role::Worker,
        };
        let observed = Observed { role, node, ordinal, addresses, name_servers };
        let mut policy = Policy::default();
        policy.directories.programs = programs;
        let Some(root) = write else {
            print!("{}", plan(&policy, &Cluster { id: EXAMPLE_ID.to_owned(), pods, services }, &observed));
            return Ok(());
        };
        policy.directories.state = format!("{root}/state");
        policy.directories.run = format!("{root}/run");
        policy.directories.cni = format!("{root}/cni");
        policy.directories.log = format!("{root}/log");
        let path = Path::new(&root).join("authorities.json");
        let authorities = if path.exists() {
            Authorities::from_bytes(&std::fs::read(&path)?)?
        } else {
            let made = Authorities::new(EXAMPLE_ID.to_owned(), now(), (pods, services))?;
            files::make_directory(Path::new(&root))?;
            files::replace(&path, SECRET, &made.to_bytes())?;
            made
        };
        let prepared = prepare::prepare(&policy, &observed, &authorities, now())?;
        super::execute::write_records(&prepared)?;
        print!("{}", prepared.plan);
        Ok(())
    }
}
