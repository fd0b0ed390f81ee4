//! A plan and all it needs to be carried out: what programs read of the cluster's authorities, certificates, and files as the plan has them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use shoal_plane::{Observed, Plan, Policy, Secret, plan};

use super::authorities::Authorities;
use super::{certificates, files};

/// A plan whose files and certificates are there.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What is to run.
    pub(crate) plan: Plan,
    /// Fingerprint of each certificate, by its name.
    pub(crate) fingerprints: BTreeMap<String, String>,
    /// Directory of the records that `shoal-agent run` reads.
    pub(crate) units: std::path::PathBuf,
}

/// Plans, issues what is due, and writes. `now` in seconds since 1970.
///
/// # Errors
/// If the state partition or `/run` cannot be written, or what lies there is damaged.
pub(crate) fn prepare(policy: &Policy, observed: &Observed, authorities: &Authorities, now: i64) -> anyhow::Result<Prepared> {
    let directories = &policy.directories;
    let (state, run) = (Path::new(&directories.state), Path::new(&directories.run));
    let units = run.join("units");
    for directory in [state, &units, Path::new(&directories.log)] {
        files::make_directory(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    authorities.write(&run.join("authorities"), policy.owner.as_ref().map(|owner| owner.authority.as_str()))?;
    let plan = plan(policy, &authorities.cluster, observed);
    let fingerprints = certificates::ensure(&state.join("certificates"), authorities, &plan.certificates, now)?;
    for file in &plan.files {
        let contents = match file.secret {
            Some(secret @ Secret::EncryptionKey) => file.contents.replace(secret.placeholder(), &authorities.encryption_key),
            None => file.contents.clone(),
        };
        let path = Path::new(&file.path);
        if let Some(directory) = path.parent() {
            files::make_directory(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        files::replace(path, file.mode, contents.as_bytes()).with_context(|| format!("cannot write {}", file.path))?;
    }
    Ok(Prepared { plan, fingerprints, units })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::KeyPair;
    use shoal_access::{operator, server, voucher};
    use shoal_plane::{Owner, Role};
    use shoal_trust::fleet::FleetName;
    use shoal_trust::fleet_file::{FleetFile, FleetRandomness};
    use tokio_rustls::rustls::RootCertStore;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use tokio_rustls::rustls::server::WebPkiClientVerifier;

    use super::*;
    use crate::cluster::authorities::tests::authorities;

    fn fleet(number: u8) -> FleetFile {
        let randomness = FleetRandomness { id: [number; 16], operator: [number + 100; 32], join: [number + 200; 32] };
        FleetFile::new(FleetName::new("site1").unwrap(), randomness).unwrap()
    }

    /// What a box of the fleet, or of nobody, prepares: the certificates that its API shows, and those by which it knows clients.
    fn prepared(fleet: Option<&FleetFile>) -> [Vec<CertificateDer<'static>>; 2] {
        let (place, authorities) = (tempfile::tempdir().unwrap(), authorities());
        let root = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        let mut policy = Policy::default();
        (policy.directories.state, policy.directories.run) = (root("state"), root("run"));
        (policy.directories.cni, policy.directories.log) = (root("cni"), root("log"));
        policy.owner = fleet.map(|fleet| {
            let authority = authorities.certificate(shoal_plane::certificates::Authority::Kubernetes).unwrap();
            let authority = CertificateDer::from_pem_slice(authority.as_bytes()).unwrap();
            let operator = operator::authority(fleet.operator().public()).unwrap().pem();
            Owner { voucher: voucher::name(&fleet.keys(), &authority), authority: operator }
        });
        let observed =
            Observed { role: Role::ControlPlane, node: "shoal-1".into(), ordinal: 0, addresses: Vec::new(), name_servers: Vec::new() };
        prepare(&policy, &observed, &authorities, crate::cluster::now()).unwrap();
        ["state/certificates/kube-apiserver.crt", "run/authorities/clients.crt"]
            .map(|path| CertificateDer::pem_file_iter(place.path().join(path)).unwrap().map(Result::unwrap).collect())
    }

    #[test]
    fn the_owners_machine_knows_the_api_and_is_let_in() {
        let (ours, theirs) = (fleet(1), fleet(2));
        let [shown, clients] = prepared(Some(&ours));
        let (address, now) = (ServerName::try_from("192.0.2.1").unwrap(), UnixTime::now());
        let vouched = server::verify(&ours.keys(), &shown, &address, now).unwrap();
        assert_eq!((&vouched.authority, vouched.name), (&shown[1], Some(server::COMMON_NAME)));
        assert_eq!(server::verify(&theirs.keys(), &shown, &address, now), Err(server::ServerError::OtherFleet));

        let mut roots = RootCertStore::empty();
        clients.into_iter().for_each(|certificate| roots.add(certificate).unwrap());
        assert_eq!(roots.len(), 2, "Kubernetes' own, and the owner's");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider())).build().unwrap();
        let is_let_in = |fleet: &FleetFile| {
            let certificate = operator::issue(fleet.operator(), &KeyPair::generate().unwrap(), now.as_secs() + 60).unwrap();
            verifier.verify_client_cert(certificate.der(), &[], now).is_ok()
        };
        assert!(is_let_in(&ours) && !is_let_in(&theirs));
    }

    #[test]
    fn a_box_of_nobody_has_no_voucher_and_lets_no_operator_in() {
        let [shown, clients] = prepared(None);
        let (address, now) = (ServerName::try_from("192.0.2.1").unwrap(), UnixTime::now());
        assert_eq!(server::verify(&fleet(1).keys(), &shown, &address, now), Err(server::ServerError::NoVoucher));
        assert_eq!(clients.len(), 1);
    }
}
