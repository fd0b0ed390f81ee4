//! What the API says of the nodes of a cluster: which are Ready.

use serde::Deserialize;

/// Where nodes are asked for.
pub(crate) const PATH: &str = "/api/v1/nodes";

/// A `NodeList` (k8s.io/api/core/v1), as far as it is looked at.
#[derive(Debug, Deserialize)]
struct List {
    #[serde(default)]
    items: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

/// How many of the nodes in a list are Ready, and how many there are.
///
/// # Errors
/// If it is no list of nodes.
pub(crate) fn ready(list: &[u8]) -> serde_json::Result<(usize, usize)> {
    let list: List = serde_json::from_slice(list)?;
    let is_ready = |node: &&Node| node.status.conditions.iter().any(|condition| condition.r#type == "Ready" && condition.status == "True");
    Ok((list.items.iter().filter(is_ready).count(), list.items.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_by_its_own_word() {
        let list = r#"{"kind":"NodeList","items":[
            {"status":{"conditions":[{"type":"DiskPressure","status":"False"},{"type":"Ready","status":"True"}]}},
            {"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}},
            {"status":{"conditions":[{"type":"NetworkReady","status":"True"}]}},
            {"metadata":{"name":"new"}}]}"#;
        assert_eq!(ready(list.as_bytes()).unwrap(), (1, 4));
        assert_eq!(ready(br#"{"kind":"NodeList"}"#).unwrap(), (0, 0));
        assert!(ready(b"{\"items\":[{").is_err());
    }
}
