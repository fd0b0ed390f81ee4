//! QEMU's control connection: cables, the power button, the reset switch, and what happened.

mod message;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

pub use message::QmpEvent;
use message::{Line, command};

/// For an answer. QEMU answers between two rounds of its main loop, in milliseconds; under load on a small machine in a second or two.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Why a command has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// QEMU has ended, before the command or because of it.
    #[error("{command}: QEMU has ended: see its log in the box's directory")]
    Closed {
        /// The command.
        command: String,
    },
    /// QEMU refused. Nothing was changed.
    #[error("{command}: QEMU says {message:?}: check the name and the box's state")]
    Refused {
        /// The command.
        command: String,
        /// QEMU's words.
        message: String,
    },
    /// No answer in time; whether it was done is not known.
    #[error("{command}: QEMU did not answer within {} s: the host is overloaded, or QEMU hangs", ANSWER_LIMIT.as_secs())]
    Deadline {
        /// The command.
        command: String,
    },
}

/// The event did not come.
#[derive(Debug, thiserror::Error)]
#[error("no {name} within {} s; there were: {}", within.as_secs(), seen.join(", "))]
pub struct EventError {
    /// The event.
    pub name: String,
    /// How long.
    pub within: Duration,
    /// All events since power-on.
    pub seen: Vec<String>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    happened: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<u64, oneshot::Sender<Result<Value, String>>>,
    events: Vec<QmpEvent>,
    closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One power-on's control connection.
#[derive(Debug)]
pub struct Qmp {
    shared: Arc<Shared>,
    writer: OwnedWriteHalf,
    next_id: u64,
    /// Events that earlier waits have passed.
    passed: usize,
}

impl Qmp {
    /// Greets, and leaves the negotiation of capabilities behind.
    pub async fn open(stream: UnixStream) -> Result<Self, QmpError> {
        let (reader, writer) = stream.into_split();
        let shared = Arc::new(Shared::default());
        tokio::spawn(read(BufReader::new(reader).lines(), Arc::clone(&shared)));
        let mut qmp = Self { shared, writer, next_id: 1, passed: 0 };
        qmp.execute("qmp_capabilities", None).await?;
        Ok(qmp)
    }

