//! What `shoal up` shows while boxes come up, and when it says that they have.
//!
//! Two threads tell what happens: one reads what the keeper says, the other asks the API. The one that shows it ends when all nodes are Ready, the keeper ends, or
//! there is no time left.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use shoal_trust::fleet_file::FleetFile;

use super::keeper::Told;
use super::nodes;
use crate::events::Style;
use crate::kubeconfig::server::Server;
use crate::kubeconfig::{Failure, Pass};

/// Between two questions to the API: a person hardly notices, and an emulated box has less to do.
const PAUSE: Duration = Duration::from_secs(3);
/// Often enough to look alive.
const TICK: Duration = Duration::from_millis(120);
/// For how long the kubeconfig lets its owner in: the boxes are here, and so is their fleet's file.
const KUBECONFIG_HOURS: u32 = 8760;
/// The row below those of the boxes.
const API: u8 = u8::MAX;

/// Something to show, or to act on.
enum Event {
    Keeper(Told),
    /// The keeper has ended.
    Ended,
    /// What the API says, or why it does not.
    Api(String),
    /// All nodes are Ready.
    Ready,
    /// It will never be: waiting on is of no use.
    Failed(anyhow::Error),
}

/// What is waited for.
pub(super) struct Awaited {
    pub(super) fleet: FleetFile,
    pub(super) kubeconfig: PathBuf,
    pub(super) nodes: u8,
    /// Until when; [`None`]: only until the boxes are switched on.
    pub(super) deadline: Option<Instant>,
}

/// Waits, and shows what happens. `keeper` is what the keeper says.
///
/// # Errors
/// If the keeper ends, the API is none of the fleet, or the deadline has passed: with what each box was at then.
pub(super) fn wait(awaited: Awaited, keeper: impl Read + Send + 'static, style: Style) -> Result<()> {
    let (tell, events) = channel();
    let listener = tell.clone();
    thread::spawn(move || listen(keeper, &listener));
    let mut rows = Rows::new(style, awaited.nodes);
    let mut awaited = Some(awaited);
    let deadline = awaited.as_ref().and_then(|awaited| awaited.deadline);
    loop {
        match next(&events, deadline) {
            Ok(Event::Keeper(Told::Stage { number, stage })) => rows.set(number, format!("box{number}"), stage),
            Ok(Event::Keeper(Told::Gate { address })) => {
                let Some(awaited) = awaited.take_if(|awaited| awaited.deadline.is_some()) else { continue };
                let tell = tell.clone();
                thread::spawn(move || ask(&awaited, &address, &tell));
            }
            Ok(Event::Keeper(Told::Running)) if deadline.is_none() => return Ok(()),
            Ok(Event::Keeper(Told::Running)) => {}
            Ok(Event::Api(said)) => rows.set(API, "API".to_owned(), said),
            Ok(Event::Ready) => return Ok(()),
            Ok(Event::Failed(error)) => return Err(error),
            Ok(Event::Ended) => bail!("the boxes' keeper has ended"),
            Err(()) => bail!("the cluster is not ready in time; wait longer with --wait. What each said last:\n{}", rows.last()),
        }
    }
}

/// The next event; an error when the deadline has passed.
fn next(events: &Receiver<Event>, deadline: Option<Instant>) -> Result<Event, ()> {
    let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
    match events.recv_timeout(left) {
        Ok(event) => Ok(event),
        Err(RecvTimeoutError::Timeout) => Err(()),
        Err(RecvTimeoutError::Disconnected) => Ok(Event::Ended),
    }
}

fn listen(keeper: impl Read, tell: &Sender<Event>) {
    for line in BufReader::new(keeper).lines().map_while(Result::ok) {
        // A line that is none of ours is nothing to fail for.
        if let Ok(told) = serde_json::from_str(&line)
            && tell.send(Event::Keeper(told)).is_err()
        {
            return;
        }
    }
    let _ = tell.send(Event::Ended);
}

