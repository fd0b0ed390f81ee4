//! Multicast DNS.

use std::{collections::BTreeSet, time::Duration};

use mdns_sd::{DaemonEvent, IfKind, Metrics, Receiver, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent, ServiceInfo, TxtProperty};
use shoal_discovery_core::{Announcement, Label, LinkIndex};
use shoal_trust::{
    beacon::{SERVICE_TYPE, UnverifiedBeacon},
    schedule::FleetKeys,
};

/// How often to look how much the library keeps.
pub const CACHE_CHECK: Duration = Duration::from_secs(5);

/// Records that the library may keep: those of a whole fleet of 256 with four links each, and as many again.
pub const CACHE_RECORDS_MAX: i64 = 8192;

/// After a question the library is kept from asking by itself, which it would do one second later: when to ask is not its to decide. Its first
/// packet goes out within 50 ms.
pub(crate) const QUIET_AFTER: Duration = Duration::from_millis(500);

/// One generation of services and questions: a thread of the library.
pub(crate) struct Mdns {
    daemon: ServiceDaemon,
    /// What is found; nothing while the library has given up telling.
    pub(crate) found: Option<Receiver<ServiceEvent>>,
    /// What becomes of the services.
    pub(crate) events: Receiver<DaemonEvent>,
}

impl Mdns {
    /// Announces services on their links, and listens there.
    pub(crate) fn start(announcements: &[Announcement], keys: &FleetKeys) -> Result<Self, mdns_sd::Error> {
        let daemon = ServiceDaemon::new()?;
        daemon.disable_interface(IfKind::All)?;
        let both = |announcement: &Announcement| [IfKind::IndexV4(announcement.link.0), IfKind::IndexV6(announcement.link.0)];
        daemon.enable_interface(announcements.iter().flat_map(both).collect::<Vec<_>>())?;
        let events = daemon.monitor()?;
        let found = Some(daemon.browse_cache(SERVICE_TYPE)?);
        for announcement in announcements {
            daemon.register(service(announcement, keys)?)?;
        }
        Ok(Self { daemon, found, events })
    }

    /// Asks once who is there, until [`Mdns::quiet`].
    pub(crate) fn ask(&mut self) -> Result<(), mdns_sd::Error> {
        self.found = Some(self.daemon.browse(SERVICE_TYPE)?);
        Ok(())
    }

    /// Goes on listening without asking. What is known already is told again.
    pub(crate) fn quiet(&mut self) -> Result<(), mdns_sd::Error> {
        self.found = Some(self.daemon.browse_cache(SERVICE_TYPE)?);
        Ok(())
    }

    /// Asks the library how much it keeps.
    pub(crate) fn metrics(&self) -> Result<Receiver<Metrics>, mdns_sd::Error> {
        self.daemon.get_metrics()
    }
}

impl Drop for Mdns {
    fn drop(&mut self) {
        // It says goodbye, which nobody of the fleet believes, and ends by itself.
        if let Err(error) = self.daemon.shutdown() {
            tracing::info!(%error, "multicast DNS cannot be ended");
        }
    }
}

/// Whether there is more in the library's cache than genuine peers would put there.
pub(crate) fn is_flooded(metrics: &Metrics) -> bool {
    metrics.iter().filter(|(name, _)| name.starts_with("cached-")).map(|(_, count)| count).sum::<i64>() > CACHE_RECORDS_MAX
}

fn service(announcement: &Announcement, keys: &FleetKeys) -> Result<ServiceInfo, mdns_sd::Error> {
    let beacon = &announcement.beacon;
    let txt = beacon.to_txt(keys).map_err(|error| mdns_sd::Error::Msg(format!("no beacon: {error}")))?;
    let label = announcement.label.to_string();
    let host = format!("{label}.local.");
    let properties: Vec<TxtProperty> = properties(&txt).into_iter().map(TxtProperty::from).collect();
    let mut service = ServiceInfo::new(SERVICE_TYPE, &label, &host, &beacon.addresses[..], beacon.port, properties)?;
    service.set_interfaces(vec![IfKind::IndexV4(announcement.link.0), IfKind::IndexV6(announcement.link.0)]);
    service.set_requires_probe(announcement.probe);
    Ok(service)
}

/// The strings of a beacon's TXT record as keys and values. Keys have one letter.
fn properties(txt: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut properties = Vec::new();
    let mut rest = txt;
    while let [length, after @ ..] = rest {
        let (string, after) = after.split_at(usize::from(*length));
        properties.push((String::from(char::from(string[0])), string[2..].to_vec()));
        rest = after;
    }
    properties
}

/// The beacon of a service that was found, and the links that it was heard on.
pub(crate) fn beacon(service: &ResolvedService) -> Option<(UnverifiedBeacon, BTreeSet<LinkIndex>)> {
    let mut txt = Vec::new();
    for property in service.get_properties().iter() {
        let value = property.val()?;
        txt.push(u8::try_from(property.key().len() + 1 + value.len()).ok()?);
        txt.extend_from_slice(property.key().as_bytes());
        txt.push(b'=');
        txt.extend_from_slice(value);
    }
    let beacon = UnverifiedBeacon::parse(&txt, service.get_port()).ok()?;
    let links = service.get_addresses().iter().flat_map(|address| match address {
        ScopedIp::V4(address) => address.interface_ids().iter().map(|interface| LinkIndex(interface.index)).collect(),
        ScopedIp::V6(address) => vec![LinkIndex(address.scope_id().index)],
        _ => Vec::new(),
    });
    Some((beacon, links.collect()))
}

/// The label in the name of a service or a host.
pub(crate) fn label(name: &str) -> Option<Label> {
    let (label, _) = name.split_once('.')?;
    u64::from_str_radix(label, 16).ok().filter(|_| label.len() == 16).map(Label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_in_names() {
        let known = Label(0x00ab_cdef_0123_4567);
        assert_eq!(label(&format!("{known}.{SERVICE_TYPE}")), Some(known));
        assert_eq!(label(&format!("{known}.local.")), Some(known));
        assert_eq!(label(&format!("{known} (2).{SERVICE_TYPE}")), None);
        assert_eq!(label("printer.local."), None);
    }

    #[test]
    fn strings_of_a_record_become_keys_and_values() {
        assert_eq!(properties(b"\x03v=1\x04b=\x00="), [("v".to_owned(), b"1".to_vec()), ("b".to_owned(), vec![0, b'='])]);
    }
}
