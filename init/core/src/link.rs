//! Which network links PID 1 brings up, and what it tells of them: the wired ones of the box itself.
//!
//! | what is seen of a link | it is new | it is known |
//! |---|---|---|
//! | not ours (any more) | nothing | [`Effect::Drop`] |
//! | ours, administratively down | [`Effect::Take`] | if it had a carrier, that is lost |
//! | ours, up | [`Effect::Take`], then its carrier | its carrier, if that has changed |
//!
//! A link without a carrier is told of like one with it: nobody can mend a cable of a link that no one sees.

use std::collections::BTreeMap;

/// A link as netlink and sysfs show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Name: `eth0`, `enp1s0`.
    pub name: String,
    /// It speaks Ethernet (ARPHRD_ETHER).
    pub ethernet: bool,
    /// A device stands behind it (`/sys/class/net/<name>/device`); bridges, veth pairs and tunnels have none.
    pub hardware: bool,
    /// It is a radio (`/sys/class/net/<name>/phy80211`).
    pub wireless: bool,
    /// It belongs to a bridge, a bond or the like, which then carries the addresses.
    pub enslaved: bool,
}

impl Link {
    /// Whether PID 1 brings the link up and asks for addresses on it. Links of containers and of the pod network are their makers' business.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        self.ethernet && self.hardware && !self.wireless && !self.enslaved
    }
}

/// What the kernel says of a link at one moment (`struct ifinfomsg`, rtnetlink(7)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sighting {
    /// Number of the link (`ifi_index`).
    pub index: u32,
    /// What it is.
    pub link: Link,
    /// It is administratively up (IFF_UP). Before that drivers look at no cable.
    pub up: bool,
    /// It has a carrier (IFF_LOWER_UP).
    pub carrier: bool,
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A link of ours was found: tell of it, and bring it up.
    Take {
        /// Its number.
        index: u32,
        /// Its name.
        name: String,
    },
    /// It has got or lost its carrier: tell, and ask for a lease or stop asking.
    Carrier {
        /// Its number.
        index: u32,
        /// Its name.
        name: String,
        /// It has one.
        carrier: bool,
    },
    /// It is gone or not ours any more: tell, stop asking for a lease, and forget it.
    Drop {
        /// Its number.
        index: u32,
        /// Its name.
        name: String,
    },
}

/// The links of ours that are known.
#[derive(Debug, Default)]
pub struct Links {
    known: BTreeMap<u32, Known>,
}

#[derive(Debug)]
struct Known {
    name: String,
    /// What was told last; None: nothing yet.
    carrier: Option<bool>,
}

impl Links {
    /// A link has appeared or changed. Gives what has to be done for it, in order.
    pub fn seen(&mut self, sighting: &Sighting) -> Vec<Effect> {
        let Sighting { index, link, up, carrier } = sighting;
        if !link.is_ours() {
            return self.gone(*index);
        }
        let mut effects = Vec::new();
        let known = self.known.entry(*index).or_insert_with(|| {
            effects.push(Effect::Take { index: *index, name: link.name.clone() });
            Known { name: link.name.clone(), carrier: None }
        });
        let carrier = if *up { Some(*carrier) } else { known.carrier.map(|_| false) };
        if let Some(carrier) = carrier.filter(|_| carrier != known.carrier) {
            known.carrier = Some(carrier);
            effects.push(Effect::Carrier { index: *index, name: known.name.clone(), carrier });
        }
        effects
    }

    /// A link is gone. Gives what has to be done for it, in order.
    pub fn gone(&mut self, index: u32) -> Vec<Effect> {
        self.known.remove(&index).map(|known| Effect::Drop { index, name: known.name }).into_iter().collect()
    }

    /// The name of a link of ours.
    #[must_use]
    pub fn name(&self, index: u32) -> Option<&str> {
        self.known.get(&index).map(|known| known.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: u32 = 2;

    fn wired() -> Link {
        Link { name: "eth0".into(), ethernet: true, hardware: true, wireless: false, enslaved: false }
    }

    fn sighting(up: bool, carrier: bool) -> Sighting {
        Sighting { index: INDEX, link: wired(), up, carrier }
    }

    fn take() -> Effect {
        Effect::Take { index: INDEX, name: "eth0".into() }
    }

    fn carrier(carrier: bool) -> Effect {
        Effect::Carrier { index: INDEX, name: "eth0".into(), carrier }
    }

    #[test]
    fn a_link_without_a_carrier_is_told_of_once_it_is_up() {
        let mut links = Links::default();
        assert_eq!(links.seen(&sighting(false, false)), [take()], "it is seen before anybody can know of its cable");
        assert_eq!(links.seen(&sighting(true, false)), [carrier(false)]);
        assert_eq!(links.seen(&sighting(true, false)), [], "it is told once");
        assert_eq!(links.seen(&sighting(true, true)), [carrier(true)]);
    }

    #[test]
    fn a_link_that_is_up_already_is_taken_and_told_of_at_once() {
        for has in [false, true] {
            assert_eq!(Links::default().seen(&sighting(true, has)), [take(), carrier(has)]);
        }
    }

    #[test]
    fn a_link_that_somebody_takes_down_has_lost_its_carrier() {
        let mut links = Links::default();
        links.seen(&sighting(true, true));
        assert_eq!(links.seen(&sighting(false, true)), [carrier(false)]);
        assert_eq!(links.seen(&sighting(false, false)), []);
    }

    #[test]
    fn a_link_that_is_gone_or_enslaved_is_dropped_and_taken_again_when_it_comes_back() {
        let mut links = Links::default();
        links.seen(&sighting(true, true));
        let enslaved = Sighting { link: Link { enslaved: true, ..wired() }, ..sighting(true, true) };
        let dropped = [Effect::Drop { index: INDEX, name: "eth0".into() }];
        assert_eq!(links.seen(&enslaved), dropped);
        assert_eq!((links.seen(&enslaved), links.gone(INDEX)), (vec![], vec![]));
        assert_eq!(links.seen(&sighting(true, false)), [take(), carrier(false)]);
        assert_eq!(links.gone(INDEX), dropped);
    }

    #[test]
    fn only_wired_hardware_is_ours() {
        assert!(wired().is_ours());
        for other in [
            Link { ethernet: false, ..wired() },
            Link { hardware: false, ..wired() },
            Link { wireless: true, ..wired() },
            Link { enslaved: true, ..wired() },
        ] {
            assert!(!other.is_ours(), "{other:?}");
        }
    }
}
