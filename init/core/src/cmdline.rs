//! The kernel command line, as far as PID 1 minds it.
//!
//! Nothing here is needed for a box to boot: firmware and network loaders may drop the command line (see [`shoal_contract::boot`]).

/// What `/proc/cmdline` says to PID 1. Arguments meant for others are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Devices of all `console=` arguments without their options (`ttyS0,115200` is `ttyS0`), in order, each once.
    pub consoles: Vec<String>,
    /// `shoal.state=ram`: leave every disk alone and keep state in RAM.
    pub state_in_ram: bool,
    /// `shoal.fault=`: the fault to act out, if the image allows it.
    pub fault: Option<String>,
    /// Arguments that begin with `shoal.` and are not known, so that a typing error is told and not swallowed.
    pub unknown: Vec<String>,
}

impl Arguments {
    /// Reads a kernel command line. Double quotes keep spaces together, as in the kernel's `next_arg()`. Everything behind ` -- ` is for
    /// init's argument vector and no longer the kernel's; it is read the same way.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        let mut arguments = Self::default();
        for word in words(line) {
            let (key, value) = word.split_once('=').unwrap_or((&word, ""));
            match key {
                "console" => {
                    let device = value.split(',').next().unwrap_or_default();
                    if !device.is_empty() && !arguments.consoles.iter().any(|known| known == device) {
                        arguments.consoles.push(device.to_owned());
                    }
                }
                "shoal.state" if value == "ram" => arguments.state_in_ram = true,
                "shoal.fault" if !value.is_empty() => arguments.fault = Some(value.to_owned()),
                _ if key.starts_with("shoal.") => arguments.unknown.push(word),
                _ => {}
            }
        }
        arguments
    }
}

/// Splits at white space outside double quotes; the quotes are dropped.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            _ if character.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(character),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consoles_lose_their_options_and_their_doubles() {
        let arguments = Arguments::parse("quiet console=tty0 console=ttyS0,115200n8 console=ttyS0\n");
        assert_eq!(arguments.consoles, ["tty0", "ttyS0"]);
    }

    #[test]
    fn state_and_fault_are_understood() {
        let arguments = Arguments::parse("shoal.state=ram shoal.fault=hang-init");
        assert!(arguments.state_in_ram);
        assert_eq!(arguments.fault.as_deref(), Some("hang-init"));
    }

    #[test]
    fn a_misspelt_argument_of_ours_is_told() {
        let arguments = Arguments::parse("shoal.state=disk shoal.stat=ram root=/dev/sda1");
        assert!(!arguments.state_in_ram);
        assert_eq!(arguments.unknown, ["shoal.state=disk", "shoal.stat=ram"]);
    }

    #[test]
    fn quotes_keep_spaces_together() {
        assert_eq!(words("a \"b c\"=d  e=\"f g\""), ["a", "b c=d", "e=f g"]);
    }
}
