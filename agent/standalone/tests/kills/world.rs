//! What all tasks of the test share.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use crate::{check::Log, history::History, members::SIZE};

/// How long a client waits for an answer: some elections. Then it asks another member.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// How long connecting may take: nobody is far away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// What is said of a lease that is over.
pub(crate) const NOT_FOUND: &str = "etcdserver: requested lease not found";

pub(crate) struct World {
    pub(crate) history: History,
    urls: [String; SIZE],
    /// Clients are to end.
    over: AtomicBool,
    /// What must not be, as it was noticed while the test ran.
    violations: Mutex<Vec<String>>,
    /// What the watcher at each member was told.
    pub(crate) logs: [Mutex<Log>; SIZE],
    /// Up to which revision that is without a hole.
    pub(crate) positions: [AtomicI64; SIZE],
    next_value: AtomicU64,
    next_leased: AtomicU32,
    start: Instant,
}

impl World {
    pub(crate) fn new(urls: [String; SIZE]) -> Self {
        Self {
            history: History::default(),
            urls,
            over: AtomicBool::new(false),
            violations: Mutex::default(),
            logs: Default::default(),
            // The empty store's.
            positions: [const { AtomicI64::new(1) }; SIZE],
            next_value: AtomicU64::new(0),
            next_leased: AtomicU32::new(0),
            start: Instant::now(),
        }
    }

    /// A number for a value, or for a lease, that was not used before.
    pub(crate) fn unique(&self) -> u64 {
        self.next_value.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn next_leased(&self) -> u32 {
        self.next_leased.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn violate(&self, what: String) {
        let what = format!("after {:.3?}: {what}", self.elapsed());
        self.violations.lock().expect("nobody panics while holding them").push(what);
    }

    #[track_caller]
    pub(crate) fn assert_no_violation(&self) {
        let violations = self.violations.lock().expect("nobody panics while holding them");
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }

    fn endpoint(&self, member: usize) -> Endpoint {
        Endpoint::from_shared(self.urls[member].clone()).expect("it is a URL").connect_timeout(CONNECT_TIMEOUT)
    }

    /// To a member, for requests.
    pub(crate) fn channel(&self, member: usize) -> Channel {
        self.endpoint(member).timeout(REQUEST_TIMEOUT).connect_lazy()
    }

    /// To each member.
    pub(crate) fn channels(&self) -> [Channel; SIZE] {
        std::array::from_fn(|member| self.channel(member))
    }

    /// To a member, for a watch that waits for as long as the member is stopped.
    pub(crate) fn patient_channel(&self, member: usize) -> Channel {
        self.endpoint(member).connect_lazy()
    }

    /// Whether a request was certainly not done. What is no error of a cluster that is being killed is noted.
    pub(crate) fn is_refusal(&self, what: &str, status: &Status) -> bool {
        match status.message() {
            // Whether a lease could be over is for its holder to say.
            "etcdserver: no leader" | "etcdserver: too many requests" | NOT_FOUND => true,
            message => {
                if message.starts_with("etcdserver:") && status.code() != Code::Unavailable {
                    self.violate(format!("{what} was answered with {status:?}"));
                }
                false
            }
        }
    }
}
