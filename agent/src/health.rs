//! How well a box is, from the states of its services and from what its node says: a decision without I/O.

/// A service, as `ListServices` gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// Its name.
    pub(crate) name: String,
    /// Its state, in init's word.
    pub(crate) state: String,
    /// Why it is so; may be empty.
    pub(crate) detail: String,
}

/// How bad it is; the words of `SetHealth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Everything runs that should.
    Ok,
    /// Something is on its way, or is being mended.
    Warning,
    /// Something has failed for good.
    Error,
}

impl Severity {
    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A judgement, and the sentence that explains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    /// How bad.
    pub(crate) severity: Severity,
    /// Why, for people.
    pub(crate) text: String,
}

/// Judges a box by its services. The worst severity wins, and the text names the services that cause it.
pub(crate) fn judge(services: &[Service]) -> Health {
    let severity = services.iter().map(severity).max().unwrap_or(Severity::Ok);
    if severity == Severity::Ok {
        return Health { severity, text: format!("{} services are well", services.len()) };
    }
    let culprits: Vec<String> = services.iter().filter(|service| self::severity(service) == severity).map(describe).collect();
    Health { severity, text: culprits.join("; ") }
}

/// Several judgements as one, with what every screen has to say first. The worst severity wins.
pub(crate) fn join(banner: Option<&str>, judgements: &[&Health]) -> Health {
    let severity = judgements.iter().map(|health| health.severity).max().unwrap_or(Severity::Ok);
    let texts: Vec<&str> = banner.into_iter().chain(judgements.iter().map(|health| health.text.as_str())).collect();
    Health { severity, text: texts.join("; ") }
}

fn severity(service: &Service) -> Severity {
    match service.state.as_str() {
        // Stopped: somebody wanted it so, or its work is over.
        "running" | "done" | "stopped" => Severity::Ok,
        "failed" => Severity::Error,
        // waiting, starting, stopping, backoff, and whatever a newer init may say.
        _ => Severity::Warning,
    }
}

fn describe(service: &Service) -> String {
    match service.detail.as_str() {
        "" => format!("{} is {}", service.name, service.state),
        detail => format!("{} is {} ({detail})", service.name, service.state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(states: &[&str]) -> (Severity, String) {
        let service = |(number, state): (usize, &&str)| Service {
            name: format!("s{number}"),
            state: (*state).to_owned(),
            detail: if *state == "failed" { "exited with 1".to_owned() } else { String::new() },
        };
        let health = judge(&states.iter().enumerate().map(service).collect::<Vec<_>>());
        (health.severity, health.text)
    }

    #[test]
    fn of_two_judgements_both_are_shown_and_the_worse_one_counts() {
        let health = |severity, text: &str| Health { severity, text: text.to_owned() };
        let both = [health(Severity::Warning, "no leader"), health(Severity::Ok, "3 services are well")];
        assert_eq!(join(Some("unclaimed"), &both.each_ref()), health(Severity::Warning, "unclaimed; no leader; 3 services are well"));
    }

    #[test]
    fn the_worst_service_decides_and_is_named() {
        let table: [(&[&str], Severity, &str); 6] = [
            (&[], Severity::Ok, "0 services are well"),
            (&["running", "done", "stopped"], Severity::Ok, "3 services are well"),
            (&["running", "waiting"], Severity::Warning, "s1 is waiting"),
            (&["backoff", "starting"], Severity::Warning, "s0 is backoff; s1 is starting"),
            (&["backoff", "failed", "running"], Severity::Error, "s1 is failed (exited with 1)"),
            (&["a word of tomorrow"], Severity::Warning, "s0 is a word of tomorrow"),
        ];
        for (states, severity, text) in table {
            assert_eq!(judged(states), (severity, text.to_owned()), "{states:?}");
        }
    }
}