/// Asks the API, until all nodes are Ready or nobody listens.
fn ask(awaited: &Awaited, address: &str, tell: &Sender<Event>) {
    let deadline = awaited.deadline.unwrap_or_else(Instant::now);
    let outcome = (|| {
        let server = Server::parse(address).map_err(anyhow::Error::msg)?;
        let pass = Pass::new(&awaited.fleet, &server, KUBECONFIG_HOURS)?;
        let mut has_kubeconfig = false;
        loop {
            let said = match attempt(awaited, &pass, &mut has_kubeconfig, deadline) {
                Ok((ready, _)) if ready >= usize::from(awaited.nodes) => return Ok(()),
                Ok((ready, known)) => format!("{ready} of {} nodes are Ready, {known} known", awaited.nodes),
                Err(Failure::NotYet(reason)) => format!("{reason:#}"),
                Err(Failure::Never(error)) => return Err(anyhow!(error).context("the API is none of this cluster's")),
            };
            if tell.send(Event::Api(said)).is_err() {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
    })();
    let _ = match outcome {
        Ok(()) => tell.send(Event::Ready),
        Err(error) => tell.send(Event::Failed(error)),
    };
}

/// Nodes that are Ready, and nodes that there are; before that, the kubeconfig.
fn attempt(awaited: &Awaited, pass: &Pass<'_>, has_kubeconfig: &mut bool, deadline: Instant) -> Result<(usize, usize), Failure> {
    if !*has_kubeconfig {
        pass.kubeconfig(&awaited.kubeconfig, deadline)?;
        *has_kubeconfig = true;
    }
    let list = pass.get(nodes::PATH, deadline)?;
    nodes::ready(&list).context("the API's list of nodes cannot be read").map_err(Failure::NotYet)
}

/// A row for each box and one for the API: spinners on a terminal, elsewhere a line for everything new.
struct Rows {
    bars: Option<(MultiProgress, BTreeMap<u8, ProgressBar>)>,
    /// By place: name, and what was said last.
    said: BTreeMap<u8, (String, String)>,
    started: Instant,
}

impl Rows {
    fn new(style: Style, boxes: u8) -> Self {
        let bars = (style == Style::Bars).then(|| {
            let bars = MultiProgress::new();
            crate::interrupt::shows(&bars);
            (bars, BTreeMap::new())
        });
        let said = (1..=boxes).map(|number| (number, (format!("box{number}"), "not switched on yet".to_owned()))).collect();
        Self { bars, said, started: Instant::now() }
    }

    fn set(&mut self, place: u8, name: String, said: String) {
        if self.said.get(&place).is_some_and(|(_, known)| *known == said) {
            return;
        }
        match &mut self.bars {
            Some((bars, known)) => {
                let bar = known.entry(place).or_insert_with(|| {
                    let style = ProgressStyle::with_template("{spinner} {prefix:5} {wide_msg}");
                    let bar = ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                    let bar = if place == API { bars.add(bar) } else { bars.insert(usize::from(place - 1), bar) };
                    bar.enable_steady_tick(TICK);
                    bar.with_prefix(name.clone())
                });
                bar.set_message(said.clone());
            }
            None => eprintln!("[{:7.1}] {name}: {said}", self.started.elapsed().as_secs_f64()),
        }
        self.said.insert(place, (name, said));
    }

    fn last(&self) -> String {
        self.said.values().map(|(name, said)| format!("  {name}: {said}")).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        if let Some((bars, _)) = &self.bars {
            let _ = bars.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn awaited(deadline: Option<Instant>) -> Awaited {
        let name = shoal_trust::fleet::FleetName::new("one").unwrap();
        let random = shoal_trust::fleet_file::FleetRandomness { id: [1; 16], operator: [2; 32], join: [3; 32] };
        Awaited { fleet: FleetFile::new(name, random).unwrap(), kubeconfig: PathBuf::new(), nodes: 1, deadline }
    }

    fn said(lines: &[Told]) -> std::io::Cursor<Vec<u8>> {
        let lines: Vec<String> = lines.iter().map(|told| serde_json::to_string(told).unwrap() + "\n").collect();
        std::io::Cursor::new(lines.concat().into_bytes())
    }

    #[test]
    fn without_a_deadline_it_is_over_when_the_boxes_run() {
        let lines = [Told::Gate { address: "127.0.0.1:1".into() }, Told::Stage { number: 1, stage: "on".into() }, Told::Running];
        wait(awaited(None), said(&lines), Style::Silent).unwrap();
    }

    #[test]
    fn a_keeper_that_ends_is_no_cluster() {
        let error = wait(awaited(None), said(&[Told::Stage { number: 1, stage: "on".into() }]), Style::Silent).unwrap_err();
        assert!(error.to_string().contains("has ended"), "{error}");
    }

    #[test]
    fn what_can_never_be_is_not_waited_for() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let line = serde_json::to_string(&Told::Gate { address: "nowhere:0".into() }).unwrap() + "\n";
        std::io::Write::write_all(&mut &theirs, line.as_bytes()).unwrap();
        let error = wait(awaited(Some(Instant::now() + Duration::from_secs(600))), ours, Style::Silent).unwrap_err();
        assert!(error.to_string().contains("write an address"), "{error}");
    }

    #[test]
    fn when_time_is_up_it_says_what_each_was_at() {
        // The other end stays open, as a keeper's does.
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let line = serde_json::to_string(&Told::Stage { number: 1, stage: "root mounted".into() }).unwrap() + "\n";
        std::io::Write::write_all(&mut &theirs, line.as_bytes()).unwrap();
        let error = wait(awaited(Some(Instant::now() + Duration::from_secs(2))), ours, Style::Silent).unwrap_err();
        assert!(error.to_string().ends_with("--wait. What each said last:\n  box1: root mounted"), "{error}");
    }
}
