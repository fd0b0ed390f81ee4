//! QMP's lines (QEMU, docs/interop/qmp-spec.rst): one JSON object each.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Something that happened to the machine, without being asked for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct QmpEvent {
    /// `SHUTDOWN`, `RESET`, `WATCHDOG`, `NIC_RX_FILTER_CHANGED` ...
    #[serde(rename = "event")]
    pub name: String,
    /// Its details; for `SHUTDOWN` and `RESET` who wanted it (`guest`, `reason`).
    #[serde(default)]
    pub data: Map<String, Value>,
}

/// A line from QEMU.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Line {
    Greeting,
    Event(QmpEvent),
    Reply {
        id: u64,
        result: Result<Value, String>,
    },
    /// Nothing that we know: a newer QEMU's addition.
    Unknown,
}

impl Line {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let id = value.get("id").and_then(Value::as_u64);
        Some(if value.get("QMP").is_some() {
            Self::Greeting
        } else if value.get("event").is_some() {
            Self::Event(serde_json::from_value(value).ok()?)
        } else if let (Some(id), Some(answer)) = (id, value.get("return")) {
            Self::Reply { id, result: Ok(answer.clone()) }
        } else if let (Some(id), Some(error)) = (id, value.get("error")) {
            let text = error.get("desc").and_then(Value::as_str).unwrap_or("no reason given");
            Self::Reply { id, result: Err(text.to_owned()) }
        } else {
            Self::Unknown
        })
    }
}

/// A command's line, with its newline.
pub(crate) fn command(id: u64, name: &str, arguments: Option<Value>) -> String {
    let mut command = json!({ "execute": name, "id": id });
    if let Some(arguments) = arguments {
        command["arguments"] = arguments;
    }
    format!("{command}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_line_is_known() {
        let event = r#"{"timestamp":{"seconds":1,"microseconds":2},"event":"RESET","data":{"guest":true,"reason":"guest-reset"}}"#;
        let data = json!({ "guest": true, "reason": "guest-reset" }).as_object().cloned().unwrap();
        let cases = [
            (r#"{"QMP":{"version":{},"capabilities":[]}}"#, Line::Greeting),
            (event, Line::Event(QmpEvent { name: "RESET".into(), data })),
            (r#"{"event":"STOP"}"#, Line::Event(QmpEvent { name: "STOP".into(), data: Map::new() })),
            (r#"{"return":{},"id":7}"#, Line::Reply { id: 7, result: Ok(json!({})) }),
            (r#"{"error":{"class":"GenericError","desc":"no"},"id":8}"#, Line::Reply { id: 8, result: Err("no".into()) }),
            (r#"{"new":1}"#, Line::Unknown),
        ];
        for (line, expected) in cases {
            assert_eq!(Line::parse(line), Some(expected), "{line}");
        }
        assert_eq!(Line::parse("{"), None);
    }

    #[test]
    fn a_command_is_one_line() {
        assert_eq!(command(3, "stop", None), "{\"execute\":\"stop\",\"id\":3}\n");
        let with = command(4, "set_link", Some(json!({ "name": "nic0", "up": false })));
        assert_eq!(with, "{\"arguments\":{\"name\":\"nic0\",\"up\":false},\"execute\":\"set_link\",\"id\":4}\n");
    }
}
