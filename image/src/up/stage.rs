//! What the console of a box says of how far it is. Words only; nothing here waits for them.

/// Lines of PID 1 that are told as they are, by how they begin. What the agent says on the screen follows [`HEALTH`].
const TOLD: [&str; 6] = ["root mounted", "making a state partition", "state in RAM", "address ", "services starting", "rebooting"];

/// The line of the screen with what the agent has to say.
const HEALTH: &str = "health: ";

/// What a line of the console says of how far the box is; nothing, for most.
pub(crate) fn of(line: &str) -> Option<String> {
    let (_, said) = line.split_once("shoal: ")?;
    // PID 1 says behind each line how long the box has been up: ` [12.345]`.
    let said = said.trim_end();
    let said = match said.rsplit_once(" [") {
        Some((said, time)) if time.ends_with(']') => said,
        _ => said,
    };
    match said.strip_prefix(HEALTH) {
        Some(health) => Some(health.to_owned()),
        None => TOLD.iter().any(|told| said.starts_with(told)).then(|| said.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_says_how_far_it_is() {
        let table = [
            ("shoal: root mounted [2.071]", Some("root mounted")),
            ("shoal: health: warning: this box is looking for others [9.5]", Some("warning: this box is looking for others")),
            (
                "shoal: health: cluster 1a2b3c4d, node n7, 3 voters of 3 members: highly available [31.000]",
                Some("cluster 1a2b3c4d, node n7, 3 voters of 3 members: highly available"),
            ),
            ("shoal: health: [odd] words", Some("[odd] words")),
            ("shoal: network: eth0 is up and waits for an address [3.1]", None),
            ("[    0.000000] Linux version 6.12", None),
            ("", None),
        ];
        for (line, stage) in table {
            assert_eq!(of(line).as_deref(), stage, "{line}");
        }
    }
}
