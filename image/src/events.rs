//! What a build tells the outside: steps, downloads, notes and outputs, drawn as bars, as plain lines, or as JSON lines.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;

/// Something that happened. With `--json` each is one line on standard output, tagged by `event`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A step begins, because the cache has no result of it.
    StepStarted {
        /// Name, e.g. `root.amd64`.
        step: String,
    },
    /// A step has its result.
    StepFinished {
        /// Name, e.g. `root.amd64`.
        step: String,
        /// The result was in the cache already; nothing ran.
        cached: bool,
        /// Key of its inputs, SHA-256 in hexadecimal digits.
        key: String,
        /// How long it took, in seconds.
        seconds: f64,
    },
    /// A download begins.
    DownloadStarted {
        /// What is downloaded.
        label: String,
        /// Its size in bytes, if known.
        bytes: Option<u64>,
    },
    /// A download ended.
    DownloadFinished {
        /// What was downloaded.
        label: String,
        /// It is in the cache and has the right hash. Otherwise what is there will be resumed.
        complete: bool,
    },
    /// Something people should know, such as a package that was replaced by a newer one.
    Note {
        /// The sentence.
        text: String,
    },
    /// A file was written.
    Output {
        /// Its path.
        path: String,
        /// Its size in bytes.
        bytes: u64,
        /// Its SHA-256 in hexadecimal digits.
        sha256: String,
    },
    /// A benchmark has a number. On a terminal it is part of a table instead.
    Measured {
        /// What was measured.
        what: String,
        /// Its unit, e.g. `s`.
        unit: String,
        /// How often.
        runs: u32,
        /// The smallest of the numbers.
        minimum: f64,
        /// The middle one.
        median: f64,
        /// The largest.
        maximum: f64,
    },
}

/// How events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Bars on a terminal.
    Bars,
    /// One line for each thing that ended.
    Plain,
    /// One JSON object a line, on standard output.
    Json,
    /// Nothing is drawn: for callers that only collect events.
    Silent,
}

impl Style {
    /// Bars on a terminal, plain lines otherwise.
    #[must_use]
    pub fn for_terminal() -> Self {
        if std::io::stderr().is_terminal() { Self::Bars } else { Self::Plain }
    }
}

/// Shows events, and keeps them for whoever asks afterwards.
#[derive(Debug)]
pub struct Reporter {
    style: Style,
    bars: MultiProgress,
    open: Mutex<HashMap<String, ProgressBar>>,
    seen: Mutex<Vec<Event>>,
    started: Instant,
}

impl Reporter {
    /// A reporter in `style`.
    #[must_use]
    pub fn new(style: Style) -> Self {
        let bars = MultiProgress::new();
        if style == Style::Bars {
            crate::interrupt::shows(&bars);
        }
        Self { style, bars, open: Mutex::new(HashMap::new()), seen: Mutex::new(Vec::new()), started: Instant::now() }
    }

    /// All events so far, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.seen.lock().map(|seen| seen.clone()).unwrap_or_default()
    }

    /// Shows `event` and keeps it.
    pub fn report(&self, event: Event) {
        match self.style {
            Style::Bars => self.draw(&event),
            Style::Plain => self.say(&event),
            Style::Json => {
                if let Ok(line) = serde_json::to_string(&event) {
                    // A reader that went away must not end the build.
                    let _ = writeln!(std::io::stdout().lock(), "{line}");
                }
            }
            Style::Silent => {}
        }
        if let Ok(mut seen) = self.seen.lock() {
            seen.push(event);
        }
    }

    /// Says `text` as a note.
    pub fn note(&self, text: impl Into<String>) {
        self.report(Event::Note { text: text.into() });
    }

    fn say(&self, event: &Event) {
        let at = self.started.elapsed().as_secs_f64();
        let line = match event {
            Event::StepStarted { step } => format!("building {step}"),
            Event::StepFinished { step, cached: true, .. } => format!("    kept {step}"),
            Event::StepFinished { step, seconds, .. } => format!("    done {step} ({seconds:.1} s)"),
            Event::DownloadStarted { .. } | Event::Measured { .. } => return,
            Event::DownloadFinished { label, complete: true } => format!(" fetched {label}"),
            Event::DownloadFinished { label, complete: false } => format!(" stopped {label}"),
            Event::Note { text } => format!("    note {text}"),
            Event::Output { path, bytes, .. } => format!("   wrote {path} ({})", indicatif::HumanBytes(*bytes)),
        };
        let _ = writeln!(std::io::stderr().lock(), "[{at:7.1}] {line}");
    }

    fn draw(&self, event: &Event) {
        let Ok(mut open) = self.open.lock() else { return };
        match event {
            Event::StepStarted { step } => {
                let bar = self.bars.add(ProgressBar::new_spinner().with_style(spinner_style()).with_message(step.clone()));
                bar.enable_steady_tick(SPINNER_INTERVAL);
                open.insert(step.clone(), bar);
            }
            Event::DownloadStarted { label, bytes } => {
                let bar = self.bars.add(ProgressBar::new(bytes.unwrap_or(0)).with_style(bar_style()).with_message(label.clone()));
                open.insert(label.clone(), bar);
            }
            Event::StepFinished { step: label, .. } | Event::DownloadFinished { label, .. } => {
                if let Some(bar) = open.remove(label) {
                    bar.finish_and_clear();
                    self.bars.remove(&bar);
                }
                if let Event::StepFinished { step, cached: false, seconds, .. } = event {
                    let _ = self.bars.println(format!("  done {step} ({seconds:.1} s)"));
                }
            }
            Event::Note { text } => {
                let _ = self.bars.println(format!("  note {text}"));
            }
            Event::Output { path, bytes, .. } => {
                let _ = self.bars.println(format!(" wrote {path} ({})", indicatif::HumanBytes(*bytes)));
            }
            Event::Measured { .. } => {}
        }
    }
}

impl shoal_fetch::Progress for Reporter {
    fn started(&self, label: &str, total: Option<u64>) {
        self.report(Event::DownloadStarted { label: label.to_owned(), bytes: total });
    }

    fn advanced(&self, label: &str, bytes: u64) {
        if let Ok(open) = self.open.lock()
            && let Some(bar) = open.get(label)
        {
            bar.set_position(bytes);
        }
    }

    fn finished(&self, label: &str, outcome: shoal_fetch::Outcome) {
        self.report(Event::DownloadFinished { label: label.to_owned(), complete: outcome == shoal_fetch::Outcome::Fetched });
    }
}

/// Often enough to look alive, seldom enough to cost nothing.
const SPINNER_INTERVAL: std::time::Duration = std::time::Duration::from_millis(120);

fn spinner_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg} {elapsed}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:24} {bytes:>10}/{total_bytes:<10} {binary_bytes_per_sec:>12} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
