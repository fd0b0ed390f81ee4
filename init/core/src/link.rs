//! Which network links PID 1 brings up: the wired ones of the box itself.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wired_hardware_is_ours() {
        let wired = Link { name: "eth0".into(), ethernet: true, hardware: true, wireless: false, enslaved: false };
        assert!(wired.is_ours());
        for other in [
            Link { ethernet: false, ..wired.clone() },
            Link { hardware: false, ..wired.clone() },
            Link { wireless: true, ..wired.clone() },
            Link { enslaved: true, ..wired.clone() },
        ] {
            assert!(!other.is_ours(), "{other:?}");
        }
    }
}
