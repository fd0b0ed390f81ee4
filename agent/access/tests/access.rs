//! Both directions, with clusters that are made here: who is let in and who is not, and whom the owner's machine believes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, Error, RootCertStore};
use shoal_access::server::{COMMON_NAME, ServerError, Vouched, verify};
use shoal_access::{operator, owner, voucher};
use shoal_trust::config::{Config, Owner};
use shoal_trust::fleet::{Build, FleetId, FleetName, Generation, Policy};
use shoal_trust::fleet_file::{FleetFile, FleetRandomness};
use shoal_trust::schedule::FleetKeys;
use shoal_trust::secret::JoinSecret;

/// 2026-11-30, in seconds since 1970.
const NOW: u64 = 1_796_000_000;
const HOUR: u64 = 3600;

fn fleet(number: u8) -> FleetFile {
    let randomness = FleetRandomness { id: [number; 16], operator: [number + 100; 32], join: [number + 200; 32] };
    FleetFile::new(FleetName::new("site1").unwrap(), randomness).unwrap()
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// A cluster's authority.
struct Cluster {
    parameters: CertificateParams,
    key: KeyPair,
    certificate: CertificateDer<'static>,
}

fn cluster() -> Cluster {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap().der().clone();
    Cluster { parameters, key, certificate }
}

impl Cluster {
    /// What its API shows: a certificate with these names, and one address, until then; and the authority's.
    fn api(&self, names: &[&str], until: u64) -> Vec<CertificateDer<'static>> {
        let mut parameters = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        parameters.subject_alt_names.push(SanType::IpAddress(address()));
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(until);
        let issuer = Issuer::new(self.parameters.clone(), &self.key);
        let own = parameters.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone();
        vec![own, self.certificate.clone()]
    }
}

fn address() -> IpAddr {
    [10, 0, 0, 5].into()
}

fn judged(keys: &FleetKeys, chain: &[CertificateDer<'_>]) -> Result<Vouched, ServerError> {
    verify(keys, chain, &ServerName::from(address()), at(NOW))
}

#[test]
fn the_own_fleets_api_is_known_by_its_address_or_by_a_name_that_all_have() {
    let (cluster, keys) = (cluster(), fleet(1).keys());
    let name = voucher::name(&keys, &cluster.certificate);
    let chain = cluster.api(&[&name, COMMON_NAME], NOW + HOUR);
    assert_eq!(judged(&keys, &chain), Ok(Vouched { authority: cluster.certificate.clone(), name: None }));
    let elsewhere = ServerName::try_from("gateway.example").unwrap();
    assert_eq!(verify(&keys, &chain, &elsewhere, at(NOW)), Ok(Vouched { authority: cluster.certificate.clone(), name: Some(COMMON_NAME) }));
    let nameless = cluster.api(&[&name], NOW + HOUR);
    assert!(matches!(verify(&keys, &nameless, &elsewhere, at(NOW)), Err(ServerError::Certificate(_))));
}

#[test]
fn another_fleets_and_nobodys_api_are_told_apart_and_refused() {
    let (cluster, ours) = (cluster(), fleet(1).keys());
    let chain = |keys: &FleetKeys| cluster.api(&[&voucher::name(keys, &cluster.certificate), COMMON_NAME], NOW + HOUR);
    assert_eq!(judged(&ours, &chain(&fleet(2).keys())), Err(ServerError::OtherFleet));
    assert_eq!(judged(&ours, &cluster.api(&[COMMON_NAME], NOW + HOUR)), Err(ServerError::NoVoucher));
    assert_eq!(judged(&ours, &chain(&ours)[..1]), Err(ServerError::OtherFleet), "without its authority it says nothing");
    assert_eq!(judged(&ours, &[]), Err(ServerError::NoVoucher));
    let second = Generation::new(2).unwrap();
    let rotated = FleetKeys::derive(FleetId([1; 16]), second, &JoinSecret::from_random([7; 32]).unwrap());
    assert_eq!(judged(&ours, &chain(&rotated)), Err(ServerError::OtherGeneration { theirs: second, ours: Generation::FIRST }));
}

#[test]
fn an_authority_that_was_changed_or_put_in_anothers_place_is_refused() {
    let (cluster, thief, keys) = (cluster(), self::cluster(), fleet(1).keys());
    let name = voucher::name(&keys, &cluster.certificate);
    let chain = cluster.api(&[&name, COMMON_NAME], NOW + HOUR);
    for bit in 0..8 * cluster.certificate.len() {
        let mut bytes = cluster.certificate.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let tampered = [chain[0].clone(), bytes.into()];
        assert_eq!(judged(&keys, &tampered), Err(ServerError::OtherFleet), "bit {bit}");
    }
    // The voucher is no secret: who copies it cannot sign for the authority that it is for.
    let copied = thief.api(&[&name, COMMON_NAME], NOW + HOUR);
    assert_eq!(judged(&keys, &copied), Err(ServerError::OtherFleet));
    let borrowed = [copied[0].clone(), cluster.certificate.clone()];
    assert!(matches!(judged(&keys, &borrowed), Err(ServerError::Copied(_))));
    let both = [copied[0].clone(), thief.certificate.clone(), cluster.certificate.clone()];
    assert!(matches!(judged(&keys, &both), Err(ServerError::Copied(_))));
}

#[test]
fn a_certificate_that_has_ended_says_so() {
    let (cluster, keys) = (cluster(), fleet(1).keys());
    let chain = cluster.api(&[&voucher::name(&keys, &cluster.certificate), COMMON_NAME], NOW - 1);
    assert!(matches!(judged(&keys, &chain), Err(ServerError::Expired(_))));
}

/// What a box of the fleet would make of a client certificate.
fn lets_in(fleet: &FleetFile, certificate: &CertificateDer<'_>, now: u64) -> Result<(), Error> {
    let config =
        Config { build: Build { id: [1; 32], time: 1 }, policy: Policy::default(), seeds: Vec::new(), owner: Owner::Fleet(fleet.stamp()) };
    let owner = owner(&config, &cluster().certificate).unwrap().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(owner.authority.as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider())).build().unwrap();
    verifier.verify_client_cert(certificate, &[], at(now)).map(drop)
}

