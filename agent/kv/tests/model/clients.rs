//! Clients of watch streams who know what they have to be told, and complain if they are not.

use std::collections::VecDeque;

use proptest::{prelude::*, test_runner::TestCaseError};
use shoal_kv::{
    Event, EventKind, WatchEvent,
    watch::{HubLimits, NO_WATCH_ID, Polled, StreamId, WatchCreateRequest, WatchRefusal, WatchResponse},
};

use crate::{oracle::Oracle, seen::Seen};

pub(crate) type Checked = Result<(), TestCaseError>;

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: StreamId,
    watchers: Vec<Watcher>,
    /// Answers to what was asked, in order.
    answers: VecDeque<WatchResponse>,
    progress_requested: bool,
    next_id: i64,
}

#[derive(Debug)]
struct Watcher {
    id: i64,
    request: WatchCreateRequest,
    /// The first revision to hear of.
    from: i64,
    /// What it needs was forgotten before it came: it hears of nothing but that.
    too_late: bool,
    /// The answer to the request was read.
    announced: bool,
    /// How many events were heard of.
    heard: usize,
    /// The last response was a fragment that goes on.
    in_fragments: bool,
    /// Everything up to here was heard of.
    covered: i64,
}

/// How things are while a client reads.
pub(crate) struct Situation<'a> {
    pub(crate) oracle: &'a Oracle,
    /// What was published.
    pub(crate) revision: i64,
    pub(crate) limits: &'a HubLimits,
    /// Of all clients together.
    pub(crate) watchers: usize,
}

impl Watcher {
    /// All events it has to hear of up to a revision.
    fn expected(&self, oracle: &Oracle, to: i64) -> Vec<Event> {
        let key: &[u8] = if self.request.key.is_empty() { b"\0" } else { &self.request.key };
        let mut events = oracle.events(key, &self.request.range_end, self.from, to);
        events.retain(|event| match event.kind {
            EventKind::Put => !self.request.no_put,
            EventKind::Delete => !self.request.no_delete,
        });
        events
    }

    /// Whether it has heard of everything up to a revision, and of nothing else.
    fn is_up_to_date(&self, situation: &Situation<'_>) -> bool {
        !self.too_late && !self.in_fragments && self.expected(situation.oracle, situation.revision).len() == self.heard
    }

    fn hear(&mut self, situation: &Situation<'_>, revision: i64, events: &[WatchEvent], fragment: bool) -> Checked {
        prop_assert!(self.announced, "a watcher hears of nothing before it exists");
        prop_assert!(!self.too_late, "a watcher that came too late hears of nothing");
        prop_assert!(!events.is_empty());
        prop_assert!((self.covered..=situation.revision).contains(&revision), "{revision} follows {} and is published", self.covered);
        let expected = self.expected(situation.oracle, revision);
        prop_assert!(self.heard + events.len() <= expected.len(), "more than has happened");
        for (heard, expected) in events.iter().zip(&expected[self.heard..]) {
            let event = heard.event();
            prop_assert_eq!((event.kind, &event.kv), (expected.kind, &expected.kv));
            let prev_kv = expected.prev_kv.as_ref().filter(|_| self.request.prev_kv);
            // What was before a revision that is not above the compaction is told to those only for whom it had been waiting.
            let forgotten = expected.kv.mod_revision <= situation.oracle.compacted && heard.prev_kv().is_none();
            prop_assert!(forgotten || heard.prev_kv() == prev_kv, "previous value of {:?}: {:?}", expected.kv, heard.prev_kv());
        }
        self.heard += events.len();
        if fragment {
            prop_assert!(self.request.fragment, "nobody asked for fragments");
            prop_assert!(self.heard < expected.len(), "something follows a fragment");
        } else {
            prop_assert_eq!(self.heard, expected.len(), "whole revisions, and everything up to the header's");
            self.covered = revision;
        }
        if self.request.fragment {
            let bytes: usize = events.iter().map(WatchEvent::size).sum();
            prop_assert!(events.len() == 1 || bytes <= situation.limits.fragment_bytes, "a fragment of {bytes} bytes");
        }
        self.in_fragments = fragment;
        Ok(())
    }
}