    /// Any command, and its answer.
    pub async fn execute(&mut self, name: &str, arguments: Option<Value>) -> Result<Value, QmpError> {
        let command_name = || name.to_owned();
        let id = self.next_id;
        self.next_id += 1;
        let (reply, answer) = oneshot::channel();
        {
            let mut state = self.shared.state();
            if state.closed {
                return Err(QmpError::Closed { command: command_name() });
            }
            state.waiting.insert(id, reply);
        }
        let sent: io::Result<()> = self.writer.write_all(command(id, name, arguments).as_bytes()).await;
        sent.map_err(|_| QmpError::Closed { command: command_name() })?;
        match timeout(ANSWER_LIMIT, answer).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(message))) => Err(QmpError::Refused { command: command_name(), message }),
            Ok(Err(_)) => Err(QmpError::Closed { command: command_name() }),
            Err(_) => Err(QmpError::Deadline { command: command_name() }),
        }
    }

    /// Pulls the cable of a network card, by its place in the machine, or plugs it in again.
    pub async fn set_link(&mut self, nic: usize, up: bool) -> Result<(), QmpError> {
        self.execute("set_link", Some(json!({ "name": format!("nic{nic}"), "up": up }))).await.map(drop)
    }

    /// Presses the power button: a request to the guest.
    pub async fn power_button(&mut self) -> Result<(), QmpError> {
        self.execute("system_powerdown", None).await.map(drop)
    }

    /// Presses the reset switch.
    pub async fn reset(&mut self) -> Result<(), QmpError> {
        self.execute("system_reset", None).await.map(drop)
    }

    /// Ends QEMU; its caches are written out. A power cut is [`crate::Vm::power_cut`].
    pub async fn quit(&mut self) -> Result<(), QmpError> {
        self.execute("quit", None).await.map(drop)
    }

    /// Freezes the processors.
    pub async fn freeze(&mut self) -> Result<(), QmpError> {
        self.execute("stop", None).await.map(drop)
    }

    /// Lets them go on.
    pub async fn thaw(&mut self) -> Result<(), QmpError> {
        self.execute("cont", None).await.map(drop)
    }

    /// QEMU's word for the state: `running`, `paused`, `shutdown` ...
    pub async fn status(&mut self) -> Result<String, QmpError> {
        let answer = self.execute("query-status", None).await?;
        Ok(answer.get("status").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// All events since power-on.
    pub fn events(&self) -> Vec<QmpEvent> {
        self.shared.state().events.clone()
    }

    /// Waits for an event that no earlier wait has passed; one that has happened already counts.
    pub async fn wait_event(&mut self, name: &str, within: Duration) -> Result<QmpEvent, EventError> {
        let deadline = Instant::now() + within;
        loop {
            let happened = self.shared.happened.notified();
            let closed = {
                let state = self.shared.state();
                let found = state.events.iter().enumerate().skip(self.passed).find(|(_, event)| event.name == name);
                if let Some((index, event)) = found {
                    self.passed = index + 1;
                    return Ok(event.clone());
                }
                state.closed
            };
            if closed || timeout_at(deadline, happened).await.is_err() {
                let seen = self.events().into_iter().map(|event| event.name).collect();
                return Err(EventError { name: name.to_owned(), within, seen });
            }
        }
    }
}

async fn read(mut lines: Lines<BufReader<OwnedReadHalf>>, shared: Arc<Shared>) {
    while let Ok(Some(line)) = lines.next_line().await {
        match Line::parse(&line) {
            Some(Line::Event(event)) => {
                tracing::debug!(name = event.name, "qmp");
                shared.state().events.push(event);
                shared.happened.notify_one();
            }
            Some(Line::Reply { id, result }) => {
                if let Some(reply) = shared.state().waiting.remove(&id) {
                    // The caller gave up waiting.
                    let _ = reply.send(result);
                }
            }
            Some(Line::Greeting | Line::Unknown) => {}
            None => tracing::warn!(line, "not QMP"),
        }
    }
    let mut state = shared.state();
    state.closed = true;
    state.waiting.clear();
    drop(state);
    shared.happened.notify_one();
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const GREETING: &[u8] = b"{\"QMP\":{}}\r\n";

    /// Answers each command with the next line of the script; `ID` becomes the command's.
    async fn serve(stream: UnixStream, script: &[&str]) -> Vec<String> {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        writer.write_all(GREETING).await.unwrap();
        let mut commands = Vec::new();
        for answer in script {
            let command: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
            writer.write_all(format!("{}\r\n", answer.replace("ID", &command["id"].to_string())).as_bytes()).await.unwrap();
            commands.push(command["execute"].as_str().unwrap().to_owned());
        }
        commands
    }

    #[tokio::test]
    async fn commands_are_answered_refused_and_cut_off() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let script = [
            r#"{"return":{},"id":ID}"#,
            r#"{"return":{"status":"running"},"id":ID}"#,
            r#"{"error":{"class":"GenericError","desc":"Device 'nic0' not found"},"id":ID}"#,
        ];
        let client = async {
            let mut qmp = Qmp::open(ours).await.unwrap();
            assert_eq!(qmp.status().await.unwrap(), "running");
            let refused = qmp.set_link(0, false).await.unwrap_err();
            assert!(matches!(refused, QmpError::Refused { message, .. } if message == "Device 'nic0' not found"));
            assert!(matches!(qmp.quit().await, Err(QmpError::Closed { .. })));
        };
        let ((), commands) = tokio::join!(client, serve(theirs, &script));
        assert_eq!(commands, ["qmp_capabilities", "query-status", "set_link"]);
    }

    #[tokio::test]
    async fn an_event_is_found_once_whether_it_was_before_the_wait_or_comes_later() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let script = ["{\"return\":{},\"id\":ID}\r\n{\"event\":\"RESET\"}", "{\"event\":\"STOP\"}\r\n{\"return\":{},\"id\":ID}"];
        let client = async {
            let mut qmp = Qmp::open(ours).await.unwrap();
            qmp.wait_event("RESET", LONG).await.unwrap();
            qmp.freeze().await.unwrap();
            qmp.wait_event("STOP", LONG).await.unwrap();
            let missing = qmp.wait_event("RESET", LONG).await.unwrap_err();
            assert_eq!(missing.seen, ["RESET", "STOP"]);
        };
        tokio::join!(client, serve(theirs, &script));
    }
}