#[test]
fn the_operator_of_the_fleet_is_let_in_until_the_certificate_ends_and_no_other() {
    let (ours, theirs, key) = (fleet(1), fleet(2), KeyPair::generate().unwrap());
    let certificate = operator::issue(ours.operator(), &key, NOW + HOUR).unwrap();
    assert_eq!(lets_in(&ours, certificate.der(), NOW), Ok(()));
    assert_eq!(lets_in(&ours, certificate.der(), 1), Ok(()), "a box whose clock was reset");
    let ended = lets_in(&ours, certificate.der(), NOW + HOUR + 1);
    assert!(matches!(ended, Err(Error::InvalidCertificate(CertificateError::ExpiredContext { .. }))), "{ended:?}");
    assert!(matches!(lets_in(&theirs, certificate.der(), NOW), Err(Error::InvalidCertificate(CertificateError::BadSignature))));
    let foreign = operator::issue(theirs.operator(), &key, NOW + HOUR).unwrap();
    assert!(lets_in(&ours, foreign.der(), NOW).is_err());
    let mut tampered = certificate.der().to_vec();
    *tampered.last_mut().unwrap() ^= 1;
    assert!(lets_in(&ours, &tampered.into(), NOW).is_err());
}

#[test]
fn all_boxes_of_a_fleet_write_down_the_same_and_nobodys_box_nothing() {
    let (first, again) = (fleet(1), fleet(1));
    let pem = |fleet: &FleetFile| operator::authority(fleet.operator().public()).unwrap().pem();
    assert_eq!(pem(&first), pem(&again));
    assert_ne!(pem(&first), pem(&fleet(2)));
    let build = Build { id: [1; 32], time: 1 };
    let unclaimed = Config { build, policy: Policy::default(), seeds: Vec::new(), owner: Owner::Unclaimed };
    assert_eq!(owner(&unclaimed, &cluster().certificate).unwrap(), None);
}