impl Client {
    pub(crate) fn new(stream: StreamId) -> Self {
        Self { stream, watchers: Vec::new(), answers: VecDeque::new(), progress_requested: false, next_id: 0 }
    }

    pub(crate) fn watchers(&self) -> usize {
        self.watchers.len()
    }

    fn find(&mut self, id: i64) -> Option<&mut Watcher> {
        self.watchers.iter_mut().find(|watcher| watcher.id == id)
    }

    pub(crate) fn ask_to_watch(&mut self, situation: &Situation<'_>, request: &WatchCreateRequest) {
        let revision = situation.revision;
        let start = request.start_revision;
        let key: &[u8] = if request.key.is_empty() { b"\0" } else { &request.key };
        let end = &request.range_end[..];
        let refusal = if start < 0 {
            Some(WatchRefusal::Compacted)
        } else if !end.is_empty() && end != b"\0" && end <= key {
            Some(WatchRefusal::EmptyRange)
        } else if self.watchers.len() >= situation.limits.stream_watchers || situation.watchers >= situation.limits.watchers {
            Some(WatchRefusal::TooManyWatchers)
        } else if request.watch_id != 0 && self.find(request.watch_id).is_some() {
            Some(WatchRefusal::DuplicateId)
        } else {
            None
        };
        if let Some(reason) = refusal {
            self.answers.push_back(WatchResponse::Refused { revision, reason });
            return;
        }
        let mut id = request.watch_id;
        if id == 0 {
            while self.find(self.next_id).is_some() {
                self.next_id += 1;
            }
            id = self.next_id;
            self.next_id += 1;
        }
        self.answers.push_back(WatchResponse::Created { watch_id: id, revision });
        let from = if start == 0 { revision + 1 } else { start };
        self.watchers.push(Watcher {
            id,
            request: request.clone(),
            from,
            too_late: 0 < start && start < situation.oracle.compacted && start <= revision,
            announced: false,
            heard: 0,
            in_fragments: false,
            covered: from - 1,
        });
    }

    pub(crate) fn ask_to_cancel(&mut self, revision: i64, watch_id: i64) {
        if self.find(watch_id).is_some() {
            self.watchers.retain(|watcher| watcher.id != watch_id);
            // Its creation may still be unread: then both are read one after the other.
            self.answers.push_back(WatchResponse::Canceled { watch_id, revision });
        }
    }

    pub(crate) fn ask_for_progress(&mut self) {
        self.progress_requested = true;
    }

    pub(crate) fn read(&mut self, situation: &Situation<'_>, polled: &Polled, seen: &Seen) -> Checked {
        for response in &polled.responses {
            seen.note(&kind(response));
            self.read_one(situation, response)?;
        }
        if polled.more {
            return Ok(());
        }
        prop_assert!(self.answers.is_empty(), "still to be answered: {:?}", self.answers);
        for watcher in &mut self.watchers {
            prop_assert!(watcher.is_up_to_date(situation), "there is no more, but {watcher:?} has not heard of everything");
            watcher.covered = watcher.covered.max(situation.revision);
        }
        if std::mem::take(&mut self.progress_requested) {
            prop_assert!(self.watchers.is_empty() || self.some_start_later(situation), "progress was to be told");
        }
        Ok(())
    }

    fn some_start_later(&self, situation: &Situation<'_>) -> bool {
        self.watchers.iter().any(|watcher| watcher.request.start_revision > situation.revision)
    }

