//! What a plan is.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::certificates::Certificate;

/// What runs on a node, complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// Hash of all the rest: two plans with one generation are the same.
    pub generation: String,
    /// What the node must have as an address on its loopback link, because it has no other.
    pub address_to_hold: Option<Ipv4Addr>,
    /// Files to write.
    pub files: Vec<PlannedFile>,
    /// Certificates that must be there, with their keys.
    pub certificates: Vec<Certificate>,
    /// Programs, in the order in which they start.
    pub units: Vec<Unit>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedFile {
    /// Absolute path.
    pub path: String,
    /// Permissions, as of chmod(2).
    pub mode: u32,
    /// Text.
    pub contents: String,
    /// A secret that takes the place of [`Secret::placeholder`] in `contents`.
    pub secret: Option<Secret>,
}

/// A secret that a plan names and does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Secret {
    /// The 32 bytes that Secrets are encrypted with in the store, in base64.
    EncryptionKey,
}

impl Secret {
    /// What stands for it in a file's contents.
    #[must_use]
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::EncryptionKey => "@encryption-key@",
        }
    }
}

/// A program that runs as the service of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Unit {
    /// Name of the service.
    pub name: String,
    /// Absolute path.
    pub program: String,
    /// Arguments behind its name.
    pub arguments: Vec<String>,
    /// In addition to what the service has from its recipe.
    pub environment: BTreeMap<String, String>,
    /// Names of the certificates that it uses; with a new one it is to be started again.
    pub certificates: Vec<String>,
    /// The program is not begun before the API says that it is ready; this is the file of the authority that its certificate is verified with.
    pub waits_for_api: Option<String>,
    /// Hash of all this and of the planned files that it reads.
    pub generation: String,
}

/// A unit before it has a generation.
#[derive(Debug, Default)]
pub(crate) struct NewUnit {
    pub(crate) name: &'static str,
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    /// Planned files that it reads.
    pub(crate) files: Vec<String>,
    pub(crate) certificates: Vec<&'static str>,
    pub(crate) waits_for_api: Option<String>,
}

/// A plan in the making.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    files: Vec<PlannedFile>,
    certificates: Vec<Certificate>,
    units: Vec<Unit>,
}

/// Only root reads it: what is configured is nobody else's business, and some of it is secret.
const MODE: u32 = 0o600;

impl Draft {
    /// Adds a file of JSON, which is also YAML.
    pub(crate) fn json(&mut self, path: &str, value: &serde_json::Value) -> String {
        self.file(path, format!("{value:#}\n"), None)
    }

    pub(crate) fn file(&mut self, path: &str, contents: String, secret: Option<Secret>) -> String {
        self.files.push(PlannedFile { path: path.to_owned(), mode: MODE, contents, secret });
        path.to_owned()
    }

    pub(crate) fn certificate(&mut self, certificate: Certificate) {
        self.certificates.push(certificate);
    }

    pub(crate) fn unit(&mut self, unit: NewUnit) {
        let NewUnit { name, program, arguments, files, certificates, waits_for_api } = unit;
        let read: Vec<&PlannedFile> = self.files.iter().filter(|file| files.contains(&file.path)).collect();
        assert_eq!(read.len(), files.len(), "{name} reads a file that is not planned before it");
        let issued: Vec<&Certificate> = self.certificates.iter().filter(|one| certificates.contains(&one.name.as_str())).collect();
        assert_eq!(issued.len(), certificates.len(), "{name} uses a certificate that is not planned before it");
        let generation = hash(&(name, &program, &arguments, read, issued, &waits_for_api));
        let (name, certificates) = (name.to_owned(), certificates.into_iter().map(str::to_owned).collect());
        self.units.push(Unit { name, program, arguments, environment: BTreeMap::new(), certificates, waits_for_api, generation });
    }

    pub(crate) fn finish(self, address_to_hold: Option<Ipv4Addr>) -> Plan {
        let Self { files, certificates, units } = self;
        let generation = hash(&(address_to_hold, &files, &certificates, &units));
        Plan { generation, address_to_hold, files, certificates, units }
    }
}

fn hash(value: &impl Serialize) -> String {
    let text = serde_json::to_vec(value).unwrap_or_else(|error| unreachable!("a plan is plain data: {error}"));
    data_encoding::HEXLOWER.encode(&Sha256::digest(text))
}

impl fmt::Display for Plan {
    /// For people: each unit as a command line, each certificate as a line, each file with its contents.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "generation {}", self.generation)?;
        if let Some(address) = self.address_to_hold {
            writeln!(formatter, "address {address} on the loopback link")?;
        }
        for unit in &self.units {
            let when = if unit.waits_for_api.is_some() { ", when the API is ready" } else { "" };
            writeln!(formatter, "\nunit {}{when}\n  {}", unit.name, unit.program)?;
            for argument in &unit.arguments {
                writeln!(formatter, "    {argument}")?;
            }
        }
        writeln!(formatter)?;
        for certificate in &self.certificates {
            writeln!(formatter, "certificate {certificate}")?;
        }
        for file in &self.files {
            writeln!(formatter, "\nfile {} ({:04o})", file.path, file.mode)?;
            for line in file.contents.lines() {
                writeln!(formatter, "  {line}")?;
            }
        }
        Ok(())
    }
}
