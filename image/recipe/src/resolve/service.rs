//! Services that PID 1 runs.

use shoal_contract::boot::Level;
use shoal_contract::service::{GiveUp, GiveUpAction, Kind, Limits, Ready, Restart, Start, StopSignal};
use shoal_contract::{Service, Services};

use crate::problem::{Problem, Report};
use crate::read::{self, Fields};
use crate::scalar;
use crate::tree::{Node, Value};

use super::{Context, named};

/// Time from start to ready, and from the stop signal to SIGKILL, in milliseconds, where a service does not say; as the contract has them.
const READY_TIMEOUT_MS: u64 = 90_000;
const STOP_TIMEOUT_MS: u64 = 10_000;
/// Bounds of `cpu.weight` (Linux, cgroup-v2.rst) and of `oom_score_adj` (proc_pid_oom_score_adj(5)).
const CPU_WEIGHT: (u16, u16) = (1, 10_000);
const OOM_SCORE_ADJUST: (i16, i16) = (-1_000, 1_000);
/// `pids.max` counts up to the kernel's own limit of pid_max, 2^22 on 64-bit machines.
const PIDS_MAX: u32 = 1 << 22;

pub(super) const LEVELS: [(&str, Level); 4] =
    [("error", Level::Error), ("warning", Level::Warning), ("info", Level::Info), ("debug", Level::Debug)];

/// The services, by name.
pub(super) fn services(fields: &mut Fields<'_, '_>, context: &Context) -> Vec<Service> {
    let report = fields.report();
    let services = named(fields, "services", |name, fields, _| service(name, fields, context));
    if report.is_empty()
        && let Some(entry) = fields.entry("services")
        && (Services { services: services.clone() }).start_order().is_err()
    {
        let names = circle(&services);
        // The place of one `after` that is part of the circle says more than the heading of the section.
        let table = read::table(report, &entry.node);
        let place = names.first().and_then(|name| table?.get(name)).map_or(&entry.key, |entry| &entry.key);
        report.add(place, Problem::ServiceCircle { names });
    }
    services
}

/// Services that cannot start, less those that merely wait for a circle: every one that is left waits for and is waited for by another.
fn circle(services: &[Service]) -> Vec<String> {
    let mut left: Vec<&Service> = services.iter().collect();
    loop {
        let before = left.len();
        let names: Vec<&str> = left.iter().map(|service| service.name.as_str()).collect();
        let awaited: Vec<&str> = left.iter().flat_map(|service| service.after.iter().map(String::as_str)).collect();
        left.retain(|service| awaited.contains(&service.name.as_str()) && service.after.iter().any(|name| names.contains(&name.as_str())));
        if left.len() == before {
            return left.into_iter().map(|service| service.name.clone()).collect();
        }
    }
}

fn service(name: &str, mut fields: Fields<'_, '_>, context: &Context) -> Service {
    let service = Service {
        name: name.to_owned(),
        exec: fields.required("exec", "[\"/usr/bin/x\"]", exec),
        environment: fields.or("environment", Default::default(), read::text_table),
        kind: fields.or("kind", Kind::Daemon, read::choice(&[("daemon", Kind::Daemon), ("oneshot", Kind::Oneshot)])),
        start: fields.or("start", Start::Boot, read::choice(&[("boot", Start::Boot), ("asked", Start::Asked)])),
        after: fields.or("after", Vec::new(), read::list(read::reference("service", &context.services))),
        ready: fields.or("ready", Ready::Started, ready),
        ready_timeout_ms: fields.or("ready-timeout", READY_TIMEOUT_MS, read::parsed(scalar::duration_ms)),
        restart: fields.or(
            "restart",
            Restart::Always,
            read::choice(&[("always", Restart::Always), ("on-failure", Restart::OnFailure), ("never", Restart::Never)]),
        ),
        give_up: fields.optional("give-up", give_up),
        limits: fields.or("limits", Limits::default(), limits),
        delegate: fields.or("delegate", false, read::boolean),
        stop_signal: fields.or("stop-signal", StopSignal::Term, read::choice(&[("TERM", StopSignal::Term), ("INT", StopSignal::Int)])),
        stop_timeout_ms: fields.or("stop-timeout", STOP_TIMEOUT_MS, read::parsed(scalar::duration_ms)),
        log_level: fields.or("log-level", Level::Info, read::choice(&LEVELS)),
    };
    fields.close();
    service
}

/// A program, by its absolute path, and its arguments.
fn exec(report: &Report, node: &Node) -> Option<Vec<String>> {
    let words = read::filled_list(read::text)(report, node)?;
    if let (Some(program), Value::List(nodes)) = (words.first(), &node.value)
        && let Err(problem) = scalar::absolute_path(program)
    {
        report.add(&nodes[0].place, problem);
    }
    Some(words)
}

/// `"started"`, `"notify"` or `{ socket = "/run/x.sock" }`.
fn ready(report: &Report, node: &Node) -> Option<Ready> {
    match &node.value {
        Value::Table(table) => {
            let mut fields = Fields::new(report, table, "`ready`".to_owned(), node.place.clone());
            let path = fields.required("socket", "\"/run/x.sock\"", read::parsed(scalar::absolute_path));
            fields.close();
            Some(Ready::Socket(path))
        }
        Value::Text(text) if text == "started" => Some(Ready::Started),
        Value::Text(text) if text == "notify" => Some(Ready::Notify),
        value => {
            let text = if let Value::Text(text) = value { text.clone() } else { value.kind().to_owned() };
            let advice = "write \"started\", \"notify\" or { socket = \"/run/x.sock\" }".to_owned();
            report.add(&node.place, Problem::BadValue { text, expected: "a way to be ready".to_owned(), advice });
            None
        }
    }
}

fn give_up(report: &Report, node: &Node) -> Option<GiveUp> {
    let mut fields = Fields::new(report, read::table(report, node)?, "`give-up`".to_owned(), node.place.clone());
    let give_up = GiveUp {
        failures: fields.required("failures", "5", read::integer(1, u32::MAX)),
        within_ms: fields.required("within", "\"10 min\"", read::parsed(scalar::duration_ms)),
        action: fields
            .required("action", "\"reboot\"", |report: &Report, node: &Node| {
                read::choice(&[("stop", GiveUpAction::Stop), ("reboot", GiveUpAction::Reboot)])(report, node).map(Some)
            })
            .unwrap_or(GiveUpAction::Stop),
    };
    fields.close();
    Some(give_up)
}

fn limits(report: &Report, node: &Node) -> Option<Limits> {
    let mut fields = Fields::new(report, read::table(report, node)?, "`limits`".to_owned(), node.place.clone());
    let limits = Limits {
        memory_max: fields.optional("memory-max", read::parsed(scalar::size)),
        memory_high: fields.optional("memory-high", read::parsed(scalar::size)),
        cpu_weight: fields.optional("cpu-weight", read::integer(CPU_WEIGHT.0, CPU_WEIGHT.1)),
        pids_max: fields.optional("pids-max", read::integer(1, PIDS_MAX)),
        oom_score_adjust: fields.optional("oom-score-adjust", read::integer(OOM_SCORE_ADJUST.0, OOM_SCORE_ADJUST.1)),
    };
    fields.close();
    Some(limits)
}
