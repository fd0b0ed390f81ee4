//! Faults that a test asks for with `shoal.fault=` on the kernel command line. An image whose recipe does not set `faults` ignores them.

/// A fault to act out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `hang-boot`: PID 1 stops before it looks for the state medium; the watchdog must reset the box.
    HangBoot,
    /// `hang-init`: PID 1 stops once services run; the watchdog must reset the box.
    HangInit,
    /// `panic-init`: PID 1 panics once services run; the box must reboot.
    PanicInit,
}

impl Fault {
    /// Reads the value of `shoal.fault=`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "hang-boot" => Some(Self::HangBoot),
            "hang-init" => Some(Self::HangInit),
            "panic-init" => Some(Self::PanicInit),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_the_documented_names_and_others_are_none() {
        assert_eq!(Fault::parse("hang-init"), Some(Fault::HangInit));
        assert_eq!(Fault::parse("panic-init"), Some(Fault::PanicInit));
        assert_eq!(Fault::parse("hang-boot"), Some(Fault::HangBoot));
        assert_eq!(Fault::parse("hang"), None);
    }
}
