//! The status screen in words: what the box is, what it does, what is wrong.

use std::collections::BTreeMap;

use crate::shutdown::Ending;

/// How well the box is, as the agent judges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// All is well.
    Well,
    /// It works, but somebody should look.
    Warning,
    /// It does not do what it is for.
    Error,
}

impl Severity {
    /// Reads the word used on the bus: `ok`, `warning` or `error`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "ok" => Some(Self::Well),
            "warning" => Some(Self::Warning),
            "error" => Some(Self::Error),
            _ => None,
        }
    }
}

/// What the box is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Services are on their way; so many of so many are ready.
    Starting {
        /// Services that are ready.
        ready: usize,
        /// Services there are.
        of: usize,
    },
    /// All services were ready once.
    Running,
    /// Going down.
    GoingDown(Ending),
}

/// Everything the screen shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Name, version and architecture of the image, e.g. `shoal 0.1.0 (amd64)`.
    pub image: String,
    /// What it is doing.
    pub activity: Activity,
    /// Where state lies, e.g. `on /dev/sda3` or `in RAM: the medium is read-only`.
    pub state: String,
    /// The network links.
    pub network: Network,
    /// Services that are not as they should be: name, state and reason.
    pub unwell: Vec<(String, &'static str, String)>,
    /// What went wrong otherwise, in words.
    pub troubles: Vec<String>,
    /// What the agent has to say.
    pub health: Option<(Severity, String)>,
}

/// The network links, as the screen shows them: from the moment that one is seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    links: BTreeMap<String, Link>,
    /// All links were listed once: before that, none seen does not mean that there is none.
    listed: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Link {
    /// Whether it has a carrier; None before the kernel can tell.
    carrier: Option<bool>,
    /// Its addresses, in words.
    addresses: Vec<String>,
}

impl Network {
    /// All links that there are have been told of.
    pub fn listed(&mut self) {
        self.listed = true;
    }

    /// A link was seen.
    pub fn found(&mut self, name: String) {
        self.links.entry(name).or_default();
    }

    /// A link has got or lost its carrier; without one its addresses serve nobody.
    pub fn carrier(&mut self, name: String, carrier: bool) {
        let link = self.links.entry(name).or_default();
        link.carrier = Some(carrier);
        if !carrier {
            link.addresses.clear();
        }
    }

    /// A link with a carrier has got an address, in words.
    pub fn address(&mut self, name: String, address: String) {
        let link = self.links.entry(name).or_default();
        link.carrier = Some(true);
        if !link.addresses.contains(&address) {
            link.addresses.push(address);
        }
    }

    /// A link is gone.
    pub fn gone(&mut self, name: &str) {
        self.links.remove(name);
    }

    fn lines(&self) -> Vec<String> {
        if self.links.is_empty() {
            return vec![if self.listed { "no wired link found".to_owned() } else { "looking for wired links".to_owned() }];
        }
        let words = |(name, link): (&String, &Link)| match (link.carrier, link.addresses.as_slice()) {
            (None, _) => format!("{name} is being brought up"),
            (Some(false), _) => format!("{name} has no carrier; is the cable plugged in?"),
            (Some(true), []) => format!("{name} is up and waits for an address"),
            (Some(true), addresses) => format!("{name} {}", addresses.join(", ")),
        };
        self.links.iter().map(words).collect()
    }
}

impl Status {
    /// The lines of the screen, without any terminal's tricks. What is wrong comes last, nearest to where logs begin.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.image.clone(), self.activity()];
        lines.push(format!("state {}", self.state));
        lines.extend(self.network.lines().iter().map(|line| format!("network: {line}")));
        if let Some((severity, text)) = &self.health {
            lines.push(match severity {
                Severity::Well => format!("health: {text}"),
                Severity::Warning => format!("health: warning: {text}"),
                Severity::Error => format!("health: ERROR: {text}"),
            });
        }
        for (name, state, reason) in &self.unwell {
            lines.push(match reason.as_str() {
                "" => format!("service {name}: {state}"),
                reason => format!("service {name}: {state}: {reason}"),
            });
        }
        lines.extend(self.troubles.iter().map(|trouble| format!("trouble: {trouble}")));
        lines
    }

    fn activity(&self) -> String {
        match self.activity {
            Activity::Starting { ready, of } => format!("starting: {ready} of {of} services are ready"),
            Activity::Running if self.unwell.is_empty() => "running: all services are ready".to_owned(),
            Activity::Running => format!("running: {} not well", count(self.unwell.len(), "service is", "services are")),
            Activity::GoingDown(ending) => format!("going down to {}", ending.words()),
        }
    }
}