    /// A client may give a watcher the id that means all of them (etcd lets it). What it is told of that id is then the one's or everybody's, and it
    /// can only tell by whether everybody can have been meant. Whether everybody was told too is asked when there is no more to read.
    fn can_only_be_its_own(&self, situation: &Situation<'_>) -> bool {
        let has_one = self.watchers.iter().any(|watcher| watcher.id == NO_WATCH_ID && watcher.request.progress_notify);
        let everybody = |watcher: &Watcher| watcher.announced && watcher.is_up_to_date(situation);
        has_one && (self.some_start_later(situation) || !self.watchers.iter().all(everybody))
    }

    fn read_one(&mut self, situation: &Situation<'_>, response: &WatchResponse) -> Checked {
        match response {
            WatchResponse::Created { watch_id, .. } => {
                prop_assert_eq!(self.answers.pop_front(), Some(response.clone()));
                let another = |answer: &WatchResponse| matches!(answer, WatchResponse::Created { watch_id: id, .. } if id == watch_id);
                if !self.answers.iter().any(another)
                    && let Some(watcher) = self.find(*watch_id)
                {
                    watcher.announced = true;
                }
            }
            WatchResponse::Refused { .. } | WatchResponse::Canceled { .. } => {
                prop_assert_eq!(self.answers.pop_front(), Some(response.clone()));
            }
            WatchResponse::Events { watch_id, revision, events, fragment } => {
                let watcher = self.find(*watch_id);
                prop_assert!(watcher.is_some(), "events for {watch_id}, which does not exist");
                watcher.unwrap().hear(situation, *revision, events, *fragment)?;
            }
            WatchResponse::Progress { watch_id, revision } => self.read_progress(situation, *watch_id, *revision)?,
            WatchResponse::Compacted { watch_id, compact_revision } => {
                prop_assert_eq!(*compact_revision, situation.oracle.compacted);
                let watcher = self.find(*watch_id);
                prop_assert!(watcher.is_some(), "{watch_id} was compacted but does not exist");
                let watcher = watcher.unwrap();
                prop_assert!(watcher.announced && !watcher.in_fragments);
                prop_assert!(watcher.covered + 1 < *compact_revision, "{watcher:?} needs nothing that was forgotten");
                self.watchers.retain(|watcher| watcher.id != *watch_id);
            }
        }
        Ok(())
    }

    /// Progress is a promise that everything was told.
    fn read_progress(&mut self, situation: &Situation<'_>, watch_id: i64, revision: i64) -> Checked {
        prop_assert_eq!(revision, situation.revision);
        let all = watch_id == NO_WATCH_ID && self.progress_requested && !self.can_only_be_its_own(situation);
        self.progress_requested &= !all;
        let concerned: Vec<&mut Watcher> = self.watchers.iter_mut().filter(|watcher| all || watcher.id == watch_id).collect();
        prop_assert!(!concerned.is_empty());
        for watcher in concerned {
            prop_assert!(all || watcher.request.progress_notify, "nobody asked for progress");
            prop_assert!(watcher.announced && watcher.request.start_revision <= revision);
            prop_assert!(watcher.is_up_to_date(situation), "progress was told to {watcher:?}, which has not heard of everything");
            watcher.covered = revision;
        }
        Ok(())
    }
}

fn kind(response: &WatchResponse) -> String {
    match response {
        WatchResponse::Created { .. } => "created".into(),
        WatchResponse::Refused { reason, .. } => format!("refused: {reason:?}"),
        WatchResponse::Events { fragment: true, .. } => "a fragment".into(),
        WatchResponse::Events { events, .. } if events[0].batch.revision != events[events.len() - 1].batch.revision => {
            "several revisions in a response".into()
        }
        WatchResponse::Events { .. } => "one revision in a response".into(),
        WatchResponse::Progress { watch_id: NO_WATCH_ID, .. } => "progress of a stream".into(),
        WatchResponse::Progress { .. } => "progress of a watcher".into(),
        WatchResponse::Canceled { .. } => "cancelled".into(),
        WatchResponse::Compacted { .. } => "compacted".into(),
    }
}
