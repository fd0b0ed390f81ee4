//! The fleet's voucher for a cluster's authority, as a DNS name in the certificate of its API. A certificate has room for names, a client is shown it before
//! it has to trust anybody, and nobody has to be asked: so there is no protocol and no port for it.
//!
//! `VOUCHER.gGENERATION.voucher.shoal.invalid`: the voucher ([`shoal_trust::voucher`]) in base32 (RFC 4648 §7, small letters, no padding), which is 52 of the
//! 63 characters of a label; and which join secret it was made with, so that an old fleet file can be told from a wrong one. `.invalid` is nobody's
//! (RFC 6761 §6.4).

use data_encoding::BASE32_DNSSEC;
use shoal_trust::fleet::Generation;
use shoal_trust::schedule::FleetKeys;
use shoal_trust::voucher::voucher;

/// How a voucher's name ends.
const SUFFIX: &str = ".voucher.shoal.invalid";

/// What the certificate of the API shows for an authority with this certificate, in DER.
#[must_use]
pub fn name(keys: &FleetKeys, authority: &[u8]) -> String {
    format!("{}.g{}{SUFFIX}", BASE32_DNSSEC.encode(&voucher(keys, authority)), keys.generation())
}

/// With which join secret a voucher in this certificate says that it was made, if there is one at all. **Not verified**: for messages to people. It looks for
/// the name's bytes, since nobody's rules for names have to be kept here.
pub(crate) fn claimed(certificate: &[u8]) -> Option<Generation> {
    let at = certificate.windows(SUFFIX.len()).position(|window| window == SUFFIX.as_bytes())?;
    let before = certificate.get(..at)?;
    let digits = before.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (rest, digits) = before.split_at(before.len() - digits);
    rest.ends_with(b".g").then(|| Generation::new(std::str::from_utf8(digits).ok()?.parse().ok()?)).flatten()
}

#[cfg(test)]
mod tests {
    use shoal_trust::fleet::Build;

    use super::*;

    #[test]
    fn a_name_is_one_of_dns_and_says_its_generation() {
        let name = name(&FleetKeys::unclaimed(&Build { id: [1; 32], time: 1 }), b"certificate");
        assert!(name.split('.').all(|label| (1..=63).contains(&label.len())) && name.len() <= 253, "{name}");
        assert_eq!(name, name.to_lowercase());
        assert_eq!(claimed(format!("..{name}..").as_bytes()), Some(Generation::FIRST));
    }

    #[test]
    fn what_is_no_voucher_claims_nothing() {
        for other in [
            "",
            "kubernetes",
            ".voucher.shoal.invalid",
            "x.g.voucher.shoal.invalid",
            "x.g0.voucher.shoal.invalid",
            "xg1.voucher.shoal.invalid",
        ] {
            assert_eq!(claimed(other.as_bytes()), None, "{other}");
        }
    }
}