fn count(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// The screen of a text terminal (ECMA-48) of `columns` by `rows`: the status on top, a rule, and the newest of `log` below. Lines of the status that are wider
/// go on in the next row; those of the log are cut off.
#[must_use]
pub fn draw<'a>(status: &[String], log: impl DoubleEndedIterator<Item = &'a str>, columns: usize, rows: usize) -> String {
    // Home, then clear line by line: clearing the whole screen first would flicker.
    let mut text = String::from("\u{1b}[H");
    let mut put = |line: &str| {
        text.extend(line.chars().take(columns));
        text.push_str("\u{1b}[K\r\n");
    };
    let status: Vec<String> = status.iter().flat_map(|line| wrapped(line, columns)).collect();
    let head = status.len().min(rows.saturating_sub(2));
    status[..head].iter().for_each(|line| put(line));
    put(&"-".repeat(columns));
    // The last row stays empty, because ending it would scroll.
    let room = rows.saturating_sub(head + 2);
    let newest: Vec<&str> = log.rev().take(room).collect();
    newest.into_iter().rev().for_each(put);
    text.push_str("\u{1b}[J");
    text
}

/// What rows that go on begin with.
const CONTINUED: &str = "    ";

/// A line in rows of `columns` at most, broken between words where there are some.
fn wrapped(line: &str, columns: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = String::new();
    for word in line.split(' ') {
        let is_first = row.is_empty() || row == CONTINUED;
        if !is_first && row.chars().count() + 1 + word.chars().count() > columns {
            rows.push(std::mem::replace(&mut row, CONTINUED.to_owned()));
        } else if !is_first {
            row.push(' ');
        }
        row.push_str(word);
    }
    rows.push(row);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Status {
        let mut network = Network::default();
        network.address("eth0".into(), "10.0.0.5/24 by 10.0.0.1".into());
        Status {
            image: "shoal 1 (amd64)".into(),
            activity: Activity::Running,
            state: "on /dev/sda3".into(),
            network,
            unwell: Vec::new(),
            troubles: Vec::new(),
            health: None,
        }
    }

    #[test]
    fn a_box_that_is_well_says_so_in_four_lines() {
        let lines = ["shoal 1 (amd64)", "running: all services are ready", "state on /dev/sda3", "network: eth0 10.0.0.5/24 by 10.0.0.1"];
        assert_eq!(well().lines(), lines);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_reason() {
        let mut network = Network::default();
        network.carrier("eth0".into(), false);
        let status = Status {
            network,
            unwell: vec![("containerd".into(), "backoff", "exited with 1".into())],
            troubles: vec!["the clock was reset".into()],
            health: Some((Severity::Error, "no leader".into())),
            ..well()
        };
        let lines = status.lines();
        assert_eq!(lines[1], "running: 1 service is not well");
        assert_eq!(lines[3], "network: eth0 has no carrier; is the cable plugged in?");
        assert_eq!(lines[4..], ["health: ERROR: no leader", "service containerd: backoff: exited with 1", "trouble: the clock was reset"]);
    }

    #[test]
    fn a_link_is_shown_from_the_moment_it_is_seen_until_it_is_gone() {
        let mut network = Network::default();
        assert_eq!(network.lines(), ["looking for wired links"]);
        network.found("eth0".into());
        assert_eq!(network.lines(), ["eth0 is being brought up"]);
        network.listed();
        network.carrier("eth0".into(), false);
        assert_eq!(network.lines(), ["eth0 has no carrier; is the cable plugged in?"]);
        network.carrier("eth0".into(), true);
        assert_eq!(network.lines(), ["eth0 is up and waits for an address"]);
        network.address("eth0".into(), "10.0.0.5".into());
        network.address("eth0".into(), "10.0.0.5".into());
        assert_eq!(network.lines(), ["eth0 10.0.0.5"]);
        network.carrier("eth0".into(), false);
        network.carrier("eth0".into(), true);
        assert_eq!(network.lines(), ["eth0 is up and waits for an address"]);
        network.gone("eth0");
        assert_eq!(network.lines(), ["no wired link found"]);
    }

    #[test]
    fn a_drawn_screen_never_has_more_rows_or_columns_than_the_terminal() {
        let status: Vec<String> = (0..30).map(|_| "s".repeat(300)).collect();
        for (columns, rows) in [(80, 25), (1, 1), (0, 0), (200, 60)] {
            let log = ["l".repeat(300), "m".into()];
            let text = draw(&status, log.iter().map(String::as_str), columns, rows);
            assert!(text.matches("\r\n").count() <= rows.max(1));
            assert!(text.split("\u{1b}[K\r\n").all(|line| line.trim_start_matches("\u{1b}[H").len() <= columns.max(3)));
        }
    }

    #[test]
    fn a_status_that_is_wider_than_the_screen_goes_on_in_the_next_row() {
        let words = "health: warning: this box has no network yet; check the cable";
        assert_eq!(wrapped(words, 80), [words]);
        assert_eq!(wrapped(words, 40), ["health: warning: this box has no network", "    yet; check the cable"]);
        assert_eq!(wrapped("averylongword and more", 8), ["averylongword", "    and", "    more"]);
        assert_eq!(wrapped("", 8), [""]);
        let screen = draw(&[words.to_owned()], ["said"].into_iter(), 40, 10);
        assert!(screen.contains("    yet; check the cable\u{1b}[K") && screen.contains("said"), "{screen:?}");
    }
}
